"""
Group commit for everything delivery must remember: whatever was asked for while the last group was being written makes
up the next one. Nothing waits on purpose.

Two things can go wrong. The disk refuses: then everything waits until it does not. Or a record cannot be written
whatever one tries, which is a fault of ours: it is found by writing the group's records one by one, reported, and let
go, for one event must not hold up all destinations.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import apsw
import structlog
from msgspec import Struct
from msgspec.structs import replace

from milonga.delivery.store import DeliveryStore
from milonga.eventlog.aside import DAMAGED
from milonga.outcomes.model import Attempt, Outcome
from milonga.outcomes.writer import OutcomeWriter

log = structlog.get_logger("milonga.delivery")

StoreOp: TypeAlias = Callable[[DeliveryStore], None]

AT_ONCE = 64  #: callbacks in one turn of the loop: whoever comes meanwhile waits as long as these take
GATHER = 32  #: turns of the loop that the first group waits for, at most
RETRY_AFTER = 1.0  #: seconds between tries to write while the disk refuses
LAST_WORDS = 5.0  #: seconds that `close` gives the disk
NOT_RECORDED = "not_recorded"  #: code of an outcome whose own could not be written

OUR_FAULT = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError, apsw.BindingsError)
"""What SQLite raises because of what it was told to write; everything else it raises is about the file or the disk."""


class Record(Struct, frozen=True, kw_only=True):
    """
    before    done to the store, and durable, before the outcome is written
    outcome   None if nothing ended
    attempts  rows to keep with it
    then      called in the event loop once all of it is durable
    failed    called instead of `then` if `before` can never be done; without it `then` is called all the same
    """

    before: StoreOp | None = None
    outcome: Outcome | None = None
    attempts: Sequence[Attempt] = ()
    then: Callable[[], None] | None = None
    failed: Callable[[Exception], None] | None = None


class Recorder:
    """
    Takes records in order, writes them in groups in a thread of its own, and calls back in order. While the disk
    refuses, it keeps the group and tries again; `trouble` then says why. Its queue is bounded by its callers: an event
    holds its slot until it is recorded.

    A record that can never be written is reported in the log. Its outcome is written all the same, if need be without
    its attempts or with the code NOT_RECORDED: whatever else is lost, an event's end is not.

    A callback that raises is reported to the loop's exception handler and spoils no other.
    """

    def __init__(self, store: DeliveryStore, outcomes: OutcomeWriter, thread: Executor | None = None) -> None:
        """thread  one that runs what it is given one by one; default: a thread of its own"""
        self.trouble: str | None = None
        self.damage: Exception | None = None  #: of the store: only opening it anew can help
        self._store, self._outcomes = store, outcomes
        self._pending: list[Record] = []
        self._writing: asyncio.Task[None] | None = None
        self._thread = thread or ThreadPoolExecutor(1, "milonga-recorder")

    def record(self, record: Record) -> None:
        self._pending.append(record)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def flush(self) -> None:
        """Return when everything asked for so far, and by callbacks meanwhile, is durable."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def compact(self) -> None:
        """See DeliveryStore; everything that is to be recorded waits meanwhile."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.compact)

    async def close(self) -> None:
        """
        Once everything is durable, or after LAST_WORDS: what is not recorded by then is done again after the next
        start, as after a crash.
        """
        try:
            async with asyncio.timeout(0.0 if self.damage else LAST_WORDS):
                await self.flush()
        except TimeoutError:
            log.error("delivery.not_recorded", error=self.trouble, waiting=len(self._pending))
            if self._writing is not None:
                self._writing.cancel()
                await asyncio.wait([self._writing])
        self._thread.shutdown()
        self._store.close()
        self._outcomes.close()

    async def _write(self) -> None:
        try:
            await self._gather()
            while self._pending:
                group, self._pending = self._pending, []
                spoiled = await self._write_group(group)
                for number, record in enumerate(group, 1):
                    error = spoiled.get(id(record))
                    if error is not None and record.failed is not None:
                        self._call(partial(record.failed, error))
                    elif record.then is not None:
                        self._call(record.then)
                    if number % AT_ONCE == 0:
                        await asyncio.sleep(0)
        finally:
            self._writing = None

    async def _gather(self) -> None:
        """While more comes in every turn of the loop it joins the group: answers are taken back a few at a time."""
        for _ in range(GATHER):
            before = len(self._pending)
            await asyncio.sleep(0)
            if len(self._pending) == before:
                return

    async def _write_group(self, group: list[Record]) -> dict[int, Exception]:
        """Return those whose `before` can never be done, by their id."""
        spoiled: list[tuple[Record, Exception]] = []
        if any(record.before is not None for record in group):
            spoiled = await self._commit(self._commit_store, group)
        if any(record.outcome is not None or record.attempts for record in group):
            for record, _ in await self._commit(self._commit_outcomes, group):
                await self._commit_outcome_somehow(record)
        self.trouble = None
        return {id(record): error for record, error in spoiled}

    async def _commit_outcome_somehow(self, record: Record) -> None:
        if record.outcome is not None:
            for outcome in (record.outcome, replace(record.outcome, code=NOT_RECORDED)):
                if not await self._commit(self._commit_outcomes, [Record(outcome=outcome)]):
                    return

    async def _commit(
        self, step: Callable[[list[Record]], None], group: list[Record]
    ) -> list[tuple[Record, Exception]]:
        """Return those that can never be written; all others are durable."""
        try:
            await self._persist(step, group)
        except Exception as error:
            if len(group) > 1:
                return [spoiled for record in group for spoiled in await self._commit(step, [record])]
            at = group[0].outcome
            what = {} if at is None else {"destination": at.destination, "position": at.position}
            log.exception("delivery.cannot_ever_record", what="Please report this.", **what)
            return [(group[0], error)]
        return []

    async def _persist(self, step: Callable[[list[Record]], None], group: list[Record]) -> None:
        """Until the disk takes it. Raises what it can never take."""
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, step, group)
            except OUR_FAULT:
                raise
            except (apsw.Error, OSError, MemoryError) as error:
                self.damage = error if isinstance(error, DAMAGED) else None
                self.trouble = f"{type(error).__name__}: {error}"
                log.error("delivery.cannot_record", error=self.trouble, waiting=len(group))
                await asyncio.sleep(RETRY_AFTER)
            else:
                return

    def _call(self, then: Callable[[], None]) -> None:
        try:
            then()
        except Exception as error:
            context = {"message": "A recorder's callback failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _commit_store(self, group: list[Record]) -> None:
        with self._store.transaction():
            for record in group:
                if record.before is not None:
                    record.before(self._store)

    def _commit_outcomes(self, group: list[Record]) -> None:
        outcomes = [record.outcome for record in group if record.outcome is not None]
        self._outcomes.write(outcomes, [attempt for record in group for attempt in record.attempts])
