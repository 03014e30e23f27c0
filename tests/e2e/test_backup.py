"""
A backup beside a server under load, restored elsewhere and served: what had been acknowledged before it began is there,
and each event is recorded as ended or goes out, in order.
"""

import threading
from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest

from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.eventlog.lookup import EventLookup
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from tests.e2e.conftest import KEY
from tests.receiving import Receiving, duplicates, first_deliveries, overlaps
from tests.running import Client, Milonga, batches, eventually, in_threads, track

SENDERS = 3
MOST = 3_000  #: events of each sender
USERS = 20  #: of each sender, so that the order in which it sends is the order in which they must arrive


def number_of(sender: int, n: int) -> int:
    return n * SENDERS + sender


def event(sender: int, n: int) -> dict[str, object]:
    return track(number_of(sender, n), f"u{sender}-{n % USERS}", f"a{sender}")


class Load:
    """
    Senders that go on until they are stopped.

    acknowledged  how many events were, by sender
    """

    def __init__(self, milonga: Milonga) -> None:
        self._milonga = milonga
        self.acknowledged: dict[int, int] = dict.fromkeys(range(SENDERS), 0)
        self._stop = threading.Event()
        self._crowd = in_threads(partial(self._send, sender) for sender in range(SENDERS))

    def _send(self, sender: int) -> None:
        with Client(self._milonga.port, KEY) as client:
            for batch in batches([event(sender, n) for n in range(MOST)], 10):
                client.send(batch)
                self.acknowledged[sender] += len(batch)
                if self._stop.wait(0.02):
                    return

    def stop(self) -> None:
        self._stop.set()
        self._crowd.join()

    def goes_on(self) -> None:
        """Return when each has sent more."""
        now = dict(self.acknowledged)
        eventually(lambda: all(self.acknowledged[one] > now[one] for one in now), "more is sent")


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_a_backup_under_load_loses_nothing_that_was_acknowledged(
    name: str, milonga: Milonga, totango: Receiving, tmp_path: Path
) -> None:
    totango.behave(delay_ms=60)
    for n in range(0, MOST, 31):
        totango.behave(status=400, match={"sdr_a": f"e-{number_of(0, n)}"})
    load = Load(milonga)
    eventually(lambda: min(load.acknowledged.values()) >= 300, "there is something to back up")
    eventually(lambda: totango.received() > 100, "some is delivered")
    before = dict(load.acknowledged)
    milonga.say("backup", str(tmp_path / name))
    load.goes_on()
    assert milonga.run("check").returncode == 0, "a check beside all this finds nothing wrong"
    load.stop()
    assert milonga.stop() == 0

    restored = Milonga(tmp_path / "elsewhere" / "data")
    restored.data.parent.mkdir()
    restored.say("restore", str(tmp_path / name))
    assert restored.run("check").returncode == 0, restored.run("check").stdout
    there = numbers_in(restored.data)
    for sender, acknowledged in before.items():
        assert set(there[sender]) >= set(range(acknowledged)), "an acknowledged event is missing"
        assert there[sender] == list(range(len(there[sender]))), "and none without those before it"
    recorded = ended_in(restored.data)
    with_letter = letters_in(restored.data)
    refused = {position for position, state in recorded.items() if state is State.dead}
    assert refused <= with_letter, "a dead letter is not there"
    print(f"{len(positions_in(restored.data))} events, {len(recorded)} had ended, {len(refused)} dead; {before}")

    totango.behave_well()
    totango.clear()
    with restored:
        restored.start()
        waiting = set(positions_in(restored.data)) - set(recorded)
        eventually(lambda: set(ended_in(restored.data)) >= waiting, "everything has ended", 90)
        assert restored.run("check").returncode == 0
        assert restored.stop() == 0
    accepted = totango.accepted()
    delivered = {seen.params["sdr_a"] for seen in accepted}
    by_offset = {position: f"e-{n}" for position, n in positions_in(restored.data).items()}
    assert delivered == {by_offset[position] for position in waiting - with_letter}, "what had ended is not sent again"
    assert duplicates(accepted) == 0
    assert not overlaps(totango.requests())
    for (account, user), events in first_deliveries(accepted).items():
        sent = [int(str(one).removeprefix("e-")) for one in events]
        assert sent == sorted(sent), (account, user)
    with Milonga(restored.data) as again:
        again.start()
        send_one(again)
        eventually(lambda: again.explain("m-fresh")["state"] == "delivered", "it goes on taking events")


def send_one(milonga: Milonga) -> None:
    with Client(milonga.port, KEY) as client:
        client.send([{**track(0, "fresh", "fresh"), "messageId": "m-fresh"}])


def positions_in(data: Path) -> dict[Position, int]:
    """Place in the log -> number of the event."""
    found = EventLookup(data / "log").newest(SENDERS * MOST)
    return {one.position: int(one.event.stamp.message_id.removeprefix("m-")) for one in found}


def numbers_in(data: Path) -> dict[int, list[int]]:
    """Of each sender, in log order."""
    found: dict[int, list[int]] = defaultdict(list)
    for _, number in sorted(positions_in(data).items()):
        found[number % SENDERS].append(number // SENDERS)
    return found


def ended_in(data: Path) -> dict[Position, State]:
    reader = OutcomeReader(data / "outcomes")
    return {position: outcomes[0].state for position, outcomes in reader.of_many(list(positions_in(data))).items()}


def letters_in(data: Path) -> set[Position]:
    reader = DeliveryReader(data / "delivery.db")
    try:
        return {letter.position for letter in reader.dead_letters(limit=MOST)}
    finally:
        reader.close()
