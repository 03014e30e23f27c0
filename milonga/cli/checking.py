"""
What `milonga check` looks for in the files beside the log, and the words it finds. Reads only, in short transactions
but for SQLite's own look through a file; memory does not grow with the files.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import apsw
import msgspec
from msgspec import Struct

from milonga.delivery.rows import event_of, keys_of
from milonga.eventlog.api import Offset
from milonga.eventlog.aside import UNREADABLE
from milonga.facts.formats import DELIVERY, LOG, OUTCOMES, kind_of, known_formats, read_only
from milonga.outcomes import files as outcome_files
from milonga.workspace import database

PATIENCE: Final = 5_000  #: milliseconds to wait for another process's write
CACHE: Final = 4_000  #: kibibytes of a file being read
MOST_TOLD: Final = 5  #: faults of one kind that are named; the rest is counted

ASIDE_FIX: Final = "Save what you need of it (sqlite3 FILE .recover), then delete it: nothing else does."
INDEX_FIX: Final = "Stop the server, then: sqlite3 FILE 'REINDEX'. Until then what is looked up may not be found."


class Problem(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    file   in the data directory
    what   is damaged
    lost   what that costs, in words
    count  how many events, outcomes or rows that is, at most; None if it cannot be known
    fix    what to do
    """

    file: str
    what: str
    lost: str
    count: int | None
    fix: str


class Checked(Struct, frozen=True):
    """
    holds  in words
    bytes  with its write-ahead log
    """

    file: str
    holds: str
    bytes: int


class Report(Struct):
    files: list[Checked]
    problems: list[Problem]
    notes: list[str]

    def problem(self, file: str, what: str, *, lost: str, count: int | None, fix: str) -> None:
        self.problems.append(Problem(file=file, what=what, lost=lost, count=count, fix=fix))


class Ranges:
    """Offsets, given in order: how many, and where the first of them are."""

    def __init__(self) -> None:
        self.count = 0
        self._ranges: list[list[Offset]] = []
        self._more = False

    def add(self, offset: Offset) -> None:
        self.count += 1
        if self._more:
            return
        if self._ranges and self._ranges[-1][1] == offset - 1:
            self._ranges[-1][1] = offset
        elif len(self._ranges) == MOST_TOLD:
            self._more = True
        else:
            self._ranges.append([offset, offset])

    def __str__(self) -> str:
        told = [str(a) if a == b else f"{a} to {b}" for a, b in self._ranges]
        return ", ".join([*told, *(["..."] if self._more else [])])


def open_file(path: Path) -> apsw.Connection:
    """To read, beside a writer. apsw.NotADBError if it is empty; apsw.CantOpenError if it is gone."""
    connection = read_only(path)
    try:
        connection.set_busy_timeout(PATIENCE)
        connection.pragma("cache_size", -CACHE)
        connection.pragma("cell_size_check", True)
        if path.exists() and path.stat().st_size == 0:
            raise apsw.NotADBError("it is empty")  # noqa: TRY301 - the handler only closes the file
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def size_of(path: Path) -> int:
    size = 0
    for part in (path, path.with_name(path.name + "-wal")):
        try:
            size += part.stat().st_size
        except FileNotFoundError:
            continue
    return size


def newer(report: Report, name: str, connection: apsw.Connection) -> bool:
    """Whether a newer Milonga wrote it; that is told."""
    kind, version = kind_of(name), int(connection.pragma("user_version"))
    if not kind or version <= known_formats()[kind]:
        return False
    report.problem(
        name,
        f"was written by a newer Milonga (format {version}; this one knows {known_formats()[kind]})",
        lost="nothing",
        count=0,
        fix="Use the Milonga that wrote it.",
    )
    return True


def faults_of(connection: apsw.Connection) -> list[str]:
    """What SQLite's own check finds; empty if it is sound."""
    try:
        said = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({MOST_TOLD})")]
    except UNREADABLE as error:
        return [str(error)]
    lines = [line for one in said for line in one.splitlines() if not line.startswith("*** in database")]
    return [] if lines == ["ok"] else lines[:MOST_TOLD]


def only_indexes(faults: list[str]) -> bool:
    """Whether the rows themselves are all there."""
    return all("missing from index" in fault or "wrong # of entries in index" in fault for fault in faults)


@contextmanager
def _looked_through(report: Report, data: Path, name: str, *, lost: str, fix: str) -> Iterator[apsw.Connection | None]:
    """
    The file, if there is one and it can be read, whatever SQLite finds in it; what it finds is told.

    lost, fix  what is said of a damaged one
    """
    try:
        connection = open_file(data / name)
    except apsw.CantOpenError as error:
        if (data / name).exists():
            report.problem(name, f"cannot be opened: {error}", lost="unknown", count=None, fix="Let this user read it.")
        yield None
        return
    except apsw.ReadOnlyError:
        report.notes.append(f"{name} holds a change that a crash cut short: the next start takes it back.")
        yield None
        return
    except UNREADABLE as error:
        report.problem(name, f"cannot be read: {error}", lost=lost, count=None, fix=fix)
        yield None
        return
    with closing(connection):
        if newer(report, name, connection):
            yield None
            return
        faults = faults_of(connection)
        if faults and only_indexes(faults):
            report.problem(name, f"an index is damaged: {faults[0]}", lost="nothing", count=0, fix=INDEX_FIX)
        elif faults:
            report.problem(name, f"is damaged: {'; '.join(faults)}", lost=f"in part: {lost}", count=None, fix=fix)
        yield connection


