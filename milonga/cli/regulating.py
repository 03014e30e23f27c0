"""
Regulations in a running collector: who is suppressed, kept up to date; and deletions, which it begins, hands to
delivery, and ends with what the log holds (milonga.delivery.erasing, milonga.eventlog.erasing). Each step can be done
again, so a crash needs no thought.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw
import structlog

from milonga.collector.collector import Collector
from milonga.collector.suppressed import Suppressed
from milonga.delivery.erasing import left_behind
from milonga.eventlog.api import LogFull
from milonga.eventlog.sqlite import SqliteLog
from milonga.privacy.digest import Digests
from milonga.privacy.regulation import Regulation
from milonga.workspace.commands import milliseconds
from milonga.workspace.database import NAME
from milonga.workspace.errors import UserError
from milonga.workspace.regulations import suppressing_sources, suppressions
from milonga.workspace.store import Workspace

log = structlog.get_logger("milonga")

POLL: Final = 0.5  #: seconds between two looks at the workspace
TRY_AGAIN: Final = 5.0  #: seconds after which a step is tried again, say on a full disk
SCRUBBING: Final = 100  #: times to try while somebody reads workspace.db
TROUBLE: Final = (UserError, LogFull, OSError, apsw.Error)


class Regulating:
    def __init__(self, data: Path, workspace: Workspace, event_log: SqliteLog, collector: Collector) -> None:
        self._data, self._log, self._collector = data, event_log, collector
        self._workspace, self._regulations = workspace, workspace.regulations
        self._version = 0

    async def suppress(self) -> None:
        """Take up who is suppressed. Before the first event is taken, and whenever it changed."""
        version = self._regulations.version()
        if version != self._version:
            self._collector.suppressed = await asyncio.to_thread(_suppressed, self._data, self._regulations.salt)
            self._version = version

    async def run(self) -> None:
        """A change is in force within a second. What goes wrong is told, and tried again."""
        token, trouble = None, ""
        while True:
            try:
                if token is None or self._workspace.changed_since(token):
                    token = self._workspace.token()
                    await self._carry_out()
                trouble = ""
            except TROUBLE as error:
                token, said = None, f"{type(error).__name__}: {error}"
                if said != trouble:
                    log.error("regulations.trouble", error=said)
                trouble = said
                await asyncio.sleep(TRY_AGAIN)
            except Exception:  # a fault of ours must not end the collector's other chores
                token = None
                log.exception("regulations.trouble", what="Please report this.")
                await asyncio.sleep(TRY_AGAIN)
            await asyncio.sleep(POLL)

    async def _carry_out(self) -> None:
        found = self._regulations.open()
        await self.suppress()  # after these were read: so it knows of them
        if done := [one.id for one in found if not one.kind.deletes]:
            self._regulations.finish(done)
        deleting = [one for one in found if one.kind.deletes]
        if new := [one.id for one in deleting if one.upto is None]:
            await self._log.flush()  # what was accepted before is in the log by now
            self._regulations.begin(new, {0: await self._log.end(0)})
        if mine := [one for one in deleting if one.delivery_at is not None]:
            try:
                await self._end(mine)
            except (LogFull, OSError, apsw.Error) as error:
                self._regulations.troubled([one.id for one in mine], f"Log: {error}")
                raise

    async def _end(self, regulations: Sequence[Regulation]) -> None:
        """Delivery holds nothing any more, and nobody will read the bytes again: the log's turn."""
        ids = [one.id for one in regulations]
        deletions = [one for one in self._regulations.deletions() if one.regulation in ids]
        if deletions:
            done = await self._log.erase(deletions, at=milliseconds(), salt=self._regulations.salt)
            left = [*left_behind(self._data), *(f"log/{name}" for name in done.unreadable)]
            for deletion in deletions:
                counts = {"events": done.events[deletion.regulation]}
                if deletion is deletions[0]:
                    counts |= {"samples": done.samples, "segments": done.segments}
                self._regulations.log_done([deletion.regulation], counts, left)
        for _ in range(SCRUBBING):
            try:
                self._regulations.scrub()
                break
            except apsw.BusyError:
                await asyncio.sleep(0.05)
        else:
            raise UserError("workspace.db is being read all the time: it cannot be tidied up.")
        self._regulations.finish(ids)
        log.info("regulations.finished", regulations=ids)


def _suppressed(data: Path, salt: bytes) -> Suppressed:
    path = data / NAME
    return Suppressed(salt, {source: Digests(suppressions(path, source)) for source in suppressing_sources(path)})
