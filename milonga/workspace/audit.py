"""
The audit log: who changed what, from which value to which, and who came in and went. Each row is written in the
transaction of its change.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import apsw
import msgspec
from msgspec import Struct

from milonga.workspace.database import Database, Value, fetch
from milonga.workspace.settings import MASK, shown

KEPT: Final = 400 * 86_400_000  #: milliseconds
MOST: Final = 200_000  #: rows of people and their programs
MOST_OWN: Final = 20_000  #: rows of the pipeline: a destination that comes and goes must not push out what people did
PIPELINE: Final = ("settings", "probe")  #: who writes those
MOST_SESSIONS: Final = 20_000  #: rows of logging in and out
MOST_FAILED: Final = 2_000  #: rows of attempts that failed: whoever guesses pushes out nothing else
BEGUN, ENDED, FAILED = "session.begun", "session.ended", "session.failed"
STRANGER: Final = "stranger"  #: who writes the last
GATHERED: Final = 10 * 60_000  #: milliseconds within which attempts with one name from one address are one row
LONGEST: Final = 2_000  #: characters of one value as JSON; beyond them its beginning stands for it
KEY_SHOWN: Final = 4  #: characters of a write key that are told

Changes: TypeAlias = Mapping[str, tuple[Any, Any]]
"""Field -> (before, after), JSON-able, secrets as ***; None where there was, or is, nothing."""


class Entry(Struct, frozen=True, kw_only=True):
    """
    id       ascending
    at       unix milliseconds
    by       "cli", "user:NAME", "token:NAME"; "settings" and "probe" are the pipeline itself, "stranger" whoever failed
             to log in
    what     thing and deed: "source.added", "destination.settings", "command.resend", ...
    name     of the thing
    changes  see Changes; in the order of the settings
    """

    id: int
    at: int
    by: str
    what: str
    name: str
    changes: dict[str, tuple[Any, Any]]


class Audit:
    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database, self._now = database, now

    def page(
        self,
        limit: int = 50,
        *,
        before: tuple[int, int] | None = None,
        by: str = "",
        what: str = "",
        name: str = "",
        without: str = "",
    ) -> tuple[Entry, ...]:
        """
        Newest first.

        before  (at, id) of the last one seen: what is older follows
        by      all of it
        what    "source.added", or "source" for all that was done with sources
        name    all of it
        without  nothing of what was done with such things: "session"
        """
        wanted: list[tuple[str, tuple[Value, ...]]] = [("at > ?", (self._now() - KEPT,))]
        if before is not None:
            wanted.append(("(at, id) < (?, ?)", before))
        if by:
            wanted.append(("by = ?", (by,)))
        if what:
            wanted.append(("(what = ? OR substr(what, 1, ?) = ?)", (what, len(what) + 1, f"{what}.")))
        if name:
            wanted.append(("name = ?", (name,)))
        if without:
            wanted.append(("substr(what, 1, ?) <> ?", (len(without) + 1, f"{without}.")))
        where = " AND ".join(condition for condition, _ in wanted)
        values = [value for _, some in wanted for value in some]
        sql = f"SELECT id, at, by, what, name, changes FROM audit WHERE {where} ORDER BY at DESC, id DESC LIMIT ?"  # noqa: S608
        with self._database.read() as db:
            return tuple(_entry(*row) for row in fetch(db, sql, *values, limit))

    def who(self) -> tuple[str, ...]:
        """All that a row is by, to choose from."""
        with self._database.read() as db:
            return tuple(row[0] for row in fetch(db, "SELECT DISTINCT by FROM audit ORDER BY by"))


def record(db: apsw.Connection, at: int, by: str, what: str, name: str, changes: Changes) -> None:
    """
    Within the write transaction of the change.

    at  unix milliseconds
    """
    text = msgspec.json.encode({field: tuple(_cut(one) for one in both) for field, both in changes.items()}).decode()
    db.execute("INSERT INTO audit (at, by, what, name, changes) VALUES (?, ?, ?, ?, ?)", (at, by, what, name, text))
    db.execute("DELETE FROM audit WHERE at < ?", (at - KEPT,))
    if db.last_insert_rowid() % 100 == 0:
        bound(db, MOST, MOST_OWN, MOST_SESSIONS, MOST_FAILED)


def record_failed(db: apsw.Connection, at: int, user: str, address: str, attempts: int) -> None:
    """
    Of a log-in that failed. What follows within GATHERED is added to its row.

    user  "" for a name that nobody has: it may be a password, typed into the wrong field
    """
    found = fetch(
        db,
        "SELECT id, changes ->> '$.attempts[1]' FROM audit WHERE at > ? AND what = ? AND name = ? "
        "AND changes ->> '$.address[1]' = ? ORDER BY at DESC, id DESC LIMIT 1",
        at - GATHERED,
        FAILED,
        user,
        address,
    )
    if found:
        row, before = found[0]
        total = int(before or 0) + attempts
        db.execute("UPDATE audit SET changes = json_set(changes, '$.attempts[1]', ?) WHERE id = ?", (total, row))
    else:
        record(db, at, STRANGER, FAILED, user, added(address=address, attempts=attempts))


def bound(
    db: apsw.Connection,
    most: int = MOST,
    most_own: int = MOST_OWN,
    most_sessions: int = MOST_SESSIONS,
    most_failed: int = MOST_FAILED,
) -> None:
    """No more rows than these, of each: what people did, the pipeline, coming and going, failing; the oldest go."""
    a_session = "substr(what, 1, 8) = 'session.'"
    own = "by IN ('settings', 'probe')"
    for condition, number in (
        (f"NOT {own} AND NOT {a_session}", most),
        (own, most_own),
        (f"{a_session} AND what <> '{FAILED}'", most_sessions),
        (f"what = '{FAILED}'", most_failed),
    ):
        db.execute(
            f"DELETE FROM audit WHERE id IN "  # noqa: S608
            f"(SELECT id FROM audit WHERE {condition} ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?)",
            (number,),
        )


def between(names: Iterable[str], *both: tuple[Struct, Struct]) -> Changes:
    """
    Of these settings, as people may see them.

    both  before and after, of the kind's own settings and of those that all kinds share
    """
    was = {name: value for before, _ in both for name, value in shown(before).items()}
    now = {name: value for _, after in both for name, value in shown(after).items()}
    return {name: (was.get(name), now[name]) for name in names if name in now}


def added(**fields: object) -> Changes:
    """Of something that was not there before; what is None, nothing or empty is left out."""
    return {name: (None, value) for name, value in fields.items() if value not in (None, "", (), [])}


def key_shown(write_key: str) -> str:
    return f"{write_key[:KEY_SHOWN]}…" if len(write_key) > 2 * KEY_SHOWN else "…"


def told_of(args: Mapping[str, object]) -> Changes:
    """
    Of a command, without anything that an event may have said: numbers, switches, the words that are ours, and of lists
    how many they hold. Other words stand as ***: that they were given narrows down what was asked for.
    """
    told: dict[str, object] = {}
    for name, value in args.items():
        match value:
            case _ if name in _NOT_TOLD:
                continue
            case Mapping() if name == "wanted" and not any(one is not None for one in value.values()):
                told["events"] = "all"
            case Mapping():  # which events
                told |= dict(_told(field, one) for field, one in value.items() if field not in _NOT_TOLD)
            case [int(partition), int(offset)] if name == "position":
                told["event"] = f"{partition}-{offset}"
            case list() | tuple():
                told[_COUNTED.get(name, name)] = len(value)
            case _:
                told |= [_told(name, value)]
    return added(**told)


OUR_WORDS: Final = frozenset({"state", "type", "code"})  #: arguments of commands whose texts no event makes up
_NOT_TOLD: Final = frozenset({"destination", "source", "by", "event", "died_at"})
_COUNTED: Final = {"positions": "events", "lines": "keys"}
_TIMES: Final = frozenset({"since", "until"})  #: unix milliseconds


def _told(name: str, value: object) -> tuple[str, object]:
    if isinstance(value, list | tuple) and name in _COUNTED:
        return _COUNTED[name], len(value)
    if isinstance(value, int) and name in _TIMES:
        at = datetime.fromtimestamp(value / 1000, UTC) if abs(value) < 2**47 else None
        return name, value if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return name, value if value is None or isinstance(value, (bool, int, float)) or name in OUR_WORDS else MASK


def _cut(value: object) -> object:
    text = msgspec.json.encode(value).decode()
    return value if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _entry(id_: int, at: int, by: str, what: str, name: str, changes: str) -> Entry:
    try:
        found = msgspec.json.decode(changes, type=dict[str, tuple[Any, Any]])
    except msgspec.DecodeError:  # damaged: what is left is shown
        found = {}
    return Entry(id=id_, at=at, by=by, what=what, name=name, changes=found)
