"""
The browser library with places to fill in. Pure.

Who asks chooses what is filled in, a write key and a host, so a cache of renderings would be his to fill, and packing
each anew his to demand: of 100 KB it takes some milliseconds, in which the collector takes no events. Therefore what
stands between the places is packed once, and a rendering puts the parts together.
"""

import re
import zlib
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Final

WRITE_KEY: Final = "write_key"
CDN: Final = "cdn"
SETTINGS: Final = "settings"

_PLACES: Final = {
    rb"__WRITE_KEY__": WRITE_KEY,  # as Segment's own library has it
    rb"__MILONGA_CDN__": CDN,
    rb"""["'`]__MILONGA_SETTINGS__["'`]""": SETTINGS,
}

_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
_SMALLEST: Final = 9
_QUICK: Final = 6


class BadTemplate(Exception):
    """The library that was built is not one this Milonga can fill in. Build it anew: `make browser`."""


class Template:
    """
    Holds each of these once: `__WRITE_KEY__` and `__MILONGA_CDN__` within string literals, and the string literal
    `__MILONGA_SETTINGS__`, which is filled in quotes and all. BadTemplate if not.
    """

    def __init__(self, text: bytes) -> None:
        found = []
        for pattern, name in _PLACES.items():
            places = list(re.finditer(pattern, text))
            if len(places) != 1:
                raise BadTemplate(f"it holds {name} {len(places)} times, not once")
            found.append((*places[0].span(), name))
        found.sort()
        begins = [0, *(end for _, end, _ in found)]
        ends = [*(start for start, _, _ in found), len(text)]
        self._between = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
        self._names = [name for _, _, name in found]
        self.digest = sha256(text).digest()  #: of the text as it was built

    def parts(self, values: Mapping[str, bytes]) -> list[bytes]:
        """The rendering; b"".join makes it whole. values  by name, each as it is to stand there"""
        parts = [self._between[0]]
        for name, text in zip(self._names, self._between[1:], strict=True):
            parts += (values[name], text)
        return parts

    def packed(self, values: Mapping[str, bytes]) -> bytes:
        """The same, gzipped."""
        packed = [_GZIP_HEAD, self._packed[0]]
        for name, text in zip(self._names, self._packed[1:], strict=True):
            packed += (_deflated(values[name], _QUICK), text)
        crc = size = 0
        for part in self.parts(values):
            crc, size = zlib.crc32(part, crc), size + len(part)
        return b"".join((*packed, crc.to_bytes(4, "little"), size.to_bytes(4, "little")))

    @cached_property
    def _packed(self) -> list[bytes]:
        *others, last = self._between
        return [*(_deflated(text, _SMALLEST) for text in others), _deflated(last, _SMALLEST, last=True)]


def _deflated(text: bytes, level: int, *, last: bool = False) -> bytes:
    """Whole deflate blocks that end on a byte, so that others may follow."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def in_a_string(text: str) -> bytes:
    """ASCII `text` to stand within a string literal of whatever quotes, in whatever script or page."""
    return "".join(
        sign if (sign.isascii() and sign.isalnum()) or sign in ".:/-_" else f"\\u{ord(sign):04x}" for sign in text
    ).encode()
