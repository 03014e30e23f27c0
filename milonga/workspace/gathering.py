"""
What happens as often as somebody else likes, on its way to the audit log: attempts to come in that failed, and events
that were exported or read. The first is written at once; those that follow are gathered and written once in EVERY
seconds, so that nobody has the disk written to as often as he likes.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from milonga.workspace.audit import Often
from milonga.workspace.errors import UserError
from milonga.workspace.store import Workspace

log = structlog.get_logger("milonga.workspace")

EVERY: Final = 5.0  #: seconds
MOST: Final = 100  #: told apart within one time; of further ones, those of one person and deed are counted together
OTHERS: Final = "others"  #: their address


class Gathering:
    """For several threads."""

    def __init__(self, data: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """clock  seconds"""
        self._data, self._clock = data, clock
        self._lock = threading.Lock()
        self._gathered: Counter[Often] = Counter()
        self._written: float | None = None
        self._timer: threading.Timer | None = None

    def add(self, one: Often, n: int = 1) -> None:
        """It happened once, to so many things. This may write to the disk."""
        with self._lock:
            if one not in self._gathered and len(self._gathered) >= MOST:
                one = Often(one.by, one.what, "", OTHERS, one.unit)
            self._gathered[one] += n
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
                workspace.audit.gathered(gathered)
        except UserError as error:
            deeds = Counter[str]()
            for one, n in gathered.items():
                deeds[one.what] += n
            log.error("workspace.not_in_the_audit_log", error=str(error), lost=dict(deeds))

    def close(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.write()
