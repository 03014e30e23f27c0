"""
Which places of a stretch of the log have something in common, in a few bytes. A stretch is cut into chunks of 65,536
places; of each, the places are a list of 16-bit numbers while they are few, else a bitmap. Pure.

Source: D. Lemire et al., "Roaring Bitmaps: Implementation of an Optimized Software Library", 2018.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

CHUNK_BITS: Final = 16
CHUNK: Final = 1 << CHUNK_BITS
BITMAP: Final = CHUNK // 8  #: bytes; a list has fewer, for then it is shorter
BLOCK: Final = 64  #: places whose times are told together (`spans`)

ALL: Final = (1 << CHUNK) - 1


def pack(places: Sequence[int]) -> bytes:
    """places  within their chunk, ascending, each once"""
    if 2 * len(places) >= BITMAP:
        bits = bytearray(BITMAP)
        for place in places:
            bits[place >> 3] |= 1 << (place & 7)
        return bytes(bits)
    few = array("H", places)
    if sys.byteorder == "big":
        few.byteswap()
    return few.tobytes()


def unpack(packed: bytes) -> "array[int]":
    """Ascending."""
    if len(packed) == BITMAP:
        return array("H", reversed(list(_descending(int.from_bytes(packed, "little")))))
    few = array("H")
    few.frombytes(packed)
    if sys.byteorder == "big":
        few.byteswap()
    return few


def join(packed: Sequence[bytes]) -> bytes:
    """The places of all of them, which overlap nowhere and come in their order."""
    if len(packed) == 1:
        return packed[0]
    if all(len(one) != BITMAP for one in packed) and sum(map(len, packed)) < BITMAP:
        return b"".join(packed)
    bits = 0
    for some in packed:
        bits |= bits_of(some)
    return pack_bits(bits)


def pack_bits(bits: int) -> bytes:
    return bits.to_bytes(BITMAP, "little") if 2 * bits.bit_count() >= BITMAP else pack(sorted(_descending(bits)))


def bits_of(packed: bytes) -> int:
    if len(packed) == BITMAP:
        return int.from_bytes(packed, "little")
    bits = bytearray(BITMAP)
    for place in unpack(packed):
        bits[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(bits, "little")


def count(packed: bytes) -> int:
    return int.from_bytes(packed, "little").bit_count() if len(packed) == BITMAP else len(packed) // 2


def common(lists: Sequence[bytes], allowed: int = ALL) -> Iterator[int]:
    """
    The places that are in all of them, descending.

    lists    of one chunk, as packed
    allowed  a bitmap of the places that count
    """
    few = sorted((one for one in lists if len(one) != BITMAP), key=len)
    for many in (one for one in lists if len(one) == BITMAP):
        allowed &= int.from_bytes(many, "little")
    if not few:
        return _descending(allowed)
    found: Iterable[int] = unpack(few[0])
    for one in few[1:]:
        found = set(found).intersection(unpack(one))
    ordered = sorted(found, reverse=True)
    if allowed == ALL:
        return iter(ordered)
    bits = allowed.to_bytes(BITMAP, "little")
    return (place for place in ordered if bits[place >> 3] >> (place & 7) & 1)


def below(place: int) -> int:
    """A bitmap of the places under this one."""
    return (1 << max(0, min(place, CHUNK))) - 1


def _descending(bits: int) -> Iterator[int]:
    raw = bits.to_bytes((bits.bit_length() + 63) // 64 * 8, "little")
    for at in range(len(raw) - 8, -1, -8):
        word = int.from_bytes(raw[at : at + 8], "little")
        base = at * 8
        while word:
            top = word.bit_length() - 1
            yield base + top
            word ^= 1 << top


def spans(times: Sequence[int]) -> bytes:
    """
    The first and last moment of each BLOCK of places.

    times  unix milliseconds, one for each place from the first of a chunk on
    """
    found = array("q")
    for at in range(0, len(times), BLOCK):
        some = times[at : at + BLOCK]
        found.append(min(some))
        found.append(max(some))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def within(packed: bytes, since: int | None, until: int | None) -> int:
    """A bitmap of the places that may have arrived then, from `since` up to but not including `until`."""
    times = array("q")
    times.frombytes(packed)
    if sys.byteorder == "big":
        times.byteswap()
    bits = bytearray()
    for block in range(len(times) // 2):
        fits = (since is None or times[2 * block + 1] >= since) and (until is None or times[2 * block] < until)
        bits += _WHOLE if fits else _NONE
    return int.from_bytes(bits, "little")


_WHOLE: Final = b"\xff" * (BLOCK // 8)
_NONE: Final = bytes(BLOCK // 8)
