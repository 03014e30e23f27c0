"""
Group commit for everything delivery must remember: whatever was asked for while the last group was being written makes
up the next one. Nothing waits on purpose.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import apsw
import structlog
from msgspec import Struct

from milonga.delivery.store import DeliveryStore
from milonga.outcomes.files import Attempt, OutcomeWriter
from milonga.outcomes.model import Outcome

log = structlog.get_logger("milonga.delivery")

StoreOp: TypeAlias = Callable[[DeliveryStore], None]

RETRY_AFTER = 1.0  #: seconds between tries to write while the disk refuses


class Record(Struct, frozen=True, kw_only=True):
    """
    before    done to the store, and durable, before the outcome is written
    outcome   None if nothing ended
    attempts  rows to keep with it
    then      called in the event loop once all of it is durable
    """

    before: StoreOp | None = None
    outcome: Outcome | None = None
    attempts: Sequence[Attempt] = ()
    then: Callable[[], None] | None = None


class Recorder:
    """
    Takes records in order, writes them in groups in a thread of its own, and calls back in order. While the disk
    refuses, it keeps the group and tries again; `trouble` then says why. Its queue is bounded by its callers: an event
    holds its slot until it is recorded.
    """

    def __init__(self, store: DeliveryStore, outcomes: OutcomeWriter) -> None:
        self.trouble: str | None = None
        self._store, self._outcomes = store, outcomes
        self._pending: list[Record] = []
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "milonga-recorder")

    def record(self, record: Record) -> None:
        self._pending.append(record)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def flush(self) -> None:
        """Return when everything asked for so far, and by callbacks meanwhile, is durable."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def close(self) -> None:
        await self.flush()
        self._thread.shutdown()
        self._store.close()
        self._outcomes.close()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # let whatever is ready in this turn of the loop join the group
        while self._pending:
            group, self._pending = self._pending, []
            for step in (self._commit_store, self._commit_outcomes):
                while True:
                    try:
                        await loop.run_in_executor(self._thread, step, group)
                        break
                    except apsw.Error as error:
                        self.trouble = f"{type(error).__name__}: {error}"
                        log.error("delivery.cannot_record", error=self.trouble, waiting=len(group))
                        await asyncio.sleep(RETRY_AFTER)
            self.trouble = None
            for record in group:
                if record.then is not None:
                    record.then()
        self._writing = None

    def _commit_store(self, group: list[Record]) -> None:
        ops = [record.before for record in group if record.before is not None]
        if ops:
            with self._store.transaction():
                for op in ops:
                    op(self._store)

    def _commit_outcomes(self, group: list[Record]) -> None:
        outcomes = [record.outcome for record in group if record.outcome is not None]
        attempts = [attempt for record in group for attempt in record.attempts]
        if outcomes or attempts:
            self._outcomes.write(outcomes, attempts)
