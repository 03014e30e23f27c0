"""
A backup brings back users who were suppressed or deleted after it was made, or while it was being made. Here they are
recognised by their digests, before a server can send or show anything of them (milonga.workspace.deleted).
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct

from milonga.cli.archive import MANIFEST, opened_backup, take_out
from milonga.cli.copying import snapshot
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.aside import UNREADABLE, with_companions
from milonga.eventlog.record import UnknownFormat
from milonga.eventlog.segment import list_segments, open_sealed, path_of
from milonga.eventlog.users import earliest_of_users
from milonga.facts.formats import DELIVERY, LOG
from milonga.privacy.subject import users_of_stamped
from milonga.workspace import database
from milonga.workspace.deleted import Deleted, Later, begin_anew, delete_again, read_later, take_over
from milonga.workspace.errors import UserError
from milonga.workspace.migrate import migrate

DRAFT: Final = "workspace.db.later"  #: a later state's workspace, taken out of a backup


class Returned(Struct, frozen=True):
    """
    taken_over  regulations that came after the backup; None: no later state was named
    users       who were deleted and are in what was restored: they are erased when a server starts
    unread      files that cannot be read: who is in them, nobody can say
    """

    taken_over: int | None
    users: int
    unread: tuple[str, ...]


def later_state(path: Path, scratch: Path) -> Later:
    """
    What a data directory, or a backup, says of users. UserError if it cannot be read.

    scratch  a directory to take a workspace out into; nothing is left there
    """
    draft = scratch / DRAFT
    try:
        with _workspace_of(path, draft) as db:
            return read_later(db)
    except (apsw.Error, OSError) as error:
        raise UserError(
            f"The regulations of {path} cannot be read ({error}). Name a newer backup instead, or restore without "
            "--regulations-of and name the users again (`milonga regulations --help`)."
        ) from error
    finally:
        remove_draft(scratch)


def remove_draft(scratch: Path) -> None:
    for part in with_companions(scratch / DRAFT):
        part.unlink(missing_ok=True)


@contextmanager
def _workspace_of(path: Path, draft: Path) -> Iterator[apsw.Connection]:
    if path.is_dir() and not (path / MANIFEST).is_file():
        if not (path / database.NAME).is_file() or database.is_unfinished(path / database.NAME):
            raise UserError(f"There is no workspace in {path}: name a data directory or a backup of one.")
        with closing(snapshot(path / database.NAME)) as db:
            yield db
        return
    with opened_backup(path) as found:
        for file in found.manifest.files:
            if file.name == database.NAME:
                take_out(found, file, draft)
                with closing(snapshot(draft)) as db:
                    yield db
                return
    raise UserError(f"There is no workspace in {path}.")


def regulate(workspace: Path, data: Path, last: int, later: Later | None) -> Returned:
    """
    Of a restored workspace that nobody uses yet, and the log and delivery.db in `data`. Durable on return.

    last  offset of the log
    """
    try:
        return _regulate(workspace, data, last, later)
    except UNREADABLE as error:
        if later is not None:
            raise
        return Returned(None, 0, (f"{database.NAME} ({error})",))  # what it was when it was backed up


def _regulate(workspace: Path, data: Path, last: int, later: Later | None) -> Returned:
    with closing(apsw.Connection(str(workspace), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
        db.pragma("journal_mode", "delete")
        db.pragma("synchronous", "full")
        migrate(db, keep=False)  # the backup is the copy
        with db:
            db.execute("DELETE FROM console_session; DELETE FROM console_link")  # they may have been ended since
            taken = None if later is None else take_over(db, later, last)
            begin_anew(db)
            deleted, unread = Deleted(db), list[str]()
            found: dict[tuple[int | None, int], set[str]] = {}
            for user, source, offset in _users(data, unread) if deleted else ():
                for only, upto in deleted.of(user):
                    if only in (None, source) and offset <= upto:
                        found.setdefault((only, upto), set()).add(user)
            delete_again(db, found, time.time_ns() // 1_000_000)
    return Returned(taken, len(set[str]().union(*found.values())), tuple(unread))


def _users(data: Path, unread: list[str]) -> Iterable[tuple[str, int, int]]:
    """User, source, and the lowest offset at which a file has something of the user."""
    for first in list_segments(data / LOG):
        path = path_of(data / LOG, first)
        try:
            with closing(open_sealed(path)) as segment:
                yield from earliest_of_users(segment)
        except (*UNREADABLE, UnknownFormat) as error:
            unread.append(f"{LOG}/{path.name} ({error})")
    if not (data / DELIVERY).exists():
        return
    try:
        with closing(DeliveryReader(data / DELIVERY)) as reader:
            for letter, _ in reader.copies():
                for user in users_of_stamped(letter.event):
                    yield user, letter.event.stamp.source, letter.position.offset
    except (*UNREADABLE, apsw.CantOpenError) as error:
        unread.append(f"{DELIVERY} ({error})")
