"""
Wrong passwords on their way to the audit log. The first is written at once; those that follow are gathered and written
once in EVERY seconds, so that whoever guesses does not have the disk written to as often as he likes.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from milonga.workspace.errors import UserError
from milonga.workspace.store import Workspace
from milonga.workspace.throttle import LONGEST_NAME, network_of

log = structlog.get_logger("milonga.console")

EVERY: Final = 5.0  #: seconds
MOST: Final = 100  #: names and addresses of one time; further ones are counted together
OTHERS: Final = ("", "others")


class Failures:
    """For pages in several threads."""

    def __init__(self, data: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """clock  seconds"""
        self._data, self._clock = data, clock
        self._lock = threading.Lock()
        self._gathered: Counter[tuple[str, str]] = Counter()
        self._written: float | None = None
        self._timer: threading.Timer | None = None

    def add(self, name: str, address: str) -> None:
        """A name and a password did not go together."""
        key = (name[:LONGEST_NAME], network_of(address))
        with self._lock:
            self._gathered[key if key in self._gathered or len(self._gathered) < MOST else OTHERS] += 1
            if self._timer is not None:
                return
            wait = 0.0 if self._written is None else self._written + EVERY - self._clock()
            if wait > 0.0:
                self._timer = threading.Timer(wait, self.write)
                self._timer.daemon = True
                self._timer.start()
                return
        self.write()

    def write(self) -> None:
        """What was gathered. What cannot be written now is told by the server's log."""
        with self._lock:
            gathered, self._gathered = self._gathered, Counter()
            self._written, self._timer = self._clock(), None
        if not gathered:
            return
        try:
            with Workspace.open(self._data) as workspace:
                workspace.sessions.failed(gathered)
        except UserError as error:
            log.error("console.failed_attempts_not_recorded", attempts=gathered.total(), error=str(error))

    def close(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.write()
