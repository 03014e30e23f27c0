"""
One stretch of the index while it is being made: from events of the log to its file. Used for the end of the log, which
grows, and for stretches that must be made again.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw

from milonga.eventlog.api import Offset
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.segment import open_settled, path_of
from milonga.index.stretch import Identity, OpenStretch, closed_path, identity_of, open_path, remove
from milonga.index.tail import PART, Tail
from milonga.index.terms import Seen


class Gone(Exception):
    """Its segment is not there any more, or was written anew meanwhile."""


class Building:
    """
    next    offset of the next event it wants
    tails   what is not in its file yet, oldest first; may be read by any thread
    calls   offsets of group calls that have a user
    """

    def __init__(self, folder: Path, log: Path, first: Offset, *, anew: bool, part: int = PART) -> None:
        """anew: whatever there is of an open file does not count. Gone if there is no such segment."""
        identity = identity_of(path_of(log, first), settled=False)
        if identity is None:
            raise Gone
        self.first, self._folder, self._log, self._part = first, folder, log, part
        if anew:
            remove(open_path(folder, first))
        # A settled segment has an index of message ids itself, and its stretch leaves them to it once it is closed.
        messages = self._settled() is None
        self._file = OpenStretch(folder, first, identity, messages=messages)
        self.next: Offset = self._file.upto + 1
        self.tails: Sequence[Tail] = ()
        self.calls: set[Offset] = set()
        self._tail = self._begun(self.next)

    @property
    def written_upto(self) -> Offset:
        return self._file.upto

    def add(self, seen: Seen) -> None:
        """Of the offset `next` or beyond. apsw.Error if a part cannot be written."""
        self._make_room(seen.offset)
        self._tail.add(seen)
        if seen.named is not None and seen.user is not None:
            self.calls.add(seen.offset)
        self.next = seen.offset + 1

    def skip(self, offset: Offset) -> None:
        """An event that cannot be read."""
        self._make_room(offset)
        self._tail.skip(offset)
        self.next = offset + 1

    def _make_room(self, offset: Offset) -> None:
        if self._tail.events == 0 and self._tail.upto < self._tail.begin + self._tail.base:
            self._tail = self._begun(offset)  # places before it may be missing
        elif self._tail.would_leave(offset):
            self.write()
            self._tail = self._begun(offset)
        if not self.tails:
            self.tails = (self._tail,)

    def _begun(self, first: Offset) -> Tail:
        return Tail(self.first, first, self._part, messages=self._file.messages)

    def write(self) -> None:
        """What is in memory is in the file on return. apsw.Error if nothing of it was kept."""
        tail = self._tail
        if tail.upto <= self._file.upto:
            return
        self._file.add(tail)
        self._tail = self._begun(tail.upto + 1)
        self.tails = ()

    def is_current(self) -> bool:
        """Whether its segment is still the one that was read."""
        return identity_of(path_of(self._log, self.first), settled=False) == self._file.identity

    def finish(self) -> bool:
        """
        To be called once its segment has no further events. False if it may still change: try again later.
        """
        self.write()
        settled = self._settled()
        if settled is None:
            return False
        if settled.inode != self._file.identity.inode:
            raise Gone
        closed_path(self._folder, self.first).unlink(missing_ok=True)
        self._file.shorten(settled)
        return True

    def _settled(self) -> Identity | None:
        path = path_of(self._log, self.first)
        before = identity_of(path, settled=True)
        try:
            found = open_settled(path)
        except (apsw.CantOpenError, *UNREADABLE):
            found = None
        if found is None:
            return None
        with closing(found):
            return before if identity_of(path, settled=True) == before else None

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        self.tails = ()
        self._file.discard()
