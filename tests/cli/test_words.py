"""What commands say when something is not as it should be."""

import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from milonga.workspace.store import Workspace
from tests.commands import asked, in_a_process, milonga

HUSH = "hush-hush-4711"
SERVICE = ("--set", "serviceId=SP-1-1")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Workspace.open(tmp_path / "data") as workspace:
        workspace.sources.add("web", "demo")
    return tmp_path / "data"


@pytest.mark.parametrize(
    "words",
    [
        ("sources", "list"),
        ("sources", "add", "web"),
        ("destinations", "list"),
        ("destinations", "show", "totango"),
        ("events", "list"),
        ("events", "counts"),
        ("explain", "m-1"),
        ("dead", "list"),
        ("serve", "--port", "0"),
    ],
)
def test_a_file_in_the_place_of_the_data_directory_is_called_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "afile"
    file.write_text("not a directory")
    done = in_a_process(*words, "--data", str(file)) if words[0] == "serve" else milonga(*words, "--data", str(file))
    assert done.returncode == 1
    assert f"{file} is a file, not a directory" in done.stderr
    assert file.read_text() == "not a directory"


@pytest.mark.parametrize("words", [("sources", "add", "web"), ("events", "list"), ("translate", "totango")])
def test_an_empty_data_directory_is_no_name_for_the_one_we_are_in(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = milonga(*words, "--data", "")
    assert done.returncode == 2
    assert "It is empty" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "kept"),
    [(("sources", "remove", "other"), "sources"), (("destinations", "remove", "totango"), "destinations")],
)
def test_what_cannot_be_taken_back_needs_a_yes_where_nobody_can_be_asked(
    data: Path, words: tuple[str, ...], kept: str
) -> None:
    at = ("--data", str(data))
    milonga("sources", "add", "other", *at)
    milonga("destinations", "add", "totango", "--source", "web", *SERVICE, *at)
    before = len(asked(kept, "list", *at))
    done = milonga(*words, *at)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--yes" in done.stderr
    assert len(asked(kept, "list", *at)) == before
    done = milonga(*words, "--yes", "--json", *at)
    assert json.loads(done.stdout)["removed"] == words[-1]
    assert len(asked(kept, "list", *at)) == before - 1


def test_switching_off_goes_ahead_where_nobody_can_be_asked(data: Path) -> None:
    at = ("--data", str(data))
    milonga("destinations", "add", "totango", "--source", "web", *SERVICE, *at)
    assert milonga("destinations", "disable", "totango", *at).returncode == 0


def test_settings_that_are_there_already_are_not_said_to_come_into_force(data: Path) -> None:
    at = ("--data", str(data))
    milonga("destinations", "add", "totango", "--source", "web", *SERVICE, *at)
    done = milonga("destinations", "set", "totango", "serviceId=SP-1-1", *at)
    assert (done.returncode, done.stdout) == (0, "These are its settings already. totango is on.\n")


def test_a_switch_is_true_or_false_and_takes_yes_too(data: Path) -> None:
    at = ("--data", str(data))
    milonga("destinations", "add", "totango", "--source", "web", *SERVICE, *at)
    done = milonga("destinations", "set", "totango", "trackNamedPages=maybe", *at)
    assert "must be true or false, not 'maybe'.\n" in done.stderr
    assert (
        "trackNamedPages: Track Named Pages to Totango (true or false)"
        in milonga("destinations", "kinds", "totango").stdout
    )
    milonga("destinations", "set", "totango", "trackNamedPages=no", *at)
    assert asked("destinations", "show", "totango", *at)["settings"]["trackNamedPages"] is False


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('{"servceId": "x"}', "Did you mean serviceId?"),
        ('{"region": "mars"}', "region (Region) must be one of"),
        ('{"trackNamedPages": "maybe"}', "must be true or false"),
        ("[1]", "neither a JSON object nor a file"),
        ('{"a": ', "no JSON object"),
    ],
)
def test_translate_speaks_of_settings_as_the_destinations_do(settings: str, says: str) -> None:
    done = milonga("translate", "totango", "--settings", settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_translate_still_names_no_destination_in_a_fix() -> None:
    event = '{"type": "track", "event": "Saved", "userId": "ada", "context": {"groupId": "acme"}}'
    done = in_a_process("translate", "totango", text=event)
    assert "milonga destinations set NAME" in json.loads(done.stdout)["skip"]["fix"]


def test_a_port_in_use_is_told_with_the_option_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = in_a_process("fake", "totango", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert "--port" in done.stderr


def test_at_a_terminal_a_secret_is_asked_for_and_not_shown(data: Path) -> None:
    at = ("--data", str(data))
    milonga("destinations", "add", "totango", "--source", "web", *SERVICE, *at)
    person, terminal = pty.openpty()
    command = [sys.executable, "-m", "milonga", "destinations", "set", "totango", "--set", "sdrToken=-", *at]
    # In a session of its own, so that it cannot ask at the terminal that the tests may have been started from.
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as asking:
        assert asking.stderr is not None
        prompt = b""
        while b"not shown: " not in prompt:
            part = os.read(asking.stderr.fileno(), 1000)
            assert part, prompt
            prompt += part
        os.write(person, f"{HUSH}\n".encode())
        out, errors = asking.communicate(timeout=60)
    os.set_blocking(person, False)
    try:
        echoed = os.read(person, 10_000)
    except BlockingIOError:
        echoed = b""
    os.close(person)
    os.close(terminal)
    assert asking.returncode == 0, errors
    assert b"SDR Token (sdrToken)" in prompt
    assert HUSH.encode() not in echoed + prompt + out + errors
    with Workspace.open(data) as workspace:
        assert getattr(workspace.destination("totango").settings, "sdr_token", "") == HUSH


def test_json_is_camel_case_with_iso_times_everywhere(data: Path) -> None:
    at = ("--data", str(data))
    milonga("destinations", "add", "totango", "--source", "web", *SERVICE, *at)
    (source,) = asked("sources", "list", *at)
    assert source["destinations"] == ["totango"]
    assert source["createdAt"].endswith("Z")
    (listed,) = asked("destinations", "list", *at)
    details = asked("destinations", "show", "totango", *at)
    assert listed.items() <= details.items()
    assert listed["since"].endswith("Z")
    assert all(entry["at"].endswith("Z") for entry in details["history"])
    assert not [name for name in (*source, *details) if "_" in name]
    assert asked("events", "list", *at) == asked("events", "counts", *at) == asked("dead", "list", *at) == []
