"""
Erasing users from sealed segments. A segment is written anew without their bytes, beside the old one, and takes its
place in one step: whoever reads the old file goes on undisturbed, and opens the new one with its next read. Offsets
stay; an erased event reads as such (milonga.privacy.subject), with a checksum that fits. A crash leaves the old segment
and a draft that the next start removes; then it is done again.
"""

import json
import os
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec import Struct

from milonga.eventlog.api import START, Offset, Position, Stored
from milonga.eventlog.aside import UNREADABLE, with_companions
from milonga.eventlog.counters import TABLES as COUNTER_TABLES
from milonga.eventlog.folders import sync_folder
from milonga.eventlog.record import COLUMNS, INDEXES, RECORD, TABLES, record, stored
from milonga.eventlog.segment import (
    APPLICATION_ID,
    DRAFT_OF_ERASED,
    Step,
    list_segments,
    open_sealed,
    open_to_read,
    path_of,
    remove,
)
from milonga.identity.duplicates import filter_key
from milonga.privacy.regulation import Deletion, Doomed
from milonga.privacy.subject import erased, may_name, users_of_stamped
from milonga.spec.stored import FORMAT, Stamp

STEP: Final = 10_000  #: events looked through in one read transaction
AT_ONCE: Final = 500  #: places handed on at a time

QUOTED: Final = re.compile(r"['\"]([^'\"]*)['\"]")

BY_USER: Final = (
    f"SELECT {RECORD} FROM events"  # noqa: S608
    " WHERE user_id IN (SELECT value FROM json_each(?1)) AND offset <= ?2 AND offset > ?3 AND offset <= ?4"
)
ALIASES: Final = (
    f"SELECT {RECORD} FROM events"  # noqa: S608
    ' WHERE offset > ?1 AND offset <= ?2 AND offset <= ?3 AND instr(stamp, \'"type":"alias"\')'
)


class Found(Struct, frozen=True):
    """
    by        regulation -> events that were erased in its name
    segments  written anew
    samples   of discarded events that were dropped
    """

    by: Counter[int]
    segments: int = 0
    samples: int = 0


def places_in(folder: Path, deletions: Sequence[Deletion]) -> Iterator[list[Position]]:
    """
    Where the events of these users are that are not erased yet, some at a time, oldest first; from any process, best in
    a thread. What cannot be read is passed by.
    """
    doomed = Doomed(deletions)
    firsts = list_segments(folder)
    for first in firsts:
        path = path_of(folder, first)
        try:
            with closing(open_to_read(path) if first == firsts[-1] else open_sealed(path)) as connection:
                found = [item.position for item, _ in doomed_in(connection, doomed)]
        except (*UNREADABLE, apsw.CantOpenError):
            continue
        for begin in range(0, len(found), AT_ONCE):
            yield found[begin : begin + AT_ONCE]


def doomed_in(connection: apsw.Connection, doomed: Doomed) -> Iterator[tuple[Stored, int]]:
    """The events to erase in one segment, each with its regulation. The active one has no index: it is read through."""
    first, last = _rows(connection, "SELECT ifnull(min(offset), 1), ifnull(max(offset), 0) FROM events")[0]
    upto = max((_upto(deletion) for deletion in doomed.deletions), default=START)
    users = json.dumps(sorted({user for deletion in doomed.deletions for user in deletion.users}))
    seen: set[Offset] = set()
    for begin in range(first - 1, last, STEP):
        found = connection.execute(BY_USER, (users, upto, begin, begin + STEP))
        aliases = connection.execute(ALIASES, (begin, begin + STEP, upto))
        for item in map(stored, chain(found, aliases)):
            if not isinstance(item, Stored) or item.position.offset in seen or item.event.stamp.is_erased:
                continue
            by = doomed.by(users_of_stamped(item.event), item.event.stamp.source, *item.position)
            if by is not None:
                seen.add(item.position.offset)
                yield item, by


def is_concerned(connection: apsw.Connection, doomed: Doomed) -> bool:
    """Whether anything of this segment is to go."""
    return next(doomed_in(connection, doomed), None) is not None or bool(samples_in(connection, doomed))


def samples_in(connection: apsw.Connection, doomed: Doomed) -> list[tuple[str, int]]:
    """Keys of samples of discarded events that may name one of the users, of whichever source."""
    users = {user for deletion in doomed.deletions for user in deletion.users}
    return [
        (code, slot)
        for code, slot, excerpt, reason in _rows(connection, "SELECT code, slot, excerpt, reason FROM discarded")
        if may_name(excerpt, users) or not users.isdisjoint(QUOTED.findall(reason))
    ]


