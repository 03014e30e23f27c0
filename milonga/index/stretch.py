"""
The files of the index: one for each segment of the log, named like it. While its segment grows it is *open* and gains
parts (`<first offset>.open.db`); when the segment will not change any more it is *closed*: written anew, shorter, and
never changed again (`<first offset>.db`). All of it is derived: a file that is damaged, or of another format, is made
again. Written by one process, readable by any.
"""

import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw
from msgspec import Struct

from milonga.eventlog.api import Offset
from milonga.eventlog.aside import UNREADABLE, with_companions
from milonga.eventlog.folders import sync_folder
from milonga.index.facts import AccountFacts, shortened, unpack
from milonga.index.places import CHUNK_BITS, join, within
from milonga.index.rows import one, rows
from milonga.index.tail import Tail
from milonga.index.terms import Dim

FORMAT: Final = 1
APPLICATION_ID: Final = 0x4D696C69  #: what `file` shows of it ("Mili")
BUSY: Final = 5_000  #: milliseconds
DRAFT: Final = "new.db"
BLANK_SPANS: Final = 16  #: bytes of `spans` for one block

TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE part (
  part INTEGER PRIMARY KEY, chunk INTEGER NOT NULL, base INTEGER NOT NULL, upto INTEGER NOT NULL,
  events INTEGER NOT NULL, min_at INTEGER NOT NULL, max_at INTEGER NOT NULL,
  spans BLOB NOT NULL  -- first and last moment of every 64 places from `base` on
);
CREATE TABLE posting (
  part INTEGER, dim INTEGER, text TEXT, places BLOB NOT NULL, PRIMARY KEY (part, dim, text)) WITHOUT ROWID;
CREATE TABLE fact (
  part INTEGER, account TEXT, packed BLOB NOT NULL,  -- see milonga.index.facts
  PRIMARY KEY (part, account)) WITHOUT ROWID;
