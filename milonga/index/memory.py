"""
What is remembered of accounts, modules and activities for longer than the log keeps events: `<data>/index/memory.db`.
One transaction adds what some events tell, and says up to where: a crash costs nothing. If the file is lost, what the
log still holds is told again, and what was before is not known any more. Written by one process, readable by any.

It names no user: which ones a group call has named is kept as digests, for as long as the log holds that call.
"""

import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw
from msgspec import Struct

from milonga.eventlog.api import START, Offset
from milonga.eventlog.aside import UNREADABLE, with_companions
from milonga.index import sketch
from milonga.index.news import DAY, EXAMPLES, HOUR, AccountNews, NameNews, News
from milonga.index.rows import one, rows
from milonga.index.stretch import Unknown

NAME: Final = "memory.db"
FORMAT: Final = 2
APPLICATION_ID: Final = 0x4D696C6D  #: what `file` shows of it ("Milm")

DAYS: Final = 400  #: for which an account or a name is remembered after it was last seen; and counts without account
DAYS_BY_DAY: Final = 15  #: for which names are counted by day: 14, and today
MOST_ACCOUNTS: Final = 1_000_000
MOST_NAMES: Final = 1_000  #: of a kind and a source that are told apart; events of others are counted together
OTHERS: Final = ""  #: the name of those

TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE account (
  id TEXT PRIMARY KEY, name TEXT NOT NULL,
  folded TEXT NOT NULL,  -- id and name, for a search that looks at no case
  first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, last_offset INTEGER NOT NULL,
  named_at INTEGER NOT NULL, named_offset INTEGER NOT NULL  -- the last group call; 0 if there was none
);
CREATE INDEX account_seen ON account (last_offset);
CREATE INDEX account_unnamed ON account (last_offset) WHERE named_at = 0;
CREATE TABLE named_user (user INTEGER PRIMARY KEY, offset INTEGER NOT NULL);
CREATE TABLE name (
  kind INTEGER, source INTEGER, text TEXT, n INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  last_offset INTEGER NOT NULL, accounts BLOB NOT NULL,  -- a sketch
  PRIMARY KEY (kind, text, source)) WITHOUT ROWID;
CREATE TABLE day (
  kind INTEGER, source INTEGER, text TEXT, day INTEGER, n INTEGER NOT NULL,
  PRIMARY KEY (kind, text, source, day)) WITHOUT ROWID;
CREATE TABLE unnamed (
  hour INTEGER, source INTEGER, events INTEGER NOT NULL, with_user INTEGER NOT NULL, nameable INTEGER NOT NULL,
  PRIMARY KEY (hour, source)) WITHOUT ROWID;
CREATE TABLE regulation (id INTEGER PRIMARY KEY);  -- whose users nothing here is called by any more
CREATE TABLE example (offset INTEGER PRIMARY KEY, source INTEGER NOT NULL, named INTEGER NOT NULL);
"""

UPSERT_ACCOUNT: Final = """
INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  name = iif(excluded.name = '', name, excluded.name),
  folded = iif(excluded.name = '', folded, excluded.folded),
  first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at),
  last_offset = excluded.last_offset,
  named_at = max(named_at, excluded.named_at), named_offset = max(named_offset, excluded.named_offset)
"""
UPSERT_NAME: Final = """
INSERT INTO name VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  n = n + excluded.n, first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at),
  last_offset = excluded.last_offset, accounts = excluded.accounts
