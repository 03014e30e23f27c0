"""A real Milonga in its own processes, for tests: started, asked, killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self

from tests.commands import Done
from tests.commands import milonga as command

PATIENCE = 60.0  #: seconds nothing here ever needs; beyond them a test fails


def eventually(what: Callable[[], bool], says: str | Callable[[], str], seconds: float = PATIENCE) -> None:
    """
    Poll until it is true.

    says  what never came true, or a function that finds out how far it came
    """
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {says if isinstance(says, str) else says()}")
        time.sleep(0.02)


class Milonga:
    """A data directory, and a server on it between `start` and `stop`."""

    def __init__(
        self,
        data: Path,
        *options: str,
        environment: Mapping[str, str] = {},
        under: tuple[str, ...] = (),
        console: bool = False,
        apart: bool = False,
    ) -> None:
        """
        options      of `milonga serve`
        environment  of the server and of commands, beside ours
        under        a program that starts the server, such as a tracer: then `pid` and all that kills mean that one
        apart        commands, too, are processes of their own, as they are where they shall find what the server finds
        console      with the console, at `console_url`; `first_link` sets the first password, until that is done
        """
        self.data = data
        self.port = 0
        self.console_url, self.first_link = "", ""
        self._console = console
        self._scheme = "http"
        self._options = options
        self._environment, self._under = environment, under
        self._apart = apart or bool(environment)
        self._process: subprocess.Popen[str] | None = None
        self._log = data.parent / "server.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self._log.exists():  # pytest shows it beside what failed
            print(f"--- the server's log\n{self.log_text()[-10_000:]}")
        if self._process is not None:
            self.stop()

    def start(self) -> Self:
        """Return once it takes events. It keeps its port over restarts."""
        line = self._begin()
        assert "takes events at" in line, (line, self._log.read_text()[-3000:])
        self._scheme, address = line.split("events at ")[1].split()[0].split("://")
        self.port = int(address.rsplit(":", 1)[1])
        if self._console:
            self._read_console()
        return self

    def _read_console(self) -> None:
        """What it says of the console: its address and, while nobody can log in, on a line of its own the link."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.console_url = line.split("console is at ")[1].split()[0].rstrip(".")
        self.first_link = self._process.stdout.readline().strip() if "this link" in line else ""

    def start_in_vain(self) -> int:
        """Start one that ends before it takes events; return its exit status."""
        line = self._begin()
        assert not line, line
        return self._ended()

    def try_to_start(self) -> str | None:
        """Start one that may not be able to, and stop it if it is. What it said if it was not."""
        port = ("--port", str(self.port))
        command = (sys.executable, "-m", "milonga", "serve", "--data", str(self.data), *port, *self._options)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if "takes events at" in line:
                    process.terminate()
                    process.communicate(timeout=PATIENCE)
                    return None
        return said

    def _begin(self) -> str:
        """The first line that it prints."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [
                    *self._under,
                    *(sys.executable, "-m", "milonga", "serve", "--data", str(self.data), "--port", str(self.port)),
                    *("--allow-private-destinations", *self._console_options(), *self._options),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._surroundings(),
            )
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _surroundings(self) -> dict[str, str]:
        return {**os.environ, "MILONGA_NO_CONSOLE": "" if self._console else "1", **self._environment}

    def _console_options(self) -> list[str]:
        """It keeps its port over restarts."""
        return [f"--console-port={self.console_url.rpartition(':')[2] or 0}"] if self._console else []

    def stop(self) -> int:
        """As a service manager would; return the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._ended()

    def _ended(self) -> int:
        assert self._process is not None
        status = self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return status

    @property
    def pid(self) -> int:
        """Of the collector, which is the parent."""
        assert self._process is not None
        return self._process.pid

    def delivery_pid(self) -> int | None:
        """Of the delivery process; None while there is none."""
        return self._child("delivery")

    def console_pid(self) -> int | None:
        """Of the process that shows the console; None while there is none."""
        return self._child("console")

    def _child(self, role: str) -> int | None:
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(OSError):
                if f"--role\0{role}\0".encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        return None

    def kill_collector(self) -> None:
        """SIGKILL; its child ends by itself."""
        assert self._process is not None
        self._process.kill()
        self._ended()

    def ended(self) -> int:
        """Wait for an end that it meets by itself; its exit status."""
        return self._ended()

    def kill_delivery(self) -> bool:
        """SIGKILL; it is started again by its parent. False if there was none at that moment."""
        return _kill(self.delivery_pid())

    def kill_console(self) -> bool:
        """The same of the process that shows the console."""
        return _kill(self.console_pid())

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def log_text(self) -> str:
        return self._log.read_text()

    def run(self, *words: str, text: str | None = None) -> Done:
        """A command on this data directory."""
        if self._apart:
            return self.run_apart(*words, text=text)
        return command(*words, "--data", str(self.data), text=text)

    def run_apart(self, *words: str, text: str | None = None) -> Done:
        """The same in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "milonga", *words, "--data", str(self.data)],
            capture_output=True,
            text=True,
            input=text,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **self._environment},
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def say(self, *words: str) -> str:
        """A command that must succeed; what it printed."""
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def ask(self, *words: str) -> Any:
        """A command's JSON."""
        return json.loads(self.say(*words, "--json"))

    def explain(self, message_id: str) -> dict[str, Any]:
        """What explain says of one event at its one destination."""
        (story,) = self.ask("explain", message_id)
        (at,) = story["destinations"]
        assert isinstance(at, dict)
        return at