"""

POSTINGS: Final = "SELECT text, places FROM posting WHERE part = ? AND dim = ?"
FACTS: Final = "SELECT account, packed FROM fact WHERE part = ?"
FACTS_OF: Final = "SELECT packed FROM fact WHERE account = ?1 AND part IN (SELECT part FROM part)"
PLACES: Final = "SELECT places FROM posting WHERE part = ? AND dim = ? AND text = ?"
NUMBERS: Final = "SELECT part FROM part ORDER BY part"
INSERT_POSTING: Final = "INSERT INTO posting VALUES (?, ?, ?, ?)"
INSERT_FACT: Final = "INSERT INTO fact VALUES (?, ?, ?)"
INSERT_PART: Final = "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class Unknown(Exception):
    """A file of another format, or none of ours. It is made again."""


class Identity(Struct, frozen=True):
    """
    Which state of a segment's file an index was made from: an erasing writes it anew (milonga.eventlog.erasing).

    mtime, size  0 while the segment grows
    """

    inode: int
    mtime: int = 0
    size: int = 0


def identity_of(segment: Path, *, settled: bool) -> Identity | None:
    """None if it is gone."""
    try:
        found = segment.stat()
    except FileNotFoundError:
        return None
    return Identity(found.st_ino, found.st_mtime_ns, found.st_size) if settled else Identity(found.st_ino)


def closed_path(folder: Path, first: Offset) -> Path:
    return folder / f"{first:016d}.db"


def open_path(folder: Path, first: Offset) -> Path:
    return folder / f"{first:016d}.open.db"


def stretches(folder: Path) -> tuple[set[Offset], set[Offset]]:
    """First offsets of the closed ones, and of the open ones."""
    closed, opened = set(), set()
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return set(), set()
    for name in names:
        if name[:16].isdigit() and name[16:] == ".db":
            closed.add(int(name[:16]))
        elif name[:16].isdigit() and name[16:] == ".open.db":
            opened.add(int(name[:16]))
    return closed, opened


def remove(path: Path) -> None:
    for file in with_companions(path):
        file.unlink(missing_ok=True)


class StoredPart:
    """A part, or a whole chunk, that lies in a file. See milonga.index.tail.Part."""

    def __init__(self, db: apsw.Connection, row: tuple[Any, ...], segment: Offset) -> None:
        self._db = db
        self.number: int = row[0]
        self.begin: Offset = segment + (row[1] << CHUNK_BITS)
        self.base: int = row[2]
        self.upto: Offset = row[3]
        self.events: int = row[4]
        self.min_at: int = row[5]
        self.max_at: int = row[6]
        self._spans: bytes = row[7]

    def places(self, dim: Dim, text: str) -> bytes | None:
        found = one(self._db, PLACES, (self.number, int(dim), text))
        return found if isinstance(found, bytes) else None

    def within(self, since: int | None, until: int | None) -> int:
        return within(self._spans, since, until) << self.base


class Stretch:
    """
    One file, open to read. For one thread at a time.

    knows_messages  whether events are filed by their message id, too
    """

    def __init__(self, path: Path, first: Offset, *, closed: bool) -> None:
        """apsw.CantOpenError if it is gone; Unknown, or what `UNREADABLE` names, if it must be made again."""
        self.first, self.is_closed = first, closed
        self._db = _connect(path, apsw.SQLITE_OPEN_READONLY, "?immutable=1" if closed else "")
        try:
            _check(self._db, path)
            self._db.pragma("cache_size", -512)
            self.identity = _identity(self._db)
            self.knows_messages = not closed and _knows_messages(self._db)
        except BaseException:
            self._db.close()
            raise

    def parts(self) -> list[StoredPart]:
        """Newest first."""
        found = rows(self._db, "SELECT * FROM part ORDER BY part DESC")
        return [StoredPart(self._db, row, self.first) for row in found]

    @property
    def upto(self) -> Offset:
        """Offset of the last event it knows; first - 1 without any."""
        upto: Offset = one(self._db, "SELECT ifnull(max(upto), ?) FROM part", (self.first - 1,))
        return upto

    def facts_of(self, account: str) -> tuple[list[AccountFacts], Offset]:
        """One for each part that has any; and `upto` at that moment."""
        with self._db:
            found, upto = rows(self._db, FACTS_OF, (account,)), self.upto
        return [unpack(packed, self.first) for (packed,) in found], upto

    def has(self, dim: Dim, text: str) -> bool:
        """Whether any event of it is filed so."""
        return any(part.places(dim, text) is not None for part in self.parts())

    def close(self) -> None:
        self._db.close()


class OpenStretch:
    """
    The file of a segment that grows, to be written. Nothing in it is lost by a SIGKILL; a power cut may cost the last
    parts, which are read again from the log.
    """

    def __init__(self, folder: Path, first: Offset, identity: Identity, *, messages: bool = True) -> None:
        """
        identity  of the segment now; if the file was made from another one, it begins anew
        messages  whether one that begins is to have message ids
        """
        self.first, self._folder, self._path = first, folder, open_path(folder, first)
        self.identity = identity
        try:
            self._db = _open_to_write(self._path)
            _check(self._db, self._path)
            if _identity(self._db) != identity:
                self._db.close()
                raise Unknown(self._path)  # noqa: TRY301 - treated as all others that must begin anew
        except (Unknown, apsw.CantOpenError, *UNREADABLE):
            remove(self._path)
            _create(self._path, first, identity, messages=messages).close()
            self._db = _open_to_write(self._path)
            self._db.pragma("journal_mode", "wal")
        self.upto: Offset = one(self._db, "SELECT ifnull(max(upto), ?) FROM part", (first - 1,))
        self.messages = _knows_messages(self._db)

    def add(self, tail: Tail) -> None:
        """Its events are there on return. apsw.Error if nothing of it was kept."""
        with self._db:
            number = self._db.execute("SELECT ifnull(max(part), -1) + 1 FROM part").get
            chunk = (tail.begin - self.first) >> CHUNK_BITS
            row = (number, chunk, tail.base, tail.upto, tail.events, tail.min_at, tail.max_at, tail.spans())
            self._db.execute(INSERT_PART, row)
            self._db.executemany(INSERT_POSTING, ((number, *posting) for posting in tail.postings()))
            self._db.executemany(INSERT_FACT, ((number, *fact) for fact in tail.facts()))
        self.upto = tail.upto

    def shorten(self, identity: Identity) -> None:
        """
        Become closed. The segment must not change any more, but for an erasing, which `identity` would not fit then.
        """
        draft = self._folder / DRAFT
        remove(draft)
        with closing(_create(draft, self.first, identity, messages=False)) as new, new:
            for (chunk,) in rows(self._db, "SELECT DISTINCT chunk FROM part ORDER BY chunk"):
                self._write_chunk(new, chunk)
            numbers = rows(self._db, NUMBERS)
            facts = _gathered(rows(self._db, FACTS, number) for number in numbers)
            new.executemany(INSERT_FACT, ((0, account, self._merged(facts[account])) for account in sorted(facts)))
        _sync(draft)
        draft.rename(closed_path(self._folder, self.first))
        sync_folder(self._folder)
        self.close()
        remove(self._path)

    def _merged(self, packed: list[bytes]) -> bytes:
        if len(packed) == 1:
            return shortened(packed[0])
        facts = unpack(packed[0], self.first)
        for one_ in packed[1:]:
            facts.merge(unpack(one_, self.first))
        return shortened(facts.pack(self.first))

    def _write_chunk(self, new: apsw.Connection, chunk: int) -> None:
        parts = rows(self._db, "SELECT * FROM part WHERE chunk = ? ORDER BY part", (chunk,))
        spans = _joined_spans([(part[2], part[7]) for part in parts])
        events, min_at, max_at = sum(p[4] for p in parts), min(p[5] for p in parts), max(p[6] for p in parts)
        new.execute(INSERT_PART, (chunk, chunk, 0, parts[-1][3], events, min_at, max_at, spans))
        for dim in Dim:
            if dim is not Dim.message:  # the segment itself has an index of these by now
                found = _gathered(rows(self._db, POSTINGS, (part[0], int(dim))) for part in parts)
                new.executemany(INSERT_POSTING, ((chunk, dim, text, join(found[text])) for text in sorted(found)))

    def close(self) -> None:
        self._db.close()

    def discard(self) -> None:
        self.close()
        remove(self._path)


def _gathered(parts: Iterable[list[tuple[Any, ...]]]) -> dict[str, list[bytes]]:
    """text -> what the parts say of it, in their order."""
    found: dict[str, list[bytes]] = {}
    for part in parts:
        for text, said in part:
            if (known := found.get(text)) is None:
                found[text] = [said]
            else:
                known.append(said)
    return found


def _joined_spans(parts: list[tuple[int, bytes]]) -> bytes:
    """Of all places of a chunk from its first on. (base, spans) of its parts, whose bases are whole blocks."""
    found = bytearray()
    for base, some in parts:
        begin = base // 64 * BLANK_SPANS
        found += bytes(max(0, begin - len(found)))
        found[begin:] = some
    return bytes(found)


def _create(path: Path, first: Offset, identity: Identity, *, messages: bool) -> apsw.Connection:
    """Durable only once it is synced."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    db = _connect(path, apsw.SQLITE_OPEN_READWRITE)
    try:
        db.pragma("page_size", 8192)
        db.pragma("synchronous", "off")
        db.pragma("journal_mode", "off" if path.name == DRAFT else "delete")
        db.pragma("application_id", APPLICATION_ID)
        with db:
            db.execute(TABLES)
            db.execute("INSERT INTO meta VALUES ('first', ?), ('messages', ?)", (first, messages))
            db.execute(
                "INSERT INTO meta VALUES ('inode', ?), ('mtime', ?), ('size', ?)",
                (identity.inode, identity.mtime, identity.size),
            )
        db.pragma("user_version", FORMAT)
    except BaseException:
        db.close()
        raise
    return db


