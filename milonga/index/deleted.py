"""
Users who were deleted (milonga.privacy) and are remembered all the same, because an account, or an activity, is called
by their id. What the log holds of them is no business of this: their events are gone from it, and with them from the
index (milonga.index.correcting). Of the deleted, digests are known.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw
from msgspec import Struct

from milonga.eventlog.aside import UNREADABLE
from milonga.index.correcting import is_anywhere, told_anew
from milonga.index.files import Piece
from milonga.index.memory import Memory
from milonga.index.rows import one, rows
from milonga.privacy.digest import digest

MOST_WORDS: Final = 20  #: of a name that are looked at


class Deleted(Struct, frozen=True):
    """
    Of regulations that are done with the log.

    regulations  their ids
    digests      of the users they name
    """

    regulations: frozenset[int]
    digests: frozenset[bytes]
    salt: bytes

    def names(self, text: str) -> bool:
        """Whether the text is such a user's id, or has it as a word."""
        words = (text, *text.split(maxsplit=MOST_WORDS)[:MOST_WORDS])
        return any(digest(self.salt, word) in self.digests for word in words)


def deleted_since(workspace: Path, known: frozenset[int]) -> Deleted | None:
    """
    Those of other regulations than the known ones; None if there are none.

    workspace  path of workspace.db
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        with closing(apsw.Connection(f"file:{quote(str(workspace))}", flags=flags)) as db:
            db.set_busy_timeout(5_000)
            new = frozenset(row[0] for row in rows(db, "SELECT DISTINCT regulation FROM deleted_user")) - known
            if not new:
                return None
            digests = (
                row for n in new for row in rows(db, "SELECT digest FROM deleted_user WHERE regulation = ?", (n,))
            )
            return Deleted(new, frozenset(row[0] for row in digests), one(db, "SELECT salt FROM privacy"))
    except (apsw.CantOpenError, apsw.SQLError, *UNREADABLE):
        return None  # none yet, or of an older Milonga


def forget(memory: Memory, deleted: Deleted, pieces: Callable[[], Sequence[Piece]]) -> None:
    """What is called by their ids, unless the log still tells of it."""
    accounts = [account for account in memory.accounts() if deleted.names(account.id) or deleted.names(account.name)]
    names = [(kind, text) for kind, text in memory.names() if deleted.names(text)]
    found = pieces() if accounts or names else []
    gone = [(kind, text) for kind, text in names if not is_anywhere(found, kind, text)]
    memory.forget_deleted(
        deleted.regulations, [(account.id, told_anew(found, account.id)) for account in accounts], gone
    )
