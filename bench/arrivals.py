"""What a receiver got, and what it tells: order, what came twice, and how long each event was under way."""

import re
from collections.abc import Iterable
from typing import Final

from bench.flooding import Times

WHAT: Final = re.compile(rb"(?:^|&)sdr_([oua])=([^&]*)")


class Arrivals:
    """
    What came, in order: (when, body) of each request.

    first         when each event of the others came first
    flood         events of the flood that came, each counted once
    twice         requests that came once more
    out_of_order  what came before its time, by its number
    overlaps      requests that came before the one before them, of the same key, was answered
    """

    def __init__(self, kept: Iterable[tuple[float, bytes]], latency: float) -> None:
        """latency  seconds from a request to its answer"""
        self.first: Times = {}
        self.out_of_order: list[int] = []
        self.flood = self.twice = self.overlaps = 0
        newest: dict[bytes, int] = {}
        last: dict[bytes, float] = {}
        for at, body in kept:
            found = dict(WHAT.findall(body))
            key = found[b"o"] + b"/" + found[b"u"]
            number = int(found[b"a"])
            if at < last.get(key, 0.0) + latency:
                self.overlaps += 1
            last[key] = at
            if found[b"o"] == b"refused":
                continue
            if number in self.first:
                self.twice += 1
                continue
            self.first[number] = at
            self.flood += found[b"o"] == b"flood"
            if number < newest.get(key, -1):
                self.out_of_order.append(number)
            newest[key] = number

    def waits(self, accepted: Times, since: float = 0.0, until: float = float("inf")) -> list[float]:
        """
        Milliseconds from the 200 to the request, of those that came; it may have come before.

        since, until  only of what was accepted within
        """
        mine = ((n, at) for n, at in accepted.items() if since <= at < until and n in self.first)
        return [max(0.0, self.first[n] - at) * 1000 for n, at in mine]

    def missing(self, accepted: Times) -> int:
        return sum(number not in self.first for number in accepted)