def _open_to_write(path: Path) -> apsw.Connection:
    db = _connect(path, apsw.SQLITE_OPEN_READWRITE)
    try:
        db.pragma("synchronous", "normal")
        db.pragma("cache_size", -4_000)
    except BaseException:
        db.close()
        raise
    return db


def _connect(path: Path, flags: int, options: str = "") -> apsw.Connection:
    db = apsw.Connection(f"file:{quote(str(path))}{options}", flags=flags | apsw.SQLITE_OPEN_URI)
    db.set_busy_timeout(BUSY)
    return db


def _check(db: apsw.Connection, path: Path) -> None:
    version, application = db.pragma("user_version"), db.pragma("application_id")
    if (version, application) != (FORMAT, APPLICATION_ID):
        raise Unknown(f"{path} has format {version}")


def _identity(db: apsw.Connection) -> Identity:
    found = dict[Any, Any](rows(db, "SELECT key, value FROM meta"))
    try:
        return Identity(found["inode"], found["mtime"], found["size"])
    except KeyError:
        raise Unknown("a file without the identity of its segment") from None


def _knows_messages(db: apsw.Connection) -> bool:
    """Of an open file; the first ones did not say so, and did."""
    return bool(one(db, "SELECT ifnull((SELECT value FROM meta WHERE key = 'messages'), 1)"))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
