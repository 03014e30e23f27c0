"""What lives as long as the console does, beside its pages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from milonga.console.attempts import Attempts
from milonga.console.config import Config


class Services:
    """
    config   see there
    attempts  of logging in
    closing  set when the console is about to end: streams to viewers end then
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.attempts = Attempts(config.trusted_proxies)
        self.closing = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """As long as this lasts."""
        try:
            yield self
        finally:
            self.closing.set()