def _kill(pid: int | None) -> bool:
    if pid is None:
        return False
    os.kill(pid, signal.SIGKILL)
    return True


class Client:
    """A sender that repeats what was not acknowledged, as the SDKs do, over one kept connection."""

    def __init__(self, port: int, key: str, patience: float = PATIENCE) -> None:
        """patience  seconds that a batch may take to be acknowledged"""
        self._port = port
        self._key = key
        self._patience = patience
        self._connection: HTTPConnection | None = None
        self.repeats = 0
        self.from_port = 0  #: of our end of the connection over which the last batch was acknowledged

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def send(self, events: list[dict[str, Any]], **shared: Any) -> None:
        """Return when the batch is acknowledged. shared: what it says for all its events."""
        body = json.dumps({"writeKey": self._key, **shared, "batch": events})
        deadline = time.monotonic() + self._patience
        while not self._once(body):
            assert time.monotonic() < deadline, "never acknowledged"
            self.repeats += 1
            time.sleep(0.05)

    def _once(self, body: str) -> bool:
        try:
            if self._connection is None:
                self._connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
            if self._connection.sock is None:
                self._connection.connect()
            self.from_port = self._connection.sock.getsockname()[1]
            self._connection.request("POST", "/v1/batch", body)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            self._close()
            return False
        assert answer.status in {200, 429, 503}, answer.status
        return answer.status == 200

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def track(number: int, user: str, account: str, **more: Any) -> dict[str, Any]:
    """A track call whose number can be found again in what the receiver got."""
    return {
        "type": "track",
        "messageId": f"m-{number}",
        "userId": user,
        "event": f"e-{number}",
        "properties": {"category": "Load", "filler": "x" * 200},
        "context": {"groupId": account},
        **more,
    }


def in_threads(jobs: Iterable[Callable[[], None]]) -> "Crowd":
    return Crowd(list(jobs))


class Crowd:
    """Jobs that run side by side; what fails in one fails in `join`."""

    def __init__(self, jobs: list[Callable[[], None]]) -> None:
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(job,), daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            self._errors.append(error)

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self, seconds: float = 300.0) -> None:
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), "a job never ended"
        if self._errors:
            raise self._errors[0]


def batches(events: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for at in range(0, len(events), size):
        yield events[at : at + size]
