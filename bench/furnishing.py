"""
A data directory as a week of a busy product leaves it: events in the log, an outcome of each, skips, dead letters and
parked events. Made by Milonga's own writers, whose clock goes through the week in minutes; then kept, and used again.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from bench.children import Child
from bench.samples import Sample, message_ids, sample_of, stamp_now
from bench.serving import DESTINATION, SOURCE, set_up
from milonga.delivery.replay_rows import Replay, ReplayState
from milonga.delivery.rows import DeadLetter, Parked
from milonga.delivery.selection import Selection
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.api import Position
from milonga.eventlog.sqlite import SqliteLog
from milonga.facts.directory import LOG_FOLDER
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.outcomes.writer import OutcomeWriter
from milonga.privacy.regulation import Kind
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

WEEK: Final = 7 * 86_400_000 - 3_600_000  #: milliseconds that the events are spread over, up to now
ACCOUNTS: Final = 20_000
USERS_OF_ONE: Final = 4
NAMES: Final = 120  #: of tracks
SAMPLES: Final = 40_000  #: different events, but for their message ids
GROUP: Final = 500  #: events appended at once
GROUPS: Final = 20  #: under way
ROWS: Final = 5_000  #: outcomes of a transaction
DEAD, PARKED = 2_000, 5_000  #: dead letters and parked events at most, and no more than one in a thousand
FILTER: Final = "no-tests"  #: of the first destination
REPLAY: Final = 1_000_000_007  #: number of one that is done
HOOK: Final = "warehouse"  #: the other destination, which came when nine tenths of the events were there
MIX: Final = "ttttptitttptitttpitg"
SKIPS: Final = ("missing_group_id", "unsupported_type", "FILTERED_BY_INTEGRATIONS_OBJECT", "filtered:drop-internal")
DEAD_CODES: Final = ("http_400", "http_422", "http_403")
DONE: Final = "furnished.json"
PATIENCE: Final = 7_200.0  #: seconds


def furnished(folder: Path, events: int, cores: set[int]) -> tuple[Path, float]:
    """
    The data directory, and the seconds it took to make; 0 if it was there. Its log ends at the time when it was made.

    folder  where it stays after the bench
    """
    data = folder / f"milonga-furnished-{events}"
    done = data.with_name(f"{data.name}-{DONE}")
    if done.exists():
        return data, 0.0
    if data.exists():
        raise RuntimeError(f"{data} is half made: remove it, or name another --folder")
    began = time.perf_counter()
    end = time.time_ns() // 1_000_000
    data.mkdir(parents=True, mode=0o700)
    source = set_up(data)
    with Workspace.open(data) as workspace:
        workspace.sources.add("ios-app")
        settings = {"serviceId": "SP-12345-01", "endpoint": "http://127.0.0.1:9/pixel.gif/"}
        on, paused = DestinationState.on, DestinationState.paused
        workspace.add_destination("totango", SOURCE, DESTINATION, settings, on, {0: 0})
        workspace.add_destination("webhook", SOURCE, HOOK, {"url": "http://127.0.0.1:9/"}, on, {0: events // 10 * 9})
        for name in (DESTINATION, HOOK):
            workspace.change_state(name, paused, "bench", "nobody is there", {0: events})
    with (
        Child(_work, cores, _log, (data, source, events, end)) as log,
        Child(_work, cores, _rest, (data, events, end)) as rest,
    ):
        rest.hear(PATIENCE)
        log.hear(PATIENCE)
    took = time.perf_counter() - began
    done.write_text(json.dumps({"events": events, "made": end, "seconds": round(took)}) + "\n")
    return data, took


def complete(data: Path) -> int:
    """
    What pages show beside events, and directories of before do not have: a filter, a replay, a regulation that changes
    nothing; its number. To be done while nobody serves it.
    """
    with Workspace.open(data) as workspace:
        rules = [{"name": FILTER, "do": "drop", "when": 'event.startsWith("Test")'}]
        workspace.set_settings(DESTINATION, {"filters": rules}, by="bench")
        source, regulations = workspace.sources.named(SOURCE).id, workspace.regulations
        regulation = (regulations.all(1) or [regulations.create(Kind.unsuppress, ["nobody"], by="bench")])[0].id
        number, now = workspace.destination(DESTINATION).id, workspace.destination(DESTINATION).changes[0].at
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        wanted = Selection(source=source, since=now - WEEK, until=now, account="account-00001")
        done = Replay(
            id=REPLAY,
            destination=number,
            asked_at=now,
            by="cli",
            wanted=wanted,
            rate=50.0,
            overwrite=False,
            state=ReplayState.done,
            ended_at=now,
        )
        store.replays.begin(done)
    store.close()
    return regulation


def _work(pipe: Connection, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    pipe.send("begun")
    work(*args)
    pipe.send("done")
    pipe.recv()  # until the other end closes


def moment(offset: int, events: int, end: int) -> int:
    """When the event of this offset arrived, unix milliseconds."""
    return end - WEEK + WEEK * offset // events


def samples() -> list[Sample]:
    """Some accounts do much more than others."""
    dice = random.Random(1)
    found = []
    for number in range(SAMPLES):
        account = f"account-{int(ACCOUNTS * dice.random() ** 3):05}"
        user = f"user-{dice.randrange(USERS_OF_ONE)}@{account}.example"
        name = f"Report {int(NAMES * dice.random() ** 2)} exported"
        found.append(sample_of(number, MIX[number % len(MIX)], account, user, name))
    return found


def _log(data: Path, source: int, events: int, end: int) -> None:
    asyncio.run(_append(data, source, events, end))


async def _append(data: Path, source: int, events: int, end: int) -> None:
    made, dice, reached = samples(), random.Random(2), 0
    log = await SqliteLog.open(data / LOG_FOLDER, clock=lambda: moment(reached, events, end))
    for begin in range(0, events, GROUP * GROUPS):
        async with asyncio.TaskGroup() as group:
            for first in range(begin, min(begin + GROUP * GROUPS, events), GROUP):
                count = min(GROUP, events - first)
                now = moment(first, events, end)
                chosen = zip(dice.choices(made, k=count), message_ids(count), strict=True)
                group.create_task(_one(log, [stamp_now(sample, id_, source, now) for sample, id_ in chosen]))
        reached = begin
    await log.close()


async def _one(log: SqliteLog, events: list[Stamped]) -> None:
    await log.append(events)


def _rest(data: Path, events: int, end: int) -> None:
    """What delivery leaves behind: nothing waits, but for what is parked."""
    dice, reached = random.Random(3), 1
    writer = OutcomeWriter(data / "outcomes", lambda: moment(reached, events, end) / 1000)
    dead = _spread(DEAD, events)
    parked = _spread(PARKED, events, beside=1) - dead
    for begin in range(1, events + 1, ROWS):
        reached = begin
        outcomes: list[Outcome] = []
        attempts: list[Attempt] = []
        for offset in range(begin, min(begin + ROWS, events + 1)):
            at = moment(offset, events, end)
            if offset not in parked:
                outcomes.append(_outcome(offset, at, 1, dice.random(), is_dead=offset in dead))
            if offset in dead:
                attempts.append(_attempt(outcomes[-1]))
            if offset > events // 10 * 9:
                outcomes.append(_outcome(offset, at, 2, dice.random(), is_dead=False))
        writer.write(outcomes, attempts)
    writer.close()
    made = samples()
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        for number in (1, 2):
            store.set_position(number, 0, events)
        for offset in dead:
            sample = made[offset % SAMPLES]
            store.add_dead(_letter(offset, sample, moment(offset, events, end)))
        for offset in parked:
            sample, at = made[offset % SAMPLES], moment(offset, events, end)
            key = (sample.account, sample.user)
            row = Parked(
                position=Position(0, offset), parked_at=at, received_at=at, keys=(key,), resent=False, event=None
            )
            store.park(1, row)
            store.look_again(1, key, end)
    store.close()


def _spread(most: int, events: int, beside: int = 0) -> set[int]:
    """So many offsets, evenly."""
    step = step_of(most, events)
    return set(range(step - beside, events + 1, step))


def step_of(most: int, events: int) -> int:
    """Offsets between two dead letters, or parked events; the first is at it."""
    return max(1_000, events // most)


def _outcome(offset: int, at: int, destination: int, dice: float, *, is_dead: bool) -> Outcome:
    state, code = State.delivered, ""
    if is_dead:
        state, code = State.dead, DEAD_CODES[offset // 1_000 % len(DEAD_CODES)]
    elif dice < 0.07:
        state, code = State.skipped, SKIPS[min(len(SKIPS) - 1, int(-4 + dice * 1_500) % len(SKIPS))]
    return Outcome(
        destination=destination,
        position=Position(0, offset),
        state=state,
        code=code,
        attempts=0 if state is State.skipped else 1,
        received_at=at,
        ended_at=at + 5 + int(200 * dice),
        settings_version=1,
    )


def _attempt(outcome: Outcome) -> Attempt:
    return Attempt(
        destination=outcome.destination,
        position=outcome.position,
        at=outcome.ended_at,
        part="activity",
        code=outcome.code,
        reason="Answered that it is no good",
        status=400,
        ms=80,
        perhaps=False,
        answer=b'{"error":"this is no good"}',
    )


def _letter(offset: int, sample: Sample, at: int) -> DeadLetter:
    (id_,) = message_ids(1)
    return DeadLetter(
        destination=1,
        position=Position(0, offset),
        died_at=at + 100,
        code=DEAD_CODES[offset // 1_000 % len(DEAD_CODES)],
        reason="Answered that it is no good",
        parts=frozenset(),
        event=stamp_now(sample, id_, 1, at),
    )
