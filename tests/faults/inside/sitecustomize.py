"""
Python runs this in the server's processes, before anything of Milonga, where PYTHONPATH leads here (`environment` of
tests/faults/inside): their clock can be set while they run, and authorities of ours are trusted.

MILONGA_TEST_CLOCK  file of eight bytes, seconds that the wall clock is ahead, little-endian double
MILONGA_TEST_CA     PEM file of authorities, in place of the usual ones
"""

import mmap
import os
import struct
import time
from pathlib import Path


def _set_clock(path: str) -> None:
    with Path(path).open("rb") as file:
        ahead = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real_time, real_ns = time.time, time.time_ns

    def offset() -> float:
        (seconds,) = struct.unpack("<d", ahead[:8])
        return float(seconds)

    time.time = lambda: real_time() + offset()
    time.time_ns = lambda: real_ns() + int(offset() * 1_000_000_000)


def _trust(path: str) -> None:
    import certifi

    certifi.where = lambda: path


if _clock := os.environ.get("MILONGA_TEST_CLOCK"):
    _set_clock(_clock)
if _ca := os.environ.get("MILONGA_TEST_CA"):
    _trust(_ca)
