"""The main job of the README: one command, a real SDK session, and what Totango received."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.running import PATIENCE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(tmp_path: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "milonga", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )


def test_the_demo_prints_the_requests_of_the_published_session_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    port, fake_port = free_port(), free_port()
    demo = start(tmp_path, "--port", str(port), "--fake-port", str(fake_port))
    assert demo.stdout is not None
    said: list[str] = []
    while "Ctrl-C ends the demo" not in (said[-1] if said else ""):
        said.append(demo.stdout.readline())
        assert said[-1], demo.stderr.read() if demo.stderr else ""
    text = "".join(said)
    params = [dict(re.findall(r"^  (\S+) +(.+)$", block, re.MULTILINE)) for block in text.split("\n\n")[1:6]]
    ids = {"sdr_s": "SP-00000-01", "sdr_o": "sjsj2hdj2", "sdr_u": "29ej29d"}
    assert [{k: v for k, v in one.items() if k not in ids} for one in params[1:]] == [
        {"sdr_o.account_name": "Initech", "sdr_o.Status": "Paying", "sdr_o.website": "https://initech.example"},
        {"sdr_a": "Viewed Blog Page", "sdr_m": "Blog"},
        {"sdr_a": "Viewed Blog 15,000 Ways to Increase Conversion Page", "sdr_m": "Blog"},
        {"sdr_a": "Completed Purchase", "sdr_m": "Conversion"},
    ]
    assert all(one.items() >= ids.items() for one in params)
    with urllib.request.urlopen(f"http://127.0.0.1:{fake_port}/", timeout=PATIENCE) as page:
        assert "Initech" in page.read().decode()

    (curl,) = re.findall(r"^  (curl .*?\}'\n)", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == '{"success": true}'

    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = start(tmp_path, "--port", str(port), "--fake-port", str(free_port()))
        _, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 1
    assert f"Port {port} is in use" in errors
    assert "--port" in errors
