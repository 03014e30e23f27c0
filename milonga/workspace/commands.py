"""What a running server is asked to do, and its answers: rows, so that any process can ask and wait."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from milonga.workspace.audit import record, told_of
from milonga.workspace.database import Database, fetch
from milonga.workspace.model import Command

KEPT = 30 * 86_400_000  #: milliseconds a result can be asked for; then it is thrown away
QUIET: Final = frozenset({"test"})  #: kinds that change nothing, and so are not in the audit log


def milliseconds() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


class Commands:
    def __init__(self, database: Database, now: Callable[[], int] = milliseconds) -> None:
        self._database = database
        self._now = now

    def ask(self, kind: str, args: Mapping[str, object], *, by: str = "cli") -> int:
        """Put it in line; its id. A running server carries it out within 5 seconds, another once it starts."""
        now = self._now()
        with self._database.write() as db:
            db.execute(
                "INSERT INTO command (asked_at, kind, args) VALUES (?, ?, ?)",
                (now, kind, msgspec.json.encode(args).decode()),
            )
            number = db.last_insert_rowid()
            if kind not in QUIET:
                found = fetch(db, "SELECT name FROM destination WHERE id = ?", _number(args.get("destination")))
                record(db, now, by, f"command.{kind}", found[0][0] if found else "", told_of(args))
        return number

    def pending(self) -> tuple[Command, ...]:
        """Not yet ended, oldest first."""
        waiting = "SELECT id, asked_at, kind, args FROM command WHERE ended_at IS NULL ORDER BY id"
        with self._database.read() as db:
            return tuple(
                Command(id=id_, asked_at=asked_at, kind=kind, args=msgspec.json.decode(args))
                for id_, asked_at, kind, args in fetch(db, waiting)
            )

    def finish(self, command: int, result: Mapping[str, object]) -> None:
        """
        Its result, once: a second one changes nothing. `result` needs to be JSON. What was asked for is not needed any
        more, and may name people: it goes.
        """
        now = self._now()
        with self._database.write() as db:
            db.execute(
                "UPDATE command SET ended_at = ?, result = ?, args = '{}' WHERE id = ? AND ended_at IS NULL",
                (now, msgspec.json.encode(result).decode(), command),
            )
            db.execute("DELETE FROM command WHERE ended_at < ?", (now - KEPT,))

    def result(self, command: int) -> dict[str, Any] | None:
        """None while it waits. KeyError if there is no such command, or its result was thrown away."""
        with self._database.read() as db:
            found = fetch(db, "SELECT result FROM command WHERE id = ?", command)
        if not found:
            raise KeyError(command)
        text = found[0][0]
        return None if text is None else dict(msgspec.json.decode(text))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
