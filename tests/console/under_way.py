"""What does not stand still: a line that is parked, replays that go on, wait and are over, a dry run. For pictures."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from milonga.delivery.limits import Limits
from milonga.delivery.replay_rows import ReplayState
from milonga.delivery.selection import Selection
from milonga.delivery.store_reader import DeliveryReader
from milonga.facts import wishes
from milonga.facts.directory import DELIVERY_NAME
from milonga.facts.facts import Facts, open_facts
from milonga.workspace.commands import milliseconds
from tests.console.harness import Console
from tests.receiving import Receiving
from tests.running import Client, eventually

STUCK = "globex"  #: the account whose line is parked
WAITING = Limits().lane + 12  #: events behind one of its keys
DAY = 86_400_000
ACTIVITIES = ("Created Report", "Exported Report", "Invited Colleague", "Changed Filter", "Scheduled Export")


def begin(console: Console, totango: Receiving, key: str) -> None:
    """key: of the source `web`, whose destinations are `totango` and `totango-emea`"""
    totango.behave(status=503, match={"sdr_o": STUCK}, headers={"Retry-After": 900})
    with Client(console.milonga.port, key) as client:
        client.send(list(stuck()))
        client.send(list(others()))
    with closing(DeliveryReader(console.data / DELIVERY_NAME)) as reader:
        eventually(lambda: reader.parked_count(1) >= WAITING, "its line is parked")
    form = {"destination": "totango", "from": "1h", "to": "now", "rate": "50", "account": "hooli"}
    looked = console.post("/replays/look", form)
    replays(console)
    eventually(lambda: "every 1s" not in console.get(looked.headers["location"]).text, "the dry run is over")


def stuck() -> Iterator[dict[str, Any]]:
    for number in range(WAITING):
        activity = ACTIVITIES[number % len(ACTIVITIES)]
        yield track(f"m-stuck-{number}", STUCK, activity)


def others() -> Iterator[dict[str, Any]]:
    for number, account in enumerate(("acme", "initech", "hooli", "umbrella") * 10):
        yield track(f"m-late-{number}", account, ACTIVITIES[number % 3], person=number % 3)


def track(message_id: str, account: str, activity: str, person: int = 0) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "type": "track",
        "userId": f"{account}-user-{person}",
        "event": activity,
        "properties": {"category": "Reports", "rows": person},
        "context": {"groupId": account},
    }


def replays(console: Console) -> None:
    """One that is over, one that waits for its paused destination, one that is held."""
    with open_facts(console.data) as facts:
        ask(facts, "totango", account="hooli")
        ask(facts, "totango-emea", rate=20.0)
    eventually(lambda: state(console, 1) is ReplayState.done and state(console, 2) is not None, "two have begun")
    with open_facts(console.data) as facts:
        ask(facts, "totango", rate=1.0, overwrite=True)
    eventually(lambda: state(console, 3) is ReplayState.running, "the third has begun")
    with open_facts(console.data) as facts:
        wishes.set_replay(facts, 3, ReplayState.paused, by="user:the-editor")
    eventually(lambda: state(console, 3) is ReplayState.paused, "it is held")


def ask(facts: Facts, name: str, *, rate: float = 50.0, account: str | None = None, overwrite: bool = False) -> None:
    place = next(place for place in facts.places if place.config.name == name)
    now = milliseconds()
    wanted = Selection(source=place.config.source, since=now - DAY, until=now, account=account)
    wishes.replay(facts, place, wanted, rate=rate, overwrite=overwrite, by="user:the-editor")


def state(console: Console, number: int) -> ReplayState | None:
    with open_facts(console.data) as facts:
        found = None if facts.delivery is None else facts.delivery.replays.one(number)
        return None if found is None else found.state
