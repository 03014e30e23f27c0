"""The workspace as a running collector sees it: in memory, and read again when something changed there."""

import asyncio
from collections.abc import Callable

import apsw
import structlog

from milonga.collector.origins import allows
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import UserError
from milonga.workspace.model import Source, WriteKeys
from milonga.workspace.store import Workspace

log = structlog.get_logger("milonga")

POLL = 0.5  #: seconds between two looks at the workspace, and at the clock


class Followed:
    """
    sources       those there are
    destinations  those that take events, as browsers may know them
    """

    def __init__(self, workspace: Workspace, now: Callable[[], int] = milliseconds) -> None:
        """now  unix milliseconds"""
        self._workspace, self._now = workspace, now
        self._told: set[str] = set()
        self._used: set[str] = set()
        self._keys = WriteKeys(())
        self._read()

    def source_of(self, write_key: str) -> Source | None:
        source = self._keys.source(write_key)
        if source is None and self._workspace.changed_since(self._token):
            self._read()  # it may have been added a moment ago
            source = self._keys.source(write_key)
        return source

    def ended(self, write_key: str) -> Source | None:
        """The source that had this key until it ended."""
        return self._keys.ended(write_key)

    def take_used(self) -> set[str]:
        """The write keys that requests named since this was last called."""
        used, self._used = self._used | self._keys.used(), set()
        return used

    def allows_origin(self, origin: str) -> bool:
        """Whether any source takes what a page of this origin sends; if there is none, its 401 may be read."""
        return not self._origins or any(allows(origins, origin) for origins in self._origins)

    async def follow(self) -> None:
        """A change is in force within a second. While the workspace cannot be read, all stays."""
        trouble = False
        while True:
            await asyncio.sleep(POLL)
            try:
                if self._workspace.changed_since(self._token):
                    self._read()
                trouble = False
            except (UserError, OSError, apsw.Error) as error:
                if not trouble:
                    log.error("workspace.unreadable", error=str(error))
                trouble = True
            self.end_keys()

    def _read(self) -> None:
        token = self._workspace.token()
        sources, destinations = self._workspace.sources.all(), self._workspace.browser_destinations()
        self._token = token
        self.destinations = destinations
        self._take(sources)
        self._origins = {source.settings.origins for source in sources}
        trouble = {source.trouble for source in sources if source.trouble}
        for one in sorted(trouble - self._told):
            log.warning("source.settings_damaged", error=one)
        self._told = trouble

    def _take(self, sources: tuple[Source, ...]) -> None:
        self._used |= self._keys.used()
        self.sources = sources
        self._keys = WriteKeys(sources)

    def end_keys(self) -> None:
        """By the clock, whether or not the workspace can be read at that moment."""
        now = self._now()
        found = tuple(source.at(now) for source in self.sources)
        if found != self.sources:
            self._take(found)
