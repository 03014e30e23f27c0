"""
One account floods, another is refused, a thousand others go on. How fast they go on is measured in bench/; here: that
they do, in order, in bounded memory, also after a SIGKILL in the middle.
"""

from tests.e2e.conftest import KEY
from tests.memory import pss
from tests.receiving import Receiving, first_deliveries, overlaps, what_of
from tests.running import Client, Milonga, batches, eventually, track

FLOOD = 30_000
OTHERS = 1_000


def of_others(first: int, each: int) -> list[dict[str, object]]:
    return [track(first + n, "u", f"other-{n % OTHERS}") for n in range(OTHERS * each)]


def send(milonga: Milonga, events: list[dict[str, object]]) -> None:
    with Client(milonga.port, KEY) as client:
        for batch in batches(events, 500):
            client.send(batch)


def delivered_to(totango: Receiving, prefix: str) -> int:
    """How many different events; what was on its way at a kill may come twice."""
    return len({what_of(seen) for seen in totango.accepted() if seen.params["sdr_o"].startswith(prefix)})


def test_a_flood_and_a_blocked_account_hold_up_nobody(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(delay_ms=10)  # one user's line cannot be done with the flood while this test lasts
    totango.behave(status=503, match={"sdr_o": "blocked"})
    send(milonga, of_others(0, 1))
    eventually(lambda: delivered_to(totango, "other") == OTHERS, "the others, before")
    before = pss(milonga.delivery_pid())
    assert before

    send(milonga, [track(1_000_000 + n, "u", "blocked") for n in range(300)])
    send(milonga, [track(2_000_000 + n, "u", "hot") for n in range(FLOOD)])
    send(milonga, of_others(10_000, 3))
    eventually(lambda: delivered_to(totango, "other") == 4 * OTHERS, "the others, beside the flood")
    assert delivered_to(totango, "hot") < FLOOD
    assert pss(milonga.delivery_pid()) < before + 100_000_000

    assert milonga.kill_delivery()
    send(milonga, of_others(20_000, 3))
    eventually(lambda: delivered_to(totango, "other") == 7 * OTHERS, "the others, after the kill")
    hot = delivered_to(totango, "hot")
    assert 0 < hot < FLOOD
    assert delivered_to(totango, "blocked") == 0

    found = first_deliveries(totango.accepted())
    assert found["hot", "u"] == [f"e-{2_000_000 + n}" for n in range(len(found["hot", "u"]))]
    for number in range(OTHERS):
        sent = [number + start + OTHERS * n for start, each in ((0, 1), (10_000, 3), (20_000, 3)) for n in range(each)]
        assert found[f"other-{number}", "u"] == [f"e-{n}" for n in sent]
    assert not overlaps(totango.requests())

    totango.behave_well()
    eventually(lambda: delivered_to(totango, "blocked") == 300, "the blocked one, once it is let through")
    found = first_deliveries(totango.accepted())
    assert found["blocked", "u"] == [f"e-{1_000_000 + n}" for n in range(300)]
