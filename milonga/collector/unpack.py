"""Unpacking of request bodies, never beyond what a request may hold."""

import zlib
from typing import Final

from milonga.spec.limits import MAX_REQUEST

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_PACKED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})


class UnknownEncoding(ValueError):
    """A Content-Encoding other than gzip and deflate."""


class Broken(ValueError):
    """Not what the Content-Encoding says, or cut off."""


class TooLarge(ValueError):
    """More than MAX_REQUEST bytes once unpacked."""


def unpack(body: bytes, encoding: bytes | None) -> bytes:
    """The body without its Content-Encoding. UnknownEncoding, Broken, TooLarge."""
    name = (encoding or b"").strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in _PACKED:
        raise UnknownEncoding(name)
    unpacked: list[bytes] = []
    room = MAX_REQUEST
    while True:
        reader = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            part = reader.decompress(body, room + 1)
        except zlib.error as error:
            raise Broken(str(error)) from None
        room -= len(part)
        if room < 0:
            raise TooLarge
        if not reader.eof:
            raise Broken("cut off")
        unpacked.append(part)
        body = reader.unused_data.lstrip(b"\0")  # gzip may have several members, and padding behind them
        if not body:
            return b"".join(unpacked)
