"""
Ids that are to be recognised, not read. A digest is keyed with the workspace's own random salt: who has workspace.db
can find out whether a certain id is among them, and nothing else.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b
from struct import unpack
from typing import Final

SIZE: Final = 16  #: bytes of a digest: two ids out of a million share one with a chance of 1 in 10^27
_ERASED: Final = "erased:"


def digest(salt: bytes, text: str) -> bytes:
    """Of an id; a microsecond."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=SIZE, key=salt).digest()


def erased_message_id(salt: bytes, message_id: str) -> str:
    """What stands for the message id of an erased event: whoever has the id still finds what became of it."""
    return _ERASED + digest(salt, message_id).hex()


class Digests:
    """A set of digests in 16 bytes each: a million of them in 16 MB. False if empty."""

    def __init__(self, ascending: Iterable[bytes] = ()) -> None:
        self._high, self._low = array("Q"), array("Q")
        for one in ascending:
            high, low = unpack(">QQ", one)
            self._high.append(high)
            self._low.append(low)

    def __len__(self) -> int:
        return len(self._high)

    def __contains__(self, one: bytes) -> bool:
        high, low = unpack(">QQ", one)
        place = bisect_left(self._high, high)
        while place < len(self._high) and self._high[place] == high:
            if self._low[place] == low:
                return True
            place += 1
        return False
