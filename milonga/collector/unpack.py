"""Unpacking of request bodies, never beyond what a request may hold."""

import zlib
from typing import Final

from milonga.spec.limits import MAX_REQUEST

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_PACKED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})


_PIECE: Final = 16 * 1024
"""Bytes given to zlib at once: of what follows a member it makes a copy, which must not be all the rest each time."""

MAX_MEMBERS: Final = 1000
"""gzip allows any number of them, one behind the other. Ours: what clients send has one, block-wise packers make 80."""


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
    packed, at = memoryview(body), 0
    unpacked: list[bytes] = []
    room = MAX_REQUEST
    for _ in range(MAX_MEMBERS):
        reader = zlib.decompressobj(_GZIP_OR_ZLIB)
        while not reader.eof:
            piece = packed[at : at + _PIECE]
            if not piece:
                raise Broken("cut off")
            try:
                part = reader.decompress(piece, room + 1)
            except zlib.error as error:
                raise Broken(str(error)) from None
            room -= len(part)
            if room < 0:
                raise TooLarge
            unpacked.append(part)
            at += len(piece) - len(reader.unused_data)
        at = _behind_padding(packed, at)
        if at == len(packed):
            return b"".join(unpacked)
    raise Broken("too many members")


def _behind_padding(packed: memoryview, at: int) -> int:
    """gzip allows zeros behind a member."""
    while piece := bytes(packed[at : at + _PIECE]):
        rest = piece.lstrip(b"\0")
        at += len(piece) - len(rest)
        if rest:
            break
    return at