def erase_segment(folder: Path, first: Offset, doomed: Doomed, *, at: int, salt: bytes, on_step: Step) -> Found:
    """
    Of one that is sealed, indexed, and has nothing left in its write-ahead log. What cannot be read raises one of
    UNREADABLE; then nothing was changed.

    at, salt  see milonga.privacy.subject.erased
    """
    path, draft = path_of(folder, first), folder / DRAFT_OF_ERASED
    with closing(open_to_read(path)) as old:
        events = [(item.position.offset, item.event.stamp, by) for item, by in doomed_in(old, doomed)]
        samples = samples_in(old, doomed)
        if not events and not samples:
            return Found(Counter())
        remove(draft)
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with closing(apsw.Connection(str(draft), flags=apsw.SQLITE_OPEN_READWRITE)) as new:
                _rewrite(new, path, events, samples, at=at, salt=salt)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    on_step("erase-drafted")
    draft.rename(path)
    for companion in with_companions(path)[1:]:
        companion.unlink(missing_ok=True)  # of the old one, and empty
    sync_folder(folder)
    on_step("erase-named")
    return Found(Counter(by for *_, by in events), 1, len(samples))


def _rewrite(
    new: apsw.Connection,
    old: Path,
    events: Iterable[tuple[Offset, Stamp, int]],
    samples: Iterable[tuple[str, int]],
    *,
    at: int,
    salt: bytes,
) -> None:
    """Not yet durable. Nothing of what goes ever enters the new file."""
    new.pragma("synchronous", "off")
    new.pragma("journal_mode", "off")
    new.pragma("page_size", 16384)
    new.pragma("application_id", APPLICATION_ID)
    new.pragma("temp_store", "memory")
    new.execute("ATTACH ? AS old", (str(old),))
    new.execute("CREATE TEMP TABLE instead AS SELECT * FROM old.events LIMIT 0")
    new.execute("CREATE TEMP TABLE gone (code TEXT, slot INTEGER, PRIMARY KEY (code, slot))")
    new.execute("BEGIN")
    new.execute(TABLES)
    new.execute(COUNTER_TABLES)
    keys: Counter[int] = Counter()
    for offset, stamp, by in events:
        keys[filter_key(stamp.message_id)] += 1
        row = record(erased(stamp, at=at, by=by, salt=salt))
        new.execute("INSERT INTO instead VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (offset, *row))
    new.executemany("INSERT INTO gone VALUES (?, ?)", samples)
    new.execute("CREATE INDEX temp.instead_offset ON instead (offset)")
    names = [name.strip() for name in COLUMNS.split(",")]
    columns = ", ".join(f"iif(i.offset IS NULL, e.{name}, i.{name})" for name in names)
    new.execute(
        f"INSERT INTO main.events ({COLUMNS}) SELECT {columns} FROM old.events AS e"  # noqa: S608
        " LEFT JOIN temp.instead AS i ON i.offset = e.offset ORDER BY e.offset"
    )
    new.execute("INSERT INTO main.counters SELECT * FROM old.counters")
    new.execute(
        "INSERT INTO main.discarded SELECT * FROM old.discarded WHERE (code, slot) NOT IN (SELECT code, slot FROM gone)"
    )
    new.execute("INSERT INTO main.meta SELECT * FROM old.meta")
    _forget_keys(new, keys)
    new.execute(INDEXES)
    new.execute(f"PRAGMA main.user_version = {FORMAT}")
    new.execute("COMMIT")
    new.execute("DETACH old")
    new.pragma("journal_mode", "wal")


def _forget_keys(new: apsw.Connection, keys: Counter[int]) -> None:
    """A filter's key is no id, but somebody with a guess could find it confirmed."""
    found = new.execute("SELECT value FROM main.meta WHERE key = 'filter_keys'").get
    if not isinstance(found, bytes):
        return
    kept = array("Q")
    for place in range(0, len(found), 8):
        key = int.from_bytes(found[place : place + 8], "little")
        if keys[key]:
            keys[key] -= 1
        else:
            kept.append(key)
    new.execute(
        "UPDATE main.meta SET value = ? WHERE key = 'filter_keys'", (b"".join(k.to_bytes(8, "little") for k in kept),)
    )


def _rows(connection: apsw.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def _upto(deletion: Deletion) -> Offset:
    return 2**62 if deletion.upto is None else deletion.upto.get(0, START)


def set_aside_files(folder: Path) -> list[str]:
    """Damaged files that were kept: nobody can say what is in them."""
    return sorted(path.name for path in folder.glob("*.damaged-*") if not path.name.endswith(("-wal", "-shm")))
