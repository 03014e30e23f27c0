"""
About how many different texts there were, in a little memory, so that the answers of many files can be put together:
the smallest of their hashes ("k minimum values"). With at most K texts the answer is exact; with more it is off by some
1 / sqrt(K). Pure.

Source: Z. Bar-Yossef et al., "Counting Distinct Elements in a Data Stream", 2002.
"""

import sys
from array import array
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

K: Final = 256
OFF_BY: Final = 0.06  #: the standard error beyond K, as a share

_RANGE: Final = 1 << 32


def hash_of(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "little")


def smallest(hashes: Iterable[int]) -> set[int]:
    found = set(hashes)
    return found if len(found) <= K else set(sorted(found)[:K])


def pack(hashes: Iterable[int]) -> bytes:
    """Of those that `smallest` leaves."""
    found = array("I", sorted(smallest(hashes)))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def extended(packed: bytes, hashes: Iterable[int]) -> bytes:
    """With further ones. Mostly they are known already, or too large to count."""
    old = unpack(packed)
    known, most = set(old), old[-1] if len(old) >= K else _RANGE
    new = [one for one in hashes if one < most and one not in known]
    return pack([*old, *new]) if new else packed


def unpack(packed: bytes) -> "array[int]":
    found = array("I")
    found.frombytes(packed)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def about(hashes: set[int]) -> int:
    """How many texts there were, from the smallest of all of their hashes."""
    if len(hashes) < K:
        return len(hashes)
    return max(K, round((K - 1) * _RANGE / max(hashes)))


def is_exact(hashes: set[int]) -> bool:
    return len(hashes) < K
