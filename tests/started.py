"""A command that a person starts in a terminal and ends: its processes, all of them, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from uuid import uuid4

from tests.running import PATIENCE, eventually

MARK = "MILONGA_TEST_MARK"


class Started:
    """`milonga WORDS`, or `command` in its place, in a folder of its own, which is its temporary directory as well."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        command: tuple[str, ...] = (),
        keep_open: tuple[int, ...] = (),
        environment: Mapping[str, str] = {},
    ) -> None:
        """keep_open  files it inherits"""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._mark = uuid4().hex
        self.process = subprocess.Popen(
            [*(command or (sys.executable, "-m", "milonga")), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            pass_fds=keep_open,
            env={**os.environ, "TMPDIR": str(folder), MARK: self._mark, **environment},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        if self.process.returncode is None:
            self.process.communicate()

    @property
    def pid(self) -> int:
        return self.process.pid

    def pids(self) -> list[int]:
        """Of everything that was started by it and lives, whoever its parent is now."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                ours = f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if ours and lives(int(folder.name)):
                found.append(int(folder.name))
        return found

    def children(self) -> list[int]:
        return [pid for pid in self.pids() if pid != self.pid]

    def awake(self) -> Self:
        """Wait until Python has begun with our code: before, a signal ends it as it ends any program."""
        eventually(lambda: catches(self.pid, signal.SIGTERM), "signals are listened to")
        return self

    def says(self, words: str) -> str:
        """Read its standard output up to the line that holds this; return all of it."""
        assert self.process.stdout is not None
        text = ""
        while words not in text:
            line = self.process.stdout.readline()
            assert line, (text, self.process.stderr.read() if self.process.stderr else "")
            text += line
        return text

    def signal(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            self.process.send_signal(number)

    def ended(self, seconds: float = PATIENCE) -> tuple[int, str, str]:
        """Its exit status, and what else it said on its two outputs."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def gone(self, seconds: float = PATIENCE) -> None:
        """Wait for the end of all of it."""
        deadline = time.monotonic() + seconds
        while left := self.pids():
            assert time.monotonic() < deadline, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]
            time.sleep(0.02)


def lives(pid: int) -> bool:
    """Not if it has ended and merely nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for it."""
    return _has(pid, "SigCgt", number)


def waits(pid: int, number: signal.Signals) -> bool:
    """Whether the signal was sent to the process and has not reached it, because that is stopped."""
    return _has(pid, "ShdPnd", number)


def _has(pid: int, name: str, number: signal.Signals) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    (line,) = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
