"""
The audit log: who changed what, from which value to which, who came in and went, or failed to, and who exported
or read events. Each row is written in the transaction of its change; what happens as often as somebody else likes is
gathered (milonga.workspace.gathering).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

import apsw
import msgspec
from msgspec import Struct

from milonga.workspace.database import Database, Value, fetch
from milonga.workspace.settings import MASK, shown
from milonga.workspace.throttle import LONGEST_NAME

KEPT: Final = 400 * 86_400_000  #: milliseconds
MOST: Final = 200_000  #: rows of people and their programs
MOST_OWN: Final = 20_000  #: rows of the pipeline: a destination that comes and goes must not push out what people did
PIPELINE: Final = ("settings", "probe")  #: who writes those
MOST_SESSIONS: Final = 20_000  #: rows of logging in and out
MOST_FAILED: Final = 2_000  #: rows of attempts that failed: whoever guesses pushes out nothing else
MOST_REFUSED: Final = 2_000  #: and of tokens that let nobody in
MOST_TAKEN: Final = 20_000  #: rows of events that were exported or read
BEGUN, ENDED, FAILED = "session.begun", "session.ended", "session.failed"
REFUSED: Final = "token.refused"
TAKEN: Final = "export"  #: the thing; the deed says which events
STRANGER: Final = "stranger"  #: who writes what failed
GATHERED: Final = 10 * 60_000  #: milliseconds within which the same from the same address is one row
LONGEST_ADDRESS: Final = 100  #: characters
LONGEST: Final = 2_000  #: characters of one value as JSON; beyond them its beginning stands for it
KEY_SHOWN: Final = 4  #: characters of a write key that are told

Changes: TypeAlias = Mapping[str, tuple[Any, Any]]
"""Field -> (before, after), JSON-able, secrets as ***; None where there was, or is, nothing."""


class Entry(Struct, frozen=True, kw_only=True):
    """
    id       ascending
    at       unix milliseconds
    by       "cli", "user:NAME", "token:NAME"; "settings" and "probe" are the pipeline itself, "stranger" whoever failed
             to come in
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


class Often(NamedTuple):
    """
    What is counted in one row.

    name     of the thing; "" if that is not known, or is not to be told
    address  from where
    unit     of what is counted, as the row's field
    """

    by: str
    what: str
    name: str
    address: str
    unit: str


def failed_login(name: str, address: str) -> Often:
    """With a name and a password that do not go together. The name is told only if somebody has it."""
    return Often(STRANGER, FAILED, name[:LONGEST_NAME], address, "attempts")


def refused_token(name: str, address: str) -> Often:
    """name  of the token that is over; "" if nobody has it"""
    return Often(STRANGER, REFUSED, name, address, "attempts")


def taken(by: str, which: str, name: str, address: str, unit: str) -> Often:
    """
    Events that left as a file, or in answers of the API.

    which  "dead_letters", "skipped", "parked", "events", "discarded"
    name   of the destination; "" if they are not of one
    unit   "events", or "files" where how many are in it is not known beforehand
    """
    return Often(by, f"{TAKEN}.{which}", name, address, unit)


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

    def gathered(self, counts: Mapping[Often, int]) -> None:
        """How often what happened."""
        now = self._now()
        with self._database.write() as db:
            recent = _recent(db, now - GATHERED, {one.what for one in counts})
            for one, n in counts.items():
                _count(db, now, _as_told(db, one), n, recent)

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
        bound(db, MOST, MOST_OWN, MOST_SESSIONS, MOST_FAILED, MOST_REFUSED, MOST_TAKEN)


def _recent(db: apsw.Connection, since: int, whats: Iterable[str]) -> dict[Often, tuple[int, int]]:
    """
    Rows that may be added to: id, and how often so far. All at once, for a stranger may have made thousands of them,
    and nobody else writes meanwhile.

    since  unix milliseconds
    """
    found: dict[Often, tuple[int, int]] = {}
    for row, by, what, name, changes in fetch(db, _RECENT, since, msgspec.json.encode(sorted(whats)).decode()):
        told = _read_changes(changes)
        address = str(told.pop("address", (None, ""))[1])
        for unit, (_, n) in told.items():
            if isinstance(n, int):
                found[Often(by, what, name, address, unit)] = (row, n)
    return found


_RECENT: Final = """
SELECT id, by, what, name, changes FROM audit
WHERE at > ? AND what IN (SELECT value FROM json_each(?)) ORDER BY at, id
"""
_read_changes: Final = msgspec.json.Decoder(dict[str, tuple[Any, Any]]).decode


def _count(db: apsw.Connection, at: int, one: Often, n: int, recent: dict[Often, tuple[int, int]]) -> None:
    """What follows within GATHERED is added to its row."""
    if one in recent:
        row, before = recent[one]
        n += before
        db.execute("UPDATE audit SET changes = json_set(changes, ?, ?) WHERE id = ?", (f"$.{one.unit}[1]", n, row))
    else:
        record(db, at, one.by, one.what, one.name, added(**{"address": one.address, one.unit: n}))
        row = db.last_insert_rowid()
    recent[one] = (row, n)


def _as_told(db: apsw.Connection, one: Often) -> Often:
    """A name that nobody has is not told: it may be a password, typed into the wrong field."""
    name = one.name
    if one.what == FAILED:
        known = fetch(db, "SELECT name FROM console_user WHERE name = ?", name)
        name = known[0][0] if known else ""
    return one._replace(name=name, address=one.address[:LONGEST_ADDRESS])


def bound(
    db: apsw.Connection,
    most: int = MOST,
    most_own: int = MOST_OWN,
    most_sessions: int = MOST_SESSIONS,
    most_failed: int = MOST_FAILED,
    most_refused: int = MOST_REFUSED,
    most_taken: int = MOST_TAKEN,
) -> None:
    """
    No more rows than these, of each: what people did, the pipeline, coming and going, failing to, failing to with a
    token, what was exported or read; the oldest go.
    """
    kinds = {
        "by IN ('settings', 'probe')": most_own,
        f"substr(what, 1, 8) = 'session.' AND what <> '{FAILED}'": most_sessions,
        f"what = '{FAILED}'": most_failed,
        f"what = '{REFUSED}'": most_refused,
        f"substr(what, 1, 7) = '{TAKEN}.'": most_taken,
    }
    rest = f"NOT ({' OR '.join(f'({one})' for one in kinds)})"
    for condition, number in {rest: most, **kinds}.items():
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
_NOT_TOLD: Final = frozenset({"destination", "source", "by", "event", "stamp", "died_at", "parked_at"})
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
