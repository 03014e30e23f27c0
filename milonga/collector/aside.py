"""
Work on a body that takes so long that nobody else shall wait for it: in a thread, one body at a time, for it also
takes many times its size in memory.
"""

import asyncio
from typing import Final

from milonga.collector.unpack import unpack
from milonga.spec.arrived import Decoded
from milonga.spec.decode import decode_mended
from milonga.spec.event import EventType

MEND_ASIDE: Final = 64 * 1024
"""Bytes above which a broken body is mended in a thread: the worst of 5 MiB takes some seconds."""

MOST_MENDING: Final = 16
"""Large broken bodies at once, the one that is mended included; beyond it 503: they would wait too long."""

MOST_STRANGERS_MENDING: Final = 2
"""The same where the header names no key that a source has: whoever only costs time must not take everybody's."""

UNPACK_ASIDE: Final = 128 * 1024
"""Packed bytes above which a body is unpacked in a thread: the worst of 5 MiB takes a twentieth of a second."""


class TooMany(Exception):
    """So many large broken bodies are under way that this one would wait too long."""


class Aside:
    """What is small is done at once."""

    def __init__(self) -> None:
        self._mending = asyncio.Lock()  # mending a body takes up to 50 times its size in memory
        self._to_mend = 0
        self._unpacking = asyncio.Lock()  # the room of what is unpacked is taken only then

    async def unpacked(self, body: bytes, encoding: bytes) -> bytes:
        """Raises what `unpack` does."""
        if len(body) <= UNPACK_ASIDE:
            return unpack(body, encoding)
        async with self._unpacking:
            return await asyncio.to_thread(unpack, body, encoding)

    async def mended(self, body: bytes, implied: EventType | None, *, known: bool) -> Decoded:
        """
        known  whether the request's header names a key that a source has

        TooMany, and what `decode_mended` raises.
        """
        if len(body) <= MEND_ASIDE:
            return decode_mended(body, implied)
        if self._to_mend >= (MOST_MENDING if known else MOST_STRANGERS_MENDING):
            raise TooMany
        self._to_mend += 1
        try:
            async with self._mending:
                return await asyncio.to_thread(decode_mended, body, implied)
        finally:
            self._to_mend -= 1
