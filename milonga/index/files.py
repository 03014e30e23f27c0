"""The stretches of an index as whoever asks sees them, files and memory alike. For one thread at a time."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import apsw

from milonga.eventlog.api import Offset
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.segment import list_segments
from milonga.index.facts import AccountFacts
from milonga.index.stretch import Stretch, Unknown, closed_path, open_path, stretches
from milonga.index.tail import Part, Tail
from milonga.index.terms import Dim

MOST_OPEN: Final = 128  #: files; a log of 10 million events has 50 to 80


Report: TypeAlias = Callable[[Offset], None]
"""Takes the first offset of a stretch whose file cannot be read."""


class Piece:
    """What is known of one segment of the log: a file, events in memory, or both."""

    def __init__(self, first: Offset, file: Stretch | None, tails: Sequence[Tail], report: Report) -> None:
        """tails  oldest first; what the file has of them already is left out"""
        self.first, self._file, self._tails, self._report = first, file, tails, report

    @property
    def knows_messages(self) -> bool:
        """Whether events are filed by their message id, too; else that is left to the log's own index."""
        file = self._file is None or self._file.knows_messages
        return file and all(tail.messages for tail in self._tails)

    def cannot_be_read(self) -> None:
        """Its file is damaged: say so to whoever makes it again."""
        self._report(self.first)

    def parts(self) -> Iterator[Part]:
        """Newest first."""
        stored = [] if self._file is None else self._file.parts()
        written = stored[0].upto if stored else self.first - 1
        yield from (tail for tail in reversed(self._tails) if tail.upto > written)
        yield from stored

    def facts_of(self, account: str) -> list[AccountFacts]:
        found, written = ([], self.first - 1) if self._file is None else self._file.facts_of(account)
        newer = (tail.accounts.get(account) for tail in self._tails if tail.upto > written)
        return found + [facts for facts in newer if facts is not None]

    def has(self, dim: Dim, text: str) -> bool:
        return any(part.places(dim, text) is not None for part in self.parts())


class Files:
    def __init__(self, folder: Path, log: Path, report: Report = lambda _first: None) -> None:
        """folder, log  `<data>/index` and `<data>/log`; need not exist yet"""
        self._folder, self._log, self._report = folder, log, report
        self._open: OrderedDict[tuple[Offset, bool], tuple[int, Stretch]] = OrderedDict()

    def pieces(self, tails: Sequence[Tail] = (), *, before: Offset = 2**62) -> Iterator[Piece]:
        """
        Newest first, those that may have an offset under `before`. What cannot be read is left out: it is being made
        again.

        tails  what is in memory, oldest first
        """
        closed, opened = stretches(self._folder)
        here = set(list_segments(self._log))
        for key in [key for key in self._open if key[0] not in here or key[0] not in (closed if key[1] else opened)]:
            self._open.pop(key)[1].close()
        for first in sorted(here & (closed | opened | {tail.segment for tail in tails}), reverse=True):
            if first >= before:
                continue
            file = self._file(first, True) if first in closed else None
            if file is None and first in opened:
                file = self._file(first, False) or self._file(first, True)  # it was closed this moment
            mine = [tail for tail in tails if tail.segment == first]
            if file is not None or mine:
                yield Piece(first, file, mine, self._report)

    def _file(self, first: Offset, is_closed: bool) -> Stretch | None:
        path = closed_path(self._folder, first) if is_closed else open_path(self._folder, first)
        key = (first, is_closed)
        try:
            inode = path.stat().st_ino
            found = self._open.get(key)
            if found is not None and found[0] == inode:
                self._open.move_to_end(key)
                return found[1]
            if found is not None:
                self._open.pop(key)[1].close()
            file = Stretch(path, first, closed=is_closed)
        except (FileNotFoundError, Unknown, apsw.CantOpenError, *UNREADABLE):
            return None
        except apsw.ReadOnlyError:  # it is being made this moment: only its maker may finish, or undo, what is begun
            return None
        self._open[key] = (inode, file)
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1][1].close()
        return file

    def close(self) -> None:
        for _, file in self._open.values():
            file.close()
        self._open.clear()
