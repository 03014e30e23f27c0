"""
After a segment of the log was written anew, because users were erased: what only their events told goes from what is
remembered, too.
"""

from collections.abc import Collection, Iterator, Sequence

from milonga.eventlog.api import Offset
from milonga.index.accounts import account
from milonga.index.files import Piece
from milonga.index.memory import Memory, Remembered
from milonga.index.news import MODULE, AccountNews
from milonga.index.terms import Dim


def correct(memory: Memory, pieces: Sequence[Piece], first: Offset, last: Offset, calls: Collection[Offset]) -> None:
    """
    first, last  offsets of a stretch that has just been made again
    calls        offsets of its group calls that have a user
    """
    accounts, names = memory.concerned(first, last)
    gone = [(kind, text) for kind, text in names if not is_anywhere(pieces, kind, text)]
    memory.correct(first, last, _as_told(pieces, accounts, first, last), gone, calls)


def is_anywhere(pieces: Sequence[Piece], kind: int, text: str) -> bool:
    dim = Dim.module if kind == MODULE else Dim.called
    return any(piece.has(dim, text) for piece in pieces)


def _as_told(
    pieces: Sequence[Piece], accounts: Sequence[Remembered], first: Offset, last: Offset
) -> Iterator[tuple[str, AccountNews | None]]:
    """By the log as it is now; what it does not reach back to stays as it was."""
    for old in accounts:
        news = told_anew(pieces, old.id)
        if news is not None:
            news.first_at = min(old.first_at, news.first_at)
            if not first <= old.named_offset <= last:
                news.named_at, news.named_offset, news.name = old.named_at, old.named_offset, old.name
        yield old.id, news


def told_anew(pieces: Sequence[Piece], id_: str) -> AccountNews | None:
    """What the log tells of an account; None for nothing."""
    found = account(id_, pieces, None)
    if found is None:
        return None
    naming = (found.named_at or 0, found.named_offset, found.name)
    return AccountNews(found.first_at, found.last_at, found.last_offset, *naming)
