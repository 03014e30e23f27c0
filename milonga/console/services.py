"""What lives as long as the console does, beside its pages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from milonga.console.attempts import Attempts
from milonga.console.config import Config
from milonga.console.downloads import Downloads
from milonga.console.dry_runs import DryRuns
from milonga.console.live_rows import row_as_html
from milonga.console.tail import Tail
from milonga.facts.directory import LOG_FOLDER
from milonga.index.index import EventIndex
from milonga.workspace.gathering import Gathering


class Services:
    """
    config   see there
    attempts  of logging in
    gathering  what failed, and what was exported or read, on its way to the audit log
    index    of the log; may be asked from any thread
    dry_runs  of replays
    downloads  under way
    closing  set when the console is about to end: streams to viewers end then
    tail     the end of the log, for who watches it
    """

    def __init__(self, config: Config, busy: Callable[[], bool]) -> None:
        """busy  whether somebody waits for an answer just now; from any thread"""
        self.config = config
        self.attempts = Attempts(config.trusted_proxies)
        self.gathering = Gathering(config.data)
        self.index = EventIndex(config.data, bell="index", busy=busy)
        self.dry_runs = DryRuns(config.data)
        self.downloads = Downloads()
        self.closing = asyncio.Event()
        self.tail = Tail(config.data / LOG_FOLDER, row_as_html)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """As long as this lasts."""
        ending = asyncio.create_task(self._end_streams())
        self.index.start()
        try:
            yield self
        finally:
            self.closing.set()
            await ending
            await self.tail.close()
            await asyncio.to_thread(self.dry_runs.close)
            await asyncio.to_thread(self.index.stop)
            await asyncio.to_thread(self.gathering.close)

    async def _end_streams(self) -> None:
        await self.closing.wait()
        self.tail.end()
