"""`milonga serve` starts, or says why not; and whatever ends it, at whatever moment, nothing runs on."""

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import pytest

from milonga import __version__
from milonga.cli import processes
from milonga.workspace.lock import DataLock, holders
from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, in_threads, track
from tests.started import Started, catches, lives

LISTENS = "takes events at"
ENDS = 15.0  #: seconds; it takes about one


def serve(folder: Path, *options: str, command: tuple[str, ...] = ()) -> Started:
    return Started(folder, "serve", "--port", "0", "--data", "data", *options, command=command)


def delivery_of(started: Started) -> int:
    """Its pid, once it has got as far as to hold the data directory."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [one.pid for one in holders(started.folder / "data") if one.role == "delivery"]
        return bool(found) and found[0] in started.pids()

    eventually(there, "a delivery process")
    return found[0]


def test_the_version_can_be_asked_for(tmp_path: Path) -> None:
    with Started(tmp_path, "--version") as started:
        assert started.ended() == (0, f"milonga {__version__}\n", "")


# -- it cannot start


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine"),
        ("nowhere.invalid", "'nowhere.invalid' is neither an address nor a name that can be resolved"),
        ("x" * 70, "neither an address nor a name that can be resolved"),
    ],
    ids=["of another machine", "a name that nobody knows", "no name at all"],
)
def test_an_address_that_cannot_be_listened_on_is_called_what_it_is(tmp_path: Path, host: str, words: str) -> None:
    with serve(tmp_path, "--host", host) as started:
        status, said, errors = started.ended()
        assert (status, said) == (1, "")
        assert words in errors
        assert "another program" not in errors
        started.gone(0)


def test_a_port_in_use_is_refused_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serve(tmp_path, "--port", str(port)) as started:
            status, _, errors = started.ended()
            started.gone(0)
    assert status == 1
    assert errors == (
        f"milonga: Port {port} of 127.0.0.1 is in use by another program. "
        "Choose another with --port; 0 is any free one.\n"
    )


def test_when_delivery_cannot_start_it_says_why_once_and_events_are_kept(tmp_path: Path) -> None:
    milonga = Milonga(tmp_path / "data")
    milonga.say("sources", "add", "web", "--write-key", KEY)
    store = apsw.Connection(str(tmp_path / "data" / "delivery.db"))
    store.pragma("user_version", 99)
    with serve(tmp_path) as started:
        port = int(started.says(LISTENS).split("http://127.0.0.1:")[1].split()[0])
        tries: set[int] = set()

        def tried_again() -> bool:
            tries.update(started.children())
            return len(tries) >= 3

        eventually(tried_again, "another try")
        with Client(port, KEY) as client:
            client.send([track(1, "u", "a")])
        store.pragma("user_version", 0)
        store.close()
        (tmp_path / "data" / "delivery.db").unlink()
        delivery_of(started)
        started.signal(signal.SIGTERM)
        status, _, errors = started.ended(ENDS)
    assert status == 0
    assert errors.count("process.cannot_start") == 1
    assert errors.count("written by another version of Milonga") == 1
    assert "process.died" not in errors
    assert milonga.ask("events", "list")[0]["messageId"] == "m-1"


# -- it is told to stop

PARENT_ENDS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def stop_at(folder: Path, number: signal.Signals, moment: float, single: bool) -> None:
    with serve(folder / f"{number.name}-{moment:.2f}-{single}", *(["--single"] if single else [])) as started:
        started.awake()
        with pytest.raises(subprocess.TimeoutExpired):
            started.process.wait(moment)  # the moment itself is what is tried
        started.signal(number)
        status, _, errors = started.ended(ENDS)
        assert (status, errors) == (0, ""), (number, moment, single)
        started.gone(0)


def test_it_stops_at_any_moment_with_0_and_nothing_runs_on(tmp_path: Path) -> None:
    tries = [
        partial(stop_at, tmp_path, PARENT_ENDS[step % 3], 0.08 * step, single)
        for step in range(15)
        for single in (False, True)
    ]
    for at in range(0, len(tries), 3):
        in_threads(tries[at : at + 3]).join()


def hit_child_at(folder: Path, number: signal.Signals, moment: float) -> None:
    with serve(folder / f"{number.name}-{moment:.1f}") as started:
        started.says(LISTENS)
        found: list[int] = []

        def there() -> bool:
            found[:] = started.children()
            return bool(found)

        eventually(there, "a child")
        if number is signal.SIGINT:  # before our code has begun, Python itself says KeyboardInterrupt
            eventually(lambda: catches(found[0], signal.SIGTERM), "our code has begun")
        with pytest.raises(subprocess.TimeoutExpired):
            started.process.wait(moment)
        os.kill(found[0], number)
        eventually(lambda: found[0] not in started.pids(), f"the child ended by {number.name}")
        assert delivery_of(started) != found[0]
        started.signal(signal.SIGTERM)
        status, _, errors = started.ended(ENDS)
        assert status == 0
        assert errors.count("process.died") == 1
        assert "Traceback" not in errors
        started.gone(0)


def test_a_delivery_process_that_is_ended_at_any_moment_is_started_again(tmp_path: Path) -> None:
    tries = [
        partial(hit_child_at, tmp_path, number, moment)
        for moment in (0.0, 0.2, 0.5)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    ]
    for at in range(0, len(tries), 3):
        in_threads(tries[at : at + 3]).join()


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.1, 0.2, 0.5])
def test_ctrl_c_ends_any_other_command_without_a_traceback(tmp_path: Path, moment: float) -> None:
    reading, writing = os.pipe()  # what it waits for in the end
    with Started(tmp_path, "translate", "totango", f"/dev/fd/{reading}", keep_open=(reading,)) as started:
        os.close(reading)
        maps = Path(f"/proc/{started.pid}/maps")
        eventually(lambda: "/apsw/" in maps.read_text(), "our code has begun, and is being imported")
        with pytest.raises(subprocess.TimeoutExpired):
            started.process.wait(moment)
        started.signal(signal.SIGINT)
        status, _, errors = started.ended(ENDS)
        assert status in {-signal.SIGINT, 128 + signal.SIGINT}
        assert "Traceback" not in errors
    os.close(writing)


def test_nohup_holds(tmp_path: Path) -> None:
    with serve(tmp_path, command=("nohup", sys.executable, "-m", "milonga")) as started:
        port = started.says(LISTENS).split("http://127.0.0.1:")[1].split()[0]
        started.signal(signal.SIGHUP)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            assert answer.status == 200
        started.signal(signal.SIGTERM)
        assert started.ended(ENDS)[0] == 0


def test_a_delivery_process_that_hangs_is_killed_after_its_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.5)

    async def run(lock: DataLock) -> None:
        stop = asyncio.Event()
        child = processes.Child(role="delivery", options=[], meanwhile="")
        keeping = asyncio.create_task(processes.keep(child, tmp_path, lock.fileno(), stop))
        mine = os.getpid()
        while not (found := [one.pid for one in holders(tmp_path) if one.pid != mine and one.role == "delivery"]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        os.kill(found[0], signal.SIGSTOP)
        stop.set()
        async with asyncio.timeout(ENDS):
            await keeping
        with pytest.raises(ProcessLookupError):
            os.kill(found[0], 0)

    with DataLock.acquire(tmp_path, "serve") as lock:
        asyncio.run(run(lock))


# -- it is killed


@pytest.mark.parametrize("moment", [0.0, 0.3, 1.0])
def test_after_a_sigkill_its_child_is_gone_soon_and_a_new_server_starts(tmp_path: Path, moment: float) -> None:
    with serve(tmp_path) as started:
        started.awake()
        if moment:
            eventually(lambda: bool(started.children()), "a child")
        with pytest.raises(subprocess.TimeoutExpired):
            started.process.wait(moment)
        started.signal(signal.SIGKILL)
        with serve(tmp_path) as new:
            new.says(LISTENS)
            started.gone()
            delivery_of(new)
            new.signal(signal.SIGTERM)
            assert new.ended(ENDS)[0] == 0


def test_a_killed_servers_child_does_not_wait_for_a_receiver_that_hangs(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(delay_ms=60_000)
    with Client(milonga.port, KEY) as client:
        client.send([track(1, "u", "a")])
    eventually(lambda: totango.received() > 0, "a request that hangs")
    child = milonga.delivery_pid()
    assert child is not None
    milonga.kill_collector()
    eventually(lambda: not lives(child), "the child gone", 30.0)  # the receiver hangs for longer
    totango.behave_well()
    milonga.start()
    eventually(lambda: milonga.explain("m-1")["state"] == "delivered", "delivered by the new one")


# -- in a terminal


def in_terminal(folder: Path, *words: str) -> tuple[Started, int]:
    """The process leads a session whose terminal is ours to type into."""
    ours, theirs = pty.openpty()
    attach = (
        "import fcntl, os, sys, termios; os.setsid(); "
        f"fcntl.ioctl({theirs}, termios.TIOCSCTTY, 0); os.dup2({theirs}, 0); "
        "os.execv(sys.executable, [sys.executable, '-m', 'milonga', *sys.argv[1:]])"
    )
    os.set_inheritable(theirs, True)
    started = Started(folder, *words, command=(sys.executable, "-c", attach), keep_open=(theirs,))
    os.close(theirs)
    return started, ours


def leaves(started: Started) -> None:
    status, _, errors = started.ended(ENDS)
    assert status == 0
    assert errors == ""
    started.gone(0)


@pytest.mark.parametrize("act", [lambda ours: os.write(ours, b"\x03"), os.close], ids=["Ctrl-C", "closed"])
def test_ctrl_c_and_a_closed_terminal_stop_it_in_good_order(tmp_path: Path, act: Callable[[int], object]) -> None:
    """The child is told by its parent alone: had Ctrl-C reached it too, its end would be a death to the parent."""
    started, ours = in_terminal(tmp_path, "serve", "--port", "0", "--data", "data")
    with started:
        started.says(LISTENS)
        child = delivery_of(started)
        assert os.getsid(child) != os.getsid(started.pid)
        act(ours)
        leaves(started)
