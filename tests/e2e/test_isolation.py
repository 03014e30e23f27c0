"""One hot and one blocked account beside a thousand others."""

import time
from statistics import quantiles

from tests.e2e.conftest import KEY
from tests.receiving import Receiving, first_deliveries, overlaps
from tests.running import Client, Milonga, batches, eventually, in_threads, track

FLOOD = 200_000
OTHERS = 1_000
EACH = 10


def others(first: int) -> list[dict[str, object]]:
    return [track(first + n, "u", f"other-{n % OTHERS}") for n in range(OTHERS * EACH)]


def send_slowly(milonga: Milonga, events: list[dict[str, object]]) -> dict[str, float]:
    """One batch of 20 at a time, with the moment each event was acknowledged."""
    sent: dict[str, float] = {}
    with Client(milonga.port, KEY) as client:
        for batch in batches(events, 20):
            client.send(batch)
            now = time.time()
            sent.update((str(event["event"]), now) for event in batch)
            time.sleep(0.01)  # a steady trickle, not a flood
    return sent


def p99(sent: dict[str, float], totango: Receiving) -> float:
    arrived = {seen.params["sdr_a"]: seen.received_at for seen in totango.accepted()}
    return quantiles([max(0.0, arrived[name] - at) for name, at in sent.items()], n=100)[98]