"""
UPSERT_DAY: Final = "INSERT INTO day VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"
UPSERT_UNNAMED: Final = """
INSERT INTO unnamed VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  events = events + excluded.events, with_user = with_user + excluded.with_user, nameable = nameable + excluded.nameable
"""
UPSERT_USER: Final = "INSERT INTO named_user VALUES (?, ?) ON CONFLICT DO UPDATE SET offset = excluded.offset"


class Remembered(Struct, frozen=True):
    """An account. first_at, named_at: unix milliseconds; named_at, named_offset: 0 if no group call named it."""

    id: str
    name: str
    first_at: int
    named_at: int
    named_offset: Offset


def folded(id_: str, name: str) -> str:
    return f"{id_}\n{name}".casefold()


def open_to_read(folder: Path) -> apsw.Connection | None:
    """None if there is none that could be read."""
    path = folder / NAME
    try:
        db = apsw.Connection(f"file:{quote(str(path))}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    except apsw.CantOpenError:
        return None
    try:
        db.set_busy_timeout(5_000)
        db.pragma("cache_size", -4_000)
        _check(db)
    except (Unknown, apsw.CantOpenError, *UNREADABLE):
        db.close()
        return None
    return db


class Memory:
    """For one thread of the one process that writes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            self._db = self._open()
        except (Unknown, apsw.CantOpenError, *UNREADABLE):
            self.forget_all(self.path)
            self._db = self._create()
        meta = dict[Any, Any](rows(self._db, "SELECT key, value FROM meta"))
        self.upto: Offset = meta["upto"]
        self._salt: bytes = meta["salt"]
        self._wal_holds = False  #: something that was deleted
        self._told = 0  #: of so many accounts since their number was looked at
        self._names: dict[tuple[int, int], int] = {}
        self._count_names()

    @staticmethod
    def forget_all(path: Path) -> None:
        for file in with_companions(path):
            file.unlink(missing_ok=True)

    def _open(self) -> apsw.Connection:
        db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.set_busy_timeout(5_000)
            _check(db)
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _create(self) -> apsw.Connection:
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.set_busy_timeout(5_000)
            db.pragma("page_size", 8192)
            db.pragma("application_id", APPLICATION_ID)
            self._prepare(db)
            with db:
                db.execute(TABLES)
                db.execute("INSERT INTO meta VALUES ('upto', ?), ('salt', ?)", (START, secrets.token_bytes(16)))
                db.pragma("user_version", FORMAT)
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _prepare(db: apsw.Connection) -> None:
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "normal")
        db.pragma("secure_delete", True)
        db.pragma("cache_size", -8_000)
        db.pragma("journal_size_limit", 16 * 1024 * 1024)

    def news(self) -> News:
        """To be filled with the events behind `upto`."""
        return News(self._salt, self.upto)

    def add(self, news: News) -> None:
        """apsw.Error if nothing of it was kept."""
        with self._db:
            self._add_unnamed(news)
            self._db.executemany(UPSERT_ACCOUNT, (_account_row(id_, told) for id_, told in news.accounts.items()))
            self._told += len(news.accounts)
            if self._told > MOST_ACCOUNTS // 10:
                self._drop_accounts()
            self._add_names(news.names)
            self._db.executemany(UPSERT_USER, news.users.items())
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'upto'", (news.upto,))
        self.upto = news.upto
        if self._wal_holds:
            self._empty_wal()

    def _add_unnamed(self, news: News) -> None:
        """Before `news.users` are added: an earlier group call counts, not a later one."""
        examples = list(news.examples)
        for asked in news.asked:
            named = self._db.execute("SELECT offset FROM named_user WHERE user = ?", (asked.user,)).get
            if named is not None:
                news.unnamed[asked.hour, asked.source].nameable += 1
                examples.append((asked.offset, asked.source, named))
        news.asked.clear()
        counts = ((*key, told.events, told.with_user, told.nameable) for key, told in news.unnamed.items())
        self._db.executemany(UPSERT_UNNAMED, counts)
        if examples:
            newest = sorted(examples)[-EXAMPLES:]
            self._db.executemany("INSERT OR REPLACE INTO example VALUES (?, ?, ?)", newest)
            self._db.execute(
                "DELETE FROM example WHERE offset NOT IN (SELECT offset FROM example ORDER BY offset DESC LIMIT ?)",
                (EXAMPLES,),
            )

    def _add_names(self, names: dict[tuple[int, int, str], NameNews]) -> None:
        told: list[tuple[Any, ...]] = []
        days: list[tuple[int, int, str, int, int]] = []
        for (kind, source, text), news in names.items():
            old = self._db.execute(
                "SELECT accounts FROM name WHERE kind = ? AND source = ? AND text = ?", (kind, source, text)
            ).get
            known = self._names.get((kind, source), 0)
            name, accounts = text, b""
            if old is None and known >= MOST_NAMES:
                name = OTHERS
            else:
                self._names[kind, source] = known + (old is None)
                accounts = sketch.extended(old or b"", news.accounts)
            n = sum(news.days.values())
            told.append((kind, source, name, n, news.first_at, news.last_at, news.last_offset, accounts))
            days += [(kind, source, name, day, n) for day, n in news.days.items()]
        self._db.executemany(UPSERT_NAME, told)
        self._db.executemany(UPSERT_DAY, days)

    def tidy(self, now: int, begin: Offset) -> None:
        """
        Let go of what is too old.

        now    unix milliseconds
        begin  of the log: its oldest event's offset
        """
        with self._db:
            self._db.execute("DELETE FROM named_user WHERE offset < ?", (begin,))
            self._db.execute("DELETE FROM example WHERE offset < ?", (begin,))
            self._db.execute("DELETE FROM account WHERE last_at < ?", (now - DAYS * DAY,))
            self._drop_accounts()
            self._db.execute("DELETE FROM name WHERE last_at < ?", (now - DAYS * DAY,))
            self._db.execute("DELETE FROM day WHERE day < ?", (now // DAY - DAYS_BY_DAY,))
            self._db.execute("DELETE FROM unnamed WHERE hour < ?", (now // HOUR - DAYS * 24,))
        self._count_names()

    def _drop_accounts(self) -> None:
        """Those beyond MOST_ACCOUNTS: whoever may send events makes up as many as he likes. Within a transaction."""
        self._told = 0
        self._db.execute(
            "DELETE FROM account WHERE last_offset <= (SELECT last_offset FROM account"
            " ORDER BY last_offset DESC LIMIT 1 OFFSET ?)",
            (MOST_ACCOUNTS,),
        )

    def _count_names(self) -> None:
        rows = self._rows("SELECT kind, source, count(*) FROM name WHERE text != '' GROUP BY 1, 2")
        self._names = {(kind, source): n for kind, source, n in rows}

    # A segment was written anew: what only erased events told must go

    def concerned(self, first: Offset, last: Offset) -> tuple[list["Remembered"], list[tuple[int, str]]]:
        """Accounts and names of which the newest event, or group call, was among these; names as (kind, text)."""
        accounts = self._rows(
            "SELECT id, name, first_at, named_at, named_offset FROM account"
            " WHERE last_offset BETWEEN ?1 AND ?2 OR named_offset BETWEEN ?1 AND ?2",
            *(first, last),
        )
        names = self._rows(
            "SELECT DISTINCT kind, text FROM name WHERE last_offset BETWEEN ?1 AND ?2 AND text != ''", first, last
        )
        return [Remembered(*row) for row in accounts], [(row[0], row[1]) for row in names]

    def correct(
        self,
        first: Offset,
        last: Offset,
        accounts: Iterable[tuple[str, AccountNews | None]],
        gone: Iterable[tuple[int, str]],
        calls: Collection[Offset],
    ) -> None:
        """
        first, last  of a stretch that has just been made again
        accounts     as they are now; None: nothing of it is left
        gone         names of which nothing is left
        calls        offsets of group calls of users that are left in it
        """
        with self._db:
            changed = self._replace(accounts, gone)
            for (offset,) in self._rows("SELECT offset FROM named_user WHERE offset BETWEEN ? AND ?", first, last):
                if offset not in calls:
                    changed = True
                    self._db.execute("DELETE FROM named_user WHERE offset = ?", (offset,))
        if changed:
            self._scrub()

    def _replace(self, accounts: Iterable[tuple[str, AccountNews | None]], gone: Iterable[tuple[int, str]]) -> bool:
        """As `correct` has it. Whether anything changed."""
        changed = False
        for id_, news in accounts:
            before = self._db.execute("SELECT * FROM account WHERE id = ?", (id_,)).fetchone()
            if news is not None and before == _account_row(id_, news):
                continue
            changed = True
            self._db.execute("DELETE FROM account WHERE id = ?", (id_,))
            if news is not None:
                self._db.execute(UPSERT_ACCOUNT, _account_row(id_, news))
        for kind, text in gone:
            changed = True
            self._db.execute("DELETE FROM name WHERE kind = ? AND text = ?", (kind, text))
            self._db.execute("DELETE FROM day WHERE kind = ? AND text = ?", (kind, text))
        return changed

    def _scrub(self) -> None:
        """Nothing is left in the file of what was deleted."""
        self._db.execute("VACUUM")  # moving rows between pages leaves copies
        self._empty_wal()

    def _empty_wal(self) -> None:
        """While somebody reads, it cannot be: then with the next that is added."""
        self._wal_holds = bool(one(self._db, "PRAGMA wal_checkpoint(TRUNCATE)"))

    # Deleted users, see milonga.index.deleted

    @property
    def regulations(self) -> frozenset[int]:
        """Those whose users nothing here is called by any more."""
        return frozenset(row[0] for row in self._rows("SELECT id FROM regulation"))

    def accounts(self) -> Iterator["Remembered"]:
        """All of them."""
        for row in self._db.execute("SELECT id, name, first_at, named_at, named_offset FROM account"):
            yield Remembered(*row)

    def names(self) -> list[tuple[int, str]]:
        return [(row[0], row[1]) for row in self._rows("SELECT DISTINCT kind, text FROM name WHERE text != ''")]

    def forget_deleted(
        self,
        regulations: Iterable[int],
        accounts: Iterable[tuple[str, AccountNews | None]],
        gone: Iterable[tuple[int, str]],
    ) -> None:
        """accounts, gone  as `correct` has them"""
        with self._db:
            changed = self._replace(accounts, gone)
            self._db.executemany("INSERT OR IGNORE INTO regulation VALUES (?)", ((id_,) for id_ in regulations))
        if changed:
            self._scrub()

    def _rows(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        return rows(self._db, query, values)

    def close(self) -> None:
        self._db.close()


def _account_row(id_: str, news: AccountNews) -> tuple[Any, ...]:
    times = (news.first_at, news.last_at, news.last_offset, news.named_at, news.named_offset)
    return (id_, news.name, folded(id_, news.name), *times)


def _check(db: apsw.Connection) -> None:
    if (db.pragma("user_version"), db.pragma("application_id")) != (FORMAT, APPLICATION_ID):
        raise Unknown(f"{db.filename} has another format")
