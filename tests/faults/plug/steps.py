"""
The named steps at which a process can be told to kill itself, and the wraps that make them. In the process under test.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import apsw
import msgspec
from msgspec.structs import replace

from tests.faults.plug.orders import VARIABLE, Order, Plug

COLLECTOR: Final = {
    "log-opened": "a start, the log open and nothing taken yet",
    "before-begin": "a group of events waits to be written",
    "after-insert": "appended, not committed",
    "after-commit": "committed, nobody told",
    "before-answer": "committed, the answers not sent",
    "checkpoint": "a checkpoint of the log",
    "segment-created": "sealing a segment: the next one made, without its name",
    "segment-named": "sealing a segment: the next one named",
    "sealed": "a segment sealed, its counts and indexes still to come",
    "rolled": "its counts added to the totals",
    "indexing": "making its indexes, not committed",
    "indexed": "its indexes made",
    "dropping": "dropping a segment: some of its files gone",
    "dropped": "a segment dropped, the next one not",
}
DELIVERY: Final = {
    "resumed": "a start, what a crash left half done just completed",
    "read": "events read from the log, not sent",
    "before-request": "about to send",
    "request-sent": "a request sent, no answer yet",
    "answered": "answered, not recorded",
    "outcomes-before-commit": "outcomes written, not committed",
    "outcomes-committed": "outcomes committed, nothing that rests on them",
    "position": "outcomes committed, the position written, not committed",
    "progress": "a failed attempt written, not committed",
    "parked": "a line parked, not committed",
    "store-committed": "delivery.db committed, the outcomes that go with it not",
    "ending": "a parked event marked as about to end, not committed",
    "unparked": "a parked event taken out of its lines, not committed",
    "detour": "a detour written, not committed",
    "dead": "a dead letter written, its outcome not",
    "outcomes-next": "the next file of outcomes made, empty",
    "stopping": "asked to stop, positions still to be written",
}
MIGRATION: Final = {
    "copying": "the copy from before begun",
    "copied": "the copy made, nothing migrated",
    "migrating": "a migration run, not committed",
    "migrated": "a migration committed, the next one not",
}

_plug: Plug
_left: dict[Order, int] = {}


def step(name: str) -> None:
    """Ends the process if that is the order; the order is gone then."""
    path = Path(_plug.order)
    try:
        order = msgspec.json.decode(path.read_bytes(), type=Order)
    except (OSError, msgspec.MsgspecError):
        return
    if order.step != name:
        return
    left = _left.setdefault(order, order.after)
    if left:
        _left[order] = left - 1
        return
    path.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """Wrap what makes the steps."""
    global _plug
    _plug = msgspec.json.decode(os.environ[VARIABLE], type=Plug)
    _log()
    _keeping()
    _delivery()
    _store()
    _migrations()


def _around(owner: Any, name: str, *, before: str = "", after: str = "") -> None:
    """A step before the function or method is called, or after it has returned."""
    wrapped: Callable[..., Any] = getattr(owner, name)

    @wraps(wrapped)
    def wrapper(*args: Any, **more: Any) -> Any:
        if before:
            step(before)
        result = wrapped(*args, **more)
        if after:
            step(after)
        return result

    setattr(owner, name, wrapper)


def _put(module: ModuleType, name: str, value: Any) -> None:
    """In place of what the module has by this name, imported or its own."""
    assert hasattr(module, name)
    setattr(module, name, value)


def _log() -> None:
    from milonga.eventlog import checkpoint
    from milonga.eventlog.active import ActiveSegment
    from milonga.eventlog.sqlite import SqliteLog
    from milonga.eventlog.writer import SealAt

    opening = SqliteLog._open

    def open_(self: SqliteLog, folder: Path, **more: Any) -> None:
        seal_at = replace(SealAt(), events=_plug.seal_events)
        opening(self, folder, **{**more, "on_step": step, "seal_at": seal_at})
        step("log-opened")

    SqliteLog._open = open_  # type: ignore[method-assign]
    checkpoint.FRAMES = 32
    _around(ActiveSegment, "checkpoint", before="checkpoint")
    _around(checkpoint, "_copy", before="checkpoint")


def _keeping() -> None:
    """What becomes of sealed segments."""
    from milonga.cli import halves
    from milonga.eventlog import keeper
    from milonga.eventlog.aside import with_companions
    from milonga.eventlog.sqlite import SqliteLog

    filter_keys = keeper._to_bytes

    def to_bytes(keys: Any) -> bytes:
        step("indexing")  # the indexes are there, in a transaction that is not committed
        return filter_keys(keys)

    keeper._to_bytes = to_bytes

    def remove(path: Path) -> None:
        for part in with_companions(path):
            part.unlink(missing_ok=True)
            step("dropping")

    _put(keeper, "remove", remove)
    if _plug.keep_seconds is not None:
        halves.CLEAN_UP = 0.2
        dropping, keep = SqliteLog.drop_older_than, int(_plug.keep_seconds * 1000)

        async def drop_older_than(self: SqliteLog, age: int, keep_from: int) -> int:
            """What nobody has got is dropped no sooner than always."""
            return await dropping(self, age if age > halves.Keep().events * halves.DAY * 1000 else keep, keep_from)

        SqliteLog.drop_older_than = drop_older_than  # type: ignore[method-assign]


def _delivery() -> None:
    from milonga.cli import serving
    from milonga.delivery import reading, runner
    from milonga.delivery.limits import Limits
    from milonga.delivery.sender import Sender
    from milonga.eventlog.reader import SqliteLogReader

    deliver: Callable[..., Any] = getattr(serving, "deliver")  # noqa: B009 - not exported

    async def limited(*args: Any, **more: Any) -> None:
        await deliver(
            *args,
            **{**more, "limits": replace(Limits(), lane=_plug.lane, account=_plug.account, blocked=_plug.blocked)},
        )

    _put(serving, "deliver", limited)
    read = SqliteLogReader.read

    async def reads(self: SqliteLogReader, *args: Any, **more: Any) -> Any:
        found = await read(self, *args, **more)
        if found:
            step("read")
        return found

    SqliteLogReader.read = reads  # type: ignore[method-assign]
    send = Sender.send

    def sends(self: Sender, outgoing: Any, done: Callable[..., None]) -> None:
        step("before-request")

        def answered(*args: Any) -> None:
            step("answered")
            done(*args)

        send(self, outgoing, answered)
        asyncio.get_running_loop().call_later(0.002, step, "request-sent")

    Sender.send = sends  # type: ignore[method-assign]
    _around(reading, "known_after", after="resumed")
    stop = runner.Runner.stop

    async def stops(self: runner.Runner, grace: float) -> None:
        step("stopping")
        await stop(self, grace)

    runner.Runner.stop = stops  # type: ignore[method-assign]


def _store() -> None:
    from milonga.delivery.recorder import Recorder
    from milonga.delivery.store import DeliveryStore
    from milonga.outcomes import writer
    from milonga.outcomes.writer import OutcomeWriter

    for name, what in (
        *(("set_position", "position"), ("set_progress", "progress"), ("park", "parked"), ("unpark", "unparked")),
        *(("mark_ending", "ending"), ("set_detour", "detour"), ("add_dead", "dead")),
    ):
        _around(DeliveryStore, name, after=what)
    _around(Recorder, "_commit_store", after="store-committed")
    _around(Recorder, "_commit_outcomes", after="outcomes-committed")
    making = OutcomeWriter.__init__

    def make(self: OutcomeWriter, *args: Any, **more: Any) -> None:
        making(self, *args, **{**more, "segment_rows": _plug.outcome_rows})

    OutcomeWriter.__init__ = make  # type: ignore[method-assign]
    opening: Callable[[Path], apsw.Connection] = getattr(writer, "open_to_write")  # noqa: B009 - not exported

    def open_to_write(path: Path) -> apsw.Connection:
        db = opening(path)
        if db.pragma("user_version") == 0:
            step("outcomes-next")

        def committing() -> bool:
            step("outcomes-before-commit")
            return False

        db.set_commit_hook(committing)
        return db

    _put(writer, "open_to_write", open_to_write)


def _migrations() -> None:
    from milonga.workspace import database, migrate

    _around(migrate, "keep_copy", before="copying", after="copied")
    forward = migrate.migrate

    def migrating(db: apsw.Connection, *args: Any) -> None:
        def traced(_cursor: apsw.Cursor, sql: str, _values: Any) -> bool:
            if sql.startswith("PRAGMA user_version ="):
                step("migrating")
            elif sql == "BEGIN IMMEDIATE" and migrate.version_of(db) > 1:
                step("migrated")
            return True

        db.exec_trace = traced
        try:
            forward(db, *args)
        finally:
            db.exec_trace = None

    _put(database, "migrate", migrating)
