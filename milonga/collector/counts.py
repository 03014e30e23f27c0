"""What the collector counts in memory, since its start; for metrics and `readyz`, not for the books."""

from collections import Counter
from typing import Literal, TypeAlias

What: TypeAlias = Literal[
    "accepted",
    "duplicate",
    "discarded",
    "unknown_write_key",
    "origin_not_allowed",
    "rate_limited",
    "new_account",
    "pixel_lost",
    "sdk_metrics",
    "refused",
    "busy",
    "log_full",
    "trouble",
]
"""
accepted            events durably kept
duplicate           events whose first copy was kept before
discarded           events answered with 200 and not kept; each is in the ledger with its code
unknown_write_key   requests whose key no source has, or has any more, answered with 401 or, by the switch, 200
origin_not_allowed  requests of pages whose site the source does not take, and preflights that no source would
rate_limited        requests answered with 429, and pixels beyond a rate limit
new_account         accounts that a source named for the first time
pixel_lost          pixels that were answered as ever, but neither kept nor in the ledger
sdk_metrics         requests to /v1/m
refused             requests answered with another error of the sender's
busy                requests answered with 503 because too much was held at once
log_full            requests answered with 503 because the log could not keep them
trouble             requests answered with 503 because of a fault of ours
"""


class Counts:
    def __init__(self) -> None:
        self._counts: Counter[What] = Counter()

    def add(self, what: What, number: int = 1) -> None:
        self._counts[what] += number

    def __getitem__(self, what: What) -> int:
        return self._counts[what]
