"""
Group commit for everything delivery must remember: whatever was asked for while the last group was being written makes
up the next one. Nothing waits on purpose.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeAlias

import apsw
import structlog
from msgspec import Struct

from milonga.delivery.store import DeliveryStore
from milonga.eventlog.aside import DAMAGED
from milonga.outcomes.files import Attempt, OutcomeWriter
from milonga.outcomes.model import Outcome

log = structlog.get_logger("milonga.delivery")

StoreOp: TypeAlias = Callable[[DeliveryStore], None]

RETRY_AFTER = 1.0  #: seconds between tries to write while the disk refuses
LAST_WORDS = 5.0  #: seconds that `close` gives the disk


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
            await asyncio.sleep(0)  # let whatever is ready in this turn of the loop join the group
            while self._pending:
                group, self._pending = self._pending, []
                await self._write_group(group)
                for record in group:
                    if record.then is not None:
                        self._call(record.then)
        finally:
            self._writing = None

    async def _write_group(self, group: list[Record]) -> None:
        loop = asyncio.get_running_loop()
        steps = [self._commit_store] if any(record.before is not None for record in group) else []
        if any(record.outcome is not None or record.attempts for record in group):
            steps.append(self._commit_outcomes)
        for step in steps:
            while True:
                try:
                    await loop.run_in_executor(self._thread, step, group)
                    break
                except (apsw.Error, OSError) as error:
                    self.damage = error if isinstance(error, DAMAGED) else None
                    self.trouble = f"{type(error).__name__}: {error}"
                    log.error("delivery.cannot_record", error=self.trouble, waiting=len(group))
                except Exception as error:
                    self.trouble = f"{type(error).__name__}: {error}"
                    log.exception("delivery.cannot_record", waiting=len(group))
                await asyncio.sleep(RETRY_AFTER)
        self.trouble = None

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
