"""The workspace as a running collector sees it: in memory, and read again when something changed there."""

import asyncio

import apsw
import structlog

from milonga.collector.origins import allows
from milonga.workspace.errors import UserError
from milonga.workspace.model import Source, WriteKeys
from milonga.workspace.store import Workspace

log = structlog.get_logger("milonga")

POLL = 0.5  #: seconds between two looks at the workspace


class Followed:
    """
    sources       those there are
    destinations  those that take events, as browsers may know them
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._told: set[str] = set()
        self._read()

    def source_of(self, write_key: str) -> Source | None:
        source = self._keys.source(write_key)
        if source is None and self._workspace.changed_since(self._token):
            self._read()  # it may have been added a moment ago
            source = self._keys.source(write_key)
        return source

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

    def _read(self) -> None:
        token = self._workspace.token()
        sources, destinations = self._workspace.sources(), self._workspace.browser_destinations()
        self._token = token
        self.sources, self.destinations = sources, destinations
        self._keys = WriteKeys(sources)
        self._origins = {source.settings.origins for source in sources}
        trouble = {source.trouble for source in sources if source.trouble}
        for one in sorted(trouble - self._told):
            log.warning("source.settings_damaged", error=one)
        self._told = trouble
