"""The main job of the README: one command, a real SDK session, what Totango received, and an end whenever one likes."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import pytest

from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.running import PATIENCE, Milonga, eventually, in_threads
from tests.started import Started, catches, lives, waits

ENDS = 10.0  #: seconds; it takes about one

FAREWELL = "Ctrl-C ends the demo"


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def demo(folder: Path, *options: str, command: tuple[str, ...] = (), **environment: str) -> Started:
    port, fake_port = free_ports()
    words = ("demo", "--port", str(port), "--fake-port", str(fake_port), "--site-port", "0", *options)
    return Started(folder, *words, command=command, environment=environment)


def test_it_prints_the_requests_of_the_published_session_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        text = started.says(FAREWELL)
        params = [dict(re.findall(r"^  (\S+) +(.+)$", block, re.MULTILINE)) for block in text.split("\n\n")[1:6]]
        ids = {"sdr_s": "SP-00000-01", "sdr_o": "sjsj2hdj2", "sdr_u": "29ej29d"}
        assert [{k: v for k, v in one.items() if k not in ids} for one in params] == [
            {"sdr_u.name": "Peter Gibbons", "sdr_u.email": "peter@initech.example"},
            {"sdr_o.account_name": "Initech", "sdr_o.Status": "Paying", "sdr_o.website": "https://initech.example"},
            {"sdr_a": "Viewed Blog Page", "sdr_m": "Blog"},
            {"sdr_a": "Viewed Blog 15,000 Ways to Increase Conversion Page", "sdr_m": "Blog"},
            {"sdr_a": "Completed Purchase", "sdr_m": "Conversion"},
        ]
        assert all(one.items() >= ids.items() for one in params)
        (shown,) = re.findall(r"^Totango would hold +(\S+)", text, re.MULTILINE)
        with urllib.request.urlopen(shown, timeout=PATIENCE) as page:  # noqa: S310
            assert "Initech" in page.read().decode()
        started.signal(signal.SIGINT)
        status, _, errors = started.ended(ENDS)
        assert (status, errors) == (0, "")
        started.gone(0)
        assert list(tmp_path.iterdir()) == []


def fetched(url: str) -> tuple[int, str, str]:
    """Status, type, text."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read().decode()


def test_it_serves_the_sample_site_with_its_own_address_and_write_key_filled_in(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        text = started.says(FAREWELL)
        (site,) = re.findall(r"^Sample site to click in +(http://127.0.0.1:\d+/)$", text, re.MULTILINE)
        (milonga,) = re.findall(r"^Milonga takes events at +(\S+)", text, re.MULTILINE)
        (totango,) = re.findall(r"^Totango would hold +(\S+)", text, re.MULTILINE)
        for name in ("", "calendar", "library", "members", "billing"):
            status, type_, page = fetched(site + name)
            assert (status, type_) == (200, "text/html; charset=utf-8")
            assert f't.src="{milonga}/analytics.js/v1/' in page
            assert 'analytics.load("demo");' in page
            assert "analytics.page();" not in page
            assert f'<meta name="totango" content="{totango}">' in page
            status, type_, page = fetched(f"{site}npm/{name}")
            assert (status, type_) == (200, "text/html; charset=utf-8")
            assert f'<script src="/npm.js" data-write-key="demo" data-milonga="{milonga}"></script>' in page
            assert "{{" not in page
        for name, kind in (("site.js", "text/javascript"), ("npm.js", "text/javascript"), ("site.css", "text/css")):
            status, type_, _ = fetched(site + name)
            assert (status, type_) == (200, f"{kind}; charset=utf-8")
        for name in ("README.md", "npm/build.mjs", "../pyproject.toml", "index.html", ".gitignore"):
            assert fetched(site + name)[0] == 404
        started.signal(signal.SIGINT)
        assert started.ended(ENDS)[0] == 0


def test_the_commands_it_prints_can_be_typed_where_it_was_started(tmp_path: Path) -> None:
    """As `make demo` starts it: by a path, from a folder, with nothing of it on PATH."""
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    path = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "milonga").exists()
    )
    typed = partial(
        subprocess.run,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        timeout=PATIENCE,
        check=False,
    )
    shell = shutil.which("bash") or "bash"
    with demo(tmp_path, command=(".venv/bin/milonga",), PATH=path) as started:
        text = started.says(FAREWELL)
        assert "  .venv/bin/milonga explain" in text
        (curl,) = re.findall(r"^  (curl .*?\}'\n)", text, re.MULTILINE | re.DOTALL)
        if shutil.which("curl", path=path):
            assert typed([shell, "-c", curl]).stdout == '{"success": true}'
        (python,) = re.findall(r"^Or from Python \((.+)\):$", text, re.MULTILINE)
        code = "\n".join(line[2:] for line in text.split("):\n\n")[1].split("\n\nWhat")[0].splitlines())
        done = typed([*shlex.split(python), "-c", code])
        assert done.returncode == 0, done.stderr
        explain, clicked = re.findall(r"^  (\S+ explain .*)$", text, re.MULTILINE)
        eventually(lambda: typed([shell, "-c", explain]).stdout.count("totango: delivered") >= 5, "explained")
        assert clicked.endswith(" --account orquesta-sur")
        group = {"type": "group", "userId": "ana", "groupId": "orquesta-sur", "writeKey": "demo"}
        (milonga,) = re.findall(r"^Milonga takes events at +(\S+)", text, re.MULTILINE)
        with urllib.request.urlopen(f"{milonga}/v1/g", json.dumps(group).encode(), PATIENCE):  # noqa: S310
            pass
        eventually(lambda: "totango: delivered" in typed([shell, "-c", clicked]).stdout, "explained")
        started.signal(signal.SIGTERM)
        assert started.ended(ENDS)[0] == 0


