"""What the data directory of a server that has done its work is filled with, and everything one can see of it."""

import asyncio
import contextlib
from pathlib import Path

from milonga.delivery.rows import DeadLetter
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.segment import has_indexes, list_segments, open_to_read, path_of
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.reader import OutcomeReader
from milonga.workspace.store import Workspace
from tests.commands import milonga
from tests.delivery import paper
from tests.running import eventually

HUSH = "hush-hush-4711"

EVENTS = 120

SEGMENT = 25  #: events


async def fill_log(data: Path, events: int = EVENTS) -> None:
    """In several segments, the sealed ones with their indexes."""
    log = await SqliteLog.open(data / "log", seal_at=SealAt(events=SEGMENT))
    for n in range(0, events, SEGMENT):
        await log.append([paper.event(k + 1) for k in range(n, min(n + SEGMENT, events))])
    sealed = list_segments(data / "log")[:-1]
    await asyncio.to_thread(eventually, lambda: all(settled(data, first) for first in sealed), "indexes are made")
    await log.close()


def settled(data: Path, first: int) -> bool:
    with contextlib.closing(open_to_read(path_of(data / "log", first))) as connection:
        return has_indexes(connection)


def outcome(offset: int, state: State = State.delivered, code: str = "") -> Outcome:
    return Outcome(
        destination=1,
        position=Position(0, offset),
        state=state,
        code=code,
        attempts=1,
        perhaps=0,
        received_at=1,
        ended_at=2,
        settings_version=1,
    )


def letter(offset: int) -> DeadLetter:
    return DeadLetter(
        destination=1,
        position=Position(0, offset),
        died_at=9,
        code="http_400",
        reason="no",
        parts=frozenset(),
        event=paper.event(offset),
    )


def run(*words: str | Path, **env: str) -> tuple[int, str]:
    done = milonga(*map(str, words), env=env)
    return done.returncode, done.stdout + done.stderr


def content(data: Path) -> dict[str, object]:
    """Everything one can see of it, but for the key."""
    lookup, outcomes = EventLookup(data / "log"), OutcomeReader(data / "outcomes")
    with Workspace.open(data) as workspace, contextlib.closing(DeliveryReader(data / "delivery.db")) as delivery:
        return {
            "sources": workspace.sources.all(),
            "destinations": [(one.name, one.kind) for one in workspace.destinations()],
            "history": workspace.history("totango"),
            "events": lookup.newest(1_000),
            "counts": lookup.counts(0, 2**40),
            "outcomes": [outcomes.of(Position(0, n)) for n in range(1, EVENTS + 1)],
            "totals": outcomes.totals(),
            "positions": delivery.watermarks(0),
            "dead": delivery.dead_letters(),
        }
