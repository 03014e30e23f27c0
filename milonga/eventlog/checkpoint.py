"""
Checkpoints beside the commits. SQLite's own happen within a commit, which then takes as long as writing 16 MB does.
Here a second thread copies nearly all of the write-ahead log into the file; the writer copies the rest, a page or a
few, between two groups, so that the log can begin again from its start.
"""

import threading
from contextlib import suppress
from pathlib import Path

import apsw
import structlog

from milonga.eventlog.active import ActiveSegment
from milonga.eventlog.segment import open_to_write

FRAMES = 512  #: pages of 16 kB in the write-ahead log before a checkpoint begins
REST = 64  #: pages the writer copies itself
MOST_FRAMES = 8 * FRAMES  #: from here on the writer copies all of it itself

log = structlog.get_logger("milonga.eventlog")


class Checkpointer:
    """`after_commit` and `leave` are the writer's to call, from its thread."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="eventlog-checkpoint", daemon=True)
        self._asked = threading.Event()
        self._path: Path | None = None
        self._busy = False
        self._ended = False
        self._rest_is_small = False
        self._next = FRAMES

    def start(self) -> None:
        self._thread.start()

    def after_commit(self, active: ActiveSegment) -> None:
        """Between two groups."""
        frames = active.wal_frames
        if self._rest_is_small or (frames >= MOST_FRAMES and frames >= self._next):
            self._rest_is_small = False
            self._next = frames + FRAMES
            with suppress(apsw.Error):
                active.checkpoint()
        elif frames < self._next - FRAMES:
            self._next = FRAMES  # the log began again
        elif frames >= self._next and not self._busy:
            self._path = active.path
            self._busy = True
            self._asked.set()

    def leave(self) -> None:
        """The segment is sealed: its last checkpoint is somebody else's."""
        self._rest_is_small = False
        self._next = FRAMES
        self._path = None
        self._asked.set()

    def stop(self) -> None:
        self._ended = True
        self._asked.set()
        self._thread.join()

    def _run(self) -> None:
        path: Path | None = None
        connection: apsw.Connection | None = None
        while True:
            self._asked.wait()
            self._asked.clear()
            try:
                if path != self._path or self._ended:
                    if connection is not None:
                        connection.close()
                    path, connection = self._path, None
                if self._ended:
                    return
                if path is not None:
                    connection = connection or open_to_write(path, cache=256)
                    rest = _copy(connection)
                    self._rest_is_small = rest <= REST and path == self._path
            except apsw.BusyError:
                pass  # the writer is at it, or the keeper: the segment has just been sealed
            except (apsw.Error, OSError) as error:
                log.warning("checkpoint_failed", segment=str(path), error=str(error))
            finally:
                self._busy = False


def _copy(connection: apsw.Connection) -> int:
    """As long as it pays; the number of pages left, because they came meanwhile or a reader is in the way."""
    rest = 0
    for _ in range(4):
        frames, done = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        rest = frames - done
        if rest <= REST:
            break
    return rest
