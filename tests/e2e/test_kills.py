"""SIGKILL under load: what was acknowledged arrives, lines keep their order, duplicates stay within the flight."""

import random
import time
from functools import partial

from milonga.delivery.limits import Limits
from tests.e2e.conftest import KEY
from tests.receiving import Receiving, duplicates, first_deliveries, overlaps
from tests.running import Client, Milonga, batches, eventually, in_threads, track

EVENTS = 20_000
KILLS = 20
SENDERS = 4
USERS = 200


def events_of(sender: int) -> list[dict[str, object]]:
    """Each sender has users of its own, so that the order in which it sends is the order in which they must arrive."""
    numbers = range(sender, EVENTS, SENDERS)
    return [track(n, f"u{sender}-{n // SENDERS % (USERS // SENDERS)}", f"a{sender}-{n % 7}") for n in numbers]


def load(milonga: Milonga, sender: int) -> None:
    with Client(milonga.port, KEY) as client:
        for batch in batches(events_of(sender), 50):
            client.send(batch)


def test_twenty_kills_of_each_process_lose_nothing(milonga: Milonga, totango: Receiving) -> None:
    dice = random.Random(7)
    totango.behave(delay_ms=5)
    crowd = in_threads(partial(load, milonga, sender) for sender in range(SENDERS))
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.05, 0.3))  # a kill at a random moment
        eventually(milonga.kill_delivery, "a delivery process to kill")
        time.sleep(dice.uniform(0.05, 0.3))
        milonga.kill_collector()
        milonga.start()
    crowd.join()

    def all_there() -> bool:
        return len({seen.params["sdr_a"] for seen in totango.accepted()}) == EVENTS

    eventually(all_there, "every acknowledged event delivered", 120)
    accepted = totango.accepted()
    found = first_deliveries(accepted)
    for sender in range(SENDERS):
        expected: dict[tuple[str, str], list[str]] = {}
        for event in events_of(sender):
            account = event["context"]["groupId"]  # type: ignore[index]
            expected.setdefault((account, str(event["userId"])), []).append(str(event["event"]))
        assert {key: found[key] for key in expected} == expected
    assert not overlaps(totango.requests())
    repeated = duplicates(accepted)
    print(f"{repeated} duplicates after {2 * KILLS} kills")
    assert repeated <= 2 * KILLS * Limits().in_flight
    assert milonga.stop() == 0
