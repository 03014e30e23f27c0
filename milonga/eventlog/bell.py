"""
Waking readers in other processes: each has a named pipe in `<log>/bells/`, and the writer puts a byte into every one
of them after a commit. A bell may be missed: whoever waits also looks for himself now and then.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def bells_of(folder: Path) -> Path:
    return folder / "bells"


class Bells:
    """The writer's side. One thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = bells_of(folder)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._seen = -1
        self._open: list[int] = []

    def ring(self) -> None:
        """Never waits, never fails."""
        with suppress(OSError):
            changed = os.stat(self._folder).st_mtime_ns  # noqa: PTH116 - once per commit: the Path costs more
            if changed != self._seen:
                self._look(changed)
        for bell in tuple(self._open):
            try:
                os.write(bell, b"\0")
            except BlockingIOError:
                continue  # full: that reader has plenty to wake up for
            except OSError:
                self._open.remove(bell)
                os.close(bell)

    def _look(self, changed: int) -> None:
        """A reader renames its pipe into place once it has it open, so a changed folder says all."""
        self.close()
        self._seen = changed
        for path in self._folder.iterdir():
            with suppress(OSError):
                self._open.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    def close(self) -> None:
        for bell in self._open:
            os.close(bell)
        self._open.clear()


class Bell:
    """A reader's side, on the running event loop. The folder of the log must exist."""

    def __init__(self, folder: Path, name: str, on_ring: Callable[[], None]) -> None:
        self._path = bells_of(folder) / name
        self._on_ring = on_ring
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = self._path.parent / f".{name}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        os.mkfifo(draft, 0o600)
        self._pipe = os.open(draft, os.O_RDWR | os.O_NONBLOCK)
        draft.rename(self._path)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe, self._rung)

    def _rung(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._pipe, 65_536)
        self._on_ring()

    def knock(self) -> None:
        """An event came and the bell did not ring: have the writer look at the bells again."""
        with suppress(OSError):
            os.utime(self._path.parent)

    def close(self) -> None:
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self._path.unlink(missing_ok=True)
