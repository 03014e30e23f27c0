"""
Dry runs of replays beside the pages: `milonga replay --dry-run` as a process of its own, so that however long a log is,
no page waits for it. One at a time for each destination, few in all; what they found is kept for a while.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

from msgspec import Struct

from milonga.delivery.selection import Selection
from milonga.outcomes.words import instant
from milonga.workspace.errors import UserError

AT_ONCE: Final = 2  #: that run
KEPT: Final = 30  #: in all
KEEP: Final = 3_600.0  #: seconds after its end
LONGEST: Final = 4_000_000  #: bytes of what one found
NOTES: Final = 10  #: lines that it had to say
PATIENCE: Final = 5.0  #: seconds for one to end when it is told to


class Wanted(Struct, frozen=True, kw_only=True):
    """
    destination, name  its id, and what it was called when this was asked for
    rate               events a second, if it is replayed
    overwrite          also what newer events have set
    """

    destination: int
    name: str
    selection: Selection
    rate: float
    overwrite: bool


class DryRun:
    """
    state     running, done, failed, cancelled
    at        unix milliseconds: when it was begun
    progress  (what is done, events looked at, of about so many); None before it says
    found     as `milonga replay --dry-run --json` prints it; None until it is done
    notes     what it had to say besides
    """

    def __init__(self, id_: int, wanted: Wanted, by: str, process: "subprocess.Popen[bytes]", out: IO[bytes]) -> None:
        self.id, self.wanted, self.by = id_, wanted, by
        self.at = time.time_ns() // 1_000_000
        self.state: Literal["running", "done", "failed", "cancelled"] = "running"
        self.progress: tuple[str, int, int] | None = None
        self.found: dict[str, Any] | None = None
        self.notes: list[str] = []
        self.ended = 0.0  #: seconds of the monotonic clock
        self._process, self._out = process, out
        self._thread = threading.Thread(target=self._follow, name=f"dry run {id_}", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """It ends within PATIENCE; what has ended stays as it is."""
        if self.state == "running":
            self.state = "cancelled"
            self._process.terminate()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join(PATIENCE)

    def _follow(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        try:
            with self._process.stderr as lines:
                for line in lines:
                    self._hear(line.decode(errors="replace").strip())
            code = self._process.wait()
            self._out.seek(0)
            text = self._out.read(LONGEST + 1)
            if self.state == "running":
                self._end(code, text)
        finally:
            self._out.close()
            self.ended = time.monotonic()

    def _hear(self, line: str) -> None:
        try:
            what, looked, of = json.loads(line)
            self.progress = (str(what), int(looked), int(of))
        except (ValueError, TypeError):
            if line and len(self.notes) < NOTES:
                self.notes.append(line.removeprefix("milonga: ")[:500])

    def _end(self, code: int, text: bytes) -> None:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if code == 0 and isinstance(found, dict) and len(text) <= LONGEST:
            self.found, self.state = found, "done"
        else:
            self.state = "failed"


class DryRuns:
    def __init__(self, data: Path, command: Callable[[Path, Wanted], Iterable[str]] | None = None) -> None:
        """command: the words of the process; for tests"""
        self._data, self._command = data, command or _command
        self._lock = threading.Lock()
        self._runs: dict[int, DryRun] = {}
        self._last = 0
        self._closed = False

    def begin(self, wanted: Wanted, by: str) -> DryRun:
        """UserError if the destination has one, or too many run."""
        with self._lock:
            self._forget()
            running = [run for run in self._runs.values() if run.state == "running"]
            if any(run.wanted.destination == wanted.destination for run in running):
                raise UserError(f"A dry run for {wanted.name} is under way. Wait for it, or stop it.")
            if len(running) >= AT_ONCE or self._closed:
                raise UserError("Other dry runs are under way. Wait for one of them, or stop it.")
            self._last += 1
            out = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call
            try:
                process = subprocess.Popen(  # noqa: S603 - our own command; what a person chose are single arguments
                    list(self._command(self._data, wanted)),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.PIPE,
                )
            except OSError as error:
                out.close()
                raise UserError(f"It cannot be begun: {error}.") from error
            run = self._runs[self._last] = DryRun(self._last, wanted, by, process, out)
            return run

    def one(self, id_: int) -> DryRun | None:
        with self._lock:
            return self._runs.get(id_)

    def all(self) -> list[DryRun]:
        """Newest first."""
        with self._lock:
            self._forget()
            return [self._runs[id_] for id_ in sorted(self._runs, reverse=True)]

    def close(self) -> None:
        """None runs any more."""
        with self._lock:
            self._closed = True
            runs = list(self._runs.values())
        for run in runs:
            run.cancel()

    def _forget(self) -> None:
        ended = [run for run in self._runs.values() if run.state != "running" and run.ended]
        for place, run in enumerate(sorted(ended, key=lambda one: one.ended, reverse=True)):
            if place >= KEPT or time.monotonic() - run.ended > KEEP:
                del self._runs[run.id]


def _command(data: Path, wanted: Wanted) -> Iterator[str]:
    yield from (sys.executable, "-m", "milonga", "replay", "--data", str(data), "--dry-run", "--json", "--progress")
    selection = wanted.selection
    yield from ("--from", instant(selection.since), "--to", instant(selection.until))
    for option, value in (
        ("type", selection.type),
        ("account", selection.account),
        ("user", selection.user),
        ("event", selection.name),
        ("code", selection.code),
    ):
        if value is not None:
            yield f"--{option}={value}"
    for partition, offset in selection.positions or ():
        yield f"--at={partition}-{offset}"
    if selection.find_accounts:
        yield "--find-accounts"
    if wanted.overwrite:
        yield "--overwrite"
    yield from ("--", wanted.name)