def end_at(folder: Path, moment: float, number: signal.Signals) -> None:
    with demo(folder / f"{number.name}-{moment:.1f}") as started:
        started.awake()
        try:
            started.process.wait(moment)  # the moment itself is what is tried
        except subprocess.TimeoutExpired:
            started.signal(number)
        status, _, errors = started.ended(ENDS)
        assert (status, errors) == (0, "")
        started.gone(0)
        assert list(started.folder.iterdir()) == []


def test_it_ends_at_any_moment_and_leaves_nothing(tmp_path: Path) -> None:
    moments = [step * 0.2 for step in range(12)]
    for one, other in zip(moments[::2], moments[1::2], strict=True):
        in_threads(
            [partial(end_at, tmp_path, one, signal.SIGINT), partial(end_at, tmp_path, other, signal.SIGTERM)]
        ).join()


def test_a_server_that_hangs_does_not_hold_it_up(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        started.says(FAREWELL)
        (server,) = started.children()
        os.kill(server, signal.SIGSTOP)
        started.signal(signal.SIGINT)
        assert started.ended(ENDS)[0] == 0
        started.gone(0)
        assert list(tmp_path.iterdir()) == []


def ended_by_a_second(folder: Path) -> bool:
    """False if the server's two seconds of grace were over before the second Ctrl-C came."""
    with demo(folder) as started:
        started.says(FAREWELL)
        (server,) = started.children()
        os.kill(server, signal.SIGSTOP)
        started.signal(signal.SIGINT)
        assert started.process.stdout is not None
        eventually(lambda: waits(server, signal.SIGTERM) or not lives(server), "the server told, or killed meanwhile")
        started.signal(signal.SIGINT)
        status, _, errors = started.ended(ENDS)
        assert errors == ""
        started.gone(0)
        assert list(folder.iterdir()) == []
        return status == 130


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    assert any(ended_by_a_second(tmp_path / str(number)) for number in range(5))


def test_after_its_own_sigkill_nothing_runs_on(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        started.says("Milonga takes events")
        started.signal(signal.SIGKILL)
        started.ended()
        started.gone(ENDS)


def test_a_server_that_cannot_start_is_heard_and_ends_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    apsw.Connection(str(data / "delivery.db")).pragma("user_version", 99)
    with demo(tmp_path, "--data", "data") as started:
        status, said, errors = started.ended(ENDS)
        assert (status, said) == (1, "")
        assert "written by another version" in errors
        assert "Milonga's server ended. What it said stands above." in errors
        assert "Traceback" not in errors
        started.gone(0)


def test_a_port_in_use_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("--port", "--fake-port", "--site-port"):
            with demo(tmp_path, option, str(port)) as started:
                status, _, errors = started.ended()
            assert status == 1
            assert f"Port {port} is in use" in errors
            assert f"with {option}." in errors


@pytest.mark.parametrize(
    ("one", "other"), [("--port", "--fake-port"), ("--port", "--site-port"), ("--fake-port", "--site-port")]
)
def test_one_port_for_both_is_wrong_use(tmp_path: Path, one: str, other: str) -> None:
    with Started(tmp_path, "demo", one, "8392", other, "8392") as started:
        status, _, errors = started.ended()
    assert status == 2
    assert "both 8392" in errors


def test_without_the_sdk_it_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "segment").mkdir()
    (tmp_path / "segment" / "__init__.py").touch()  # stands before the real one, and has nothing in it
    with demo(tmp_path, PYTHONPATH=str(tmp_path)) as started:
        status, _, errors = started.ended()
    assert status == 1
    assert 'pip install ".[demo]"' in errors


# -- on a directory of the user's


def state(workspace: Workspace) -> object:
    return workspace.sources.all(), workspace.destinations()


def with_destination(kind: str, settings: dict[str, object]) -> Callable[[Workspace], object]:
    def add(workspace: Workspace) -> None:
        workspace.sources.add("demo", "demo")
        workspace.add_destination(kind, "demo", "totango", settings, DestinationState.on, {0: 0})

    return add


@pytest.mark.parametrize(
    "use",
    [
        lambda workspace: workspace.sources.add("web"),
        lambda workspace: workspace.sources.add("demo"),
        lambda workspace: (workspace.sources.add("web"), workspace.sources.remove("web")),
        with_destination("webhook", {"url": "https://example.com/"}),
        with_destination("totango", {"serviceId": "SP-1-01"}),
    ],
    ids=["another source", "a demo with a key of its own", "a source that was", "a webhook", "the real Totango"],
)
def test_a_workspace_that_somebody_uses_is_refused_and_stays_as_it_is(
    tmp_path: Path, use: Callable[[Workspace], object]
) -> None:
    with Workspace.open(tmp_path / "data") as workspace:
        use(workspace)
        before = state(workspace)
        with demo(tmp_path, "--data", "data") as started:
            status, _, errors = started.ended(ENDS)
        assert status == 1
        assert "not the demo's" in errors
        assert state(workspace) == before


def test_a_directory_with_a_running_server_is_refused_by_its_name(tmp_path: Path) -> None:
    with Milonga(tmp_path / "data").start() as milonga, demo(tmp_path, "--data", "data") as started:
        status, _, errors = started.ended(ENDS)
        assert status == 1
        assert str(milonga.pid) in errors
        assert milonga.ask("sources", "list") == []


def test_its_own_directory_works_again_on_other_ports(tmp_path: Path) -> None:
    for number in range(2):
        with demo(tmp_path, "--data", "data") as started:
            assert "Totango received 5 requests" in started.says(FAREWELL)
            if not number:
                Milonga(tmp_path / "data").say("destinations", "pause", "totango")
            started.signal(signal.SIGINT)
            assert started.ended(ENDS)[0] == 0
    assert [source["name"] for source in Milonga(tmp_path / "data").ask("sources", "list")] == ["demo"]


def test_what_fails_later_leaves_no_key_that_anyone_can_guess(tmp_path: Path) -> None:
    log = tmp_path / "data" / "log"
    log.mkdir(parents=True)
    (log / "0000000000000001.db").write_bytes(b"not a log" * 1000)
    with demo(tmp_path, "--data", "data") as started:
        status, _, errors = started.ended(ENDS)
    assert status == 1
    assert "Traceback" not in errors
    assert "cannot be read" in errors
    assert Milonga(tmp_path / "data").ask("sources", "list") == []


def test_it_listens_to_signals_from_the_start(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        started.awake()
        assert catches(started.pid, signal.SIGINT)
        assert catches(started.pid, signal.SIGHUP)