def check_workspace(report: Report, data: Path) -> bool:
    """Whether it can be used."""
    name = database.NAME
    if database.is_unfinished(data / name):
        report.problem(
            name,
            "a restore was cut short, or is under way",
            lost="nothing: the backup has it all",
            count=0,
            fix="Wait for it, or restore the backup again into the same directory.",
        )
        return False
    lost = "sources, destinations, settings: nothing is taken in or delivered before it is back; events stay"
    before = len(report.problems)
    fix = database.MEND
    with _looked_through(report, data, name, lost=lost, fix=fix) as db:
        if db is None or len(report.problems) > before:
            return False
        version, newest = int(db.pragma("user_version")), known_formats()["workspace"]
        loose = len(db.execute("PRAGMA foreign_key_check").fetchall())
        if loose:
            report.problem(name, f"{loose} rows name what is not there", lost="unknown", count=loose, fix=fix)
        if version < newest:
            report.notes.append(f"{name} is of an older Milonga (version {version}): the next start brings it forward.")
            return False
        sources = db.execute("SELECT count(*) FROM source WHERE removed_at IS NULL").get
        destinations = db.execute("SELECT count(*) FROM destination WHERE removed_at IS NULL").get
        users = db.execute("SELECT count(*) FROM console_user").get
        tokens = db.execute("SELECT count(*) FROM api_token").get
        unreadable = db.execute("SELECT count(*) FROM audit WHERE NOT json_valid(changes)").get
        if unreadable:
            said = f"{unreadable} rows of the audit log do not say what was changed any more"
            report.problem(
                name, said, lost="what they said", count=unreadable, fix="Nothing can be done; they do no harm."
            )
    holds = f"{sources} sources, {destinations} destinations, {users} users, {tokens} API tokens"
    report.files.append(Checked(name, holds, size_of(data / name)))
    return True


def check_delivery(report: Report, data: Path) -> bool:
    """Whether it can be used, or there is none yet."""
    name = DELIVERY
    lost = "positions, dead letters, parked lines: what has an outcome is not sent again, the rest is"
    fix = "Restart the server: it sets the file aside and begins a new one."
    with _looked_through(report, data, name, lost=lost, fix=fix) as db:
        if db is None:
            return not (data / name).exists()
        if int(db.pragma("user_version")) == 0:
            return False  # it is just being made
        try:
            dead, spoiled = 0, 0
            for stamp, body in db.execute("SELECT stamp, body FROM dead"):
                dead, spoiled = dead + 1, spoiled + (not _decodes(stamp, body))
            parked, lost_places = 0, 0
            for keys, stamp, body in db.execute("SELECT keys, stamp, body FROM parked"):
                parked, lost_places = parked + 1, lost_places + (not _is_place(keys, stamp, body))
        except UNREADABLE:
            return False  # told already
    for what, n in (("dead letters", spoiled), ("parked events", lost_places)):
        if n:
            fault = "This is a fault of Milonga's: please report it."
            report.problem(name, f"{n} {what} cannot be read", lost=f"these {what}", count=n, fix=fault)
    report.files.append(Checked(name, f"{dead:,} dead letters, {parked:,} parked events", size_of(data / name)))
    return True


def _decodes(stamp: object, body: object) -> bool:
    try:
        event_of(stamp, body)  # type: ignore[arg-type]
    except (msgspec.MsgspecError, TypeError):
        return False
    return isinstance(body, bytes)


def _is_place(keys: str, stamp: object, body: object) -> bool:
    try:
        keys_of(keys)
    except (ValueError, TypeError):
        return False
    return stamp is None or _decodes(stamp, body)


def check_outcomes(report: Report, data: Path) -> list[str]:
    """Names of those that can be read."""
    readable, numbers = [], outcome_files.segments(data / OUTCOMES)
    lost = "what became of the events it tells of; those just delivered may be sent once more after a restart"
    for number in numbers:
        name = f"{OUTCOMES}/{number:08}.db"
        newest = number == numbers[-1]
        fix = (
            "Restart the server: it sets the file aside and begins a new one."
            if newest
            else "Nothing needs it but `milonga explain`. Save what you need of it, then delete it."
        )
        with _looked_through(report, data, name, lost=lost, fix=fix) as db:
            if db is None or int(db.pragma("user_version")) == 0:
                continue
            try:
                rows = int(db.execute("SELECT count(*) FROM outcomes").get)
                tries = int(db.execute("SELECT count(*) FROM attempts").get)
            except UNREADABLE:
                continue  # told already
            readable.append(name)
            report.files.append(Checked(name, f"{rows:,} outcomes, {tries:,} failed attempts", size_of(data / name)))
    return readable


def check_counts(report: Report, data: Path) -> None:
    for name in (f"{LOG}/counters.db", f"{OUTCOMES}/counters.db"):
        lost = "counts per minute of files that are gone"
        fix = "Nothing: it is set aside, and a new one begun, when it is next written to."
        with _looked_through(report, data, name, lost=lost, fix=fix) as db:
            if db is not None:
                report.files.append(Checked(name, "counts per minute", size_of(data / name)))


def check_set_aside(report: Report, data: Path) -> None:
    """What the server found damaged before, and nobody has dealt with."""
    for folder in (data, data / LOG, data / OUTCOMES):
        for path in sorted(folder.glob("*.db.damaged-*")):
            if not path.name.endswith(("-wal", "-shm")):
                name = path.relative_to(data).as_posix()
                report.problem(
                    name,
                    "was found damaged, and set aside",
                    lost="what the server's log said then, at level error",
                    count=None,
                    fix=ASIDE_FIX,
                )
