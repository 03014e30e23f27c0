"""What newer events have set is left out of a replay, also while it runs."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from milonga.destinations.contract import Destination, Form, Key, Request, Requests
from milonga.outcomes.model import State
from milonga.spec.event import Event
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.replays import done, replay
from tests.delivery.road import Road, run, states


def translate(event: Event, settings: paper.Settings) -> Requests:
    params = {"n": str(event.received["n"]), "part": "only", **event.received.get("sets", {})}
    return [Request(part="only", method="POST", url="https://receiver.example/", body=Form(params))]


def sets(request: Request) -> dict[str, Key]:
    assert isinstance(request.body, Form)
    return {name: ("acme", name) for name in request.body.params if name.startswith("a.")}


SETTING: Destination = msgspec.structs.replace(
    paper.DESTINATION, translate=translate, overwriting=frozenset({"group"}), sets=sets
)


class Forms(Road):
    """Remembers what was set."""

    def send(self, outgoing: Any, done: Any) -> None:
        said = dict(parse_qsl(outgoing.body.decode()))
        self.said.append({name: value for name, value in said.items() if name.startswith("a.")} | {"n": said["n"]})
        super().send(msgspec.structs.replace(outgoing, body=msgspec.json.encode(said | {"n": int(said["n"])})), done)

    said: list[dict[str, str]]


def test_newer_attributes_are_never_overwritten(tmp_path: Path) -> None:
    async def with_road(folder: Path, loop: FakeTimeLoop) -> None:
        Forms.said = []
        road = Forms(folder, loop, kind=SETTING)
        road.add(0, type_="group", user=None, sets={"a.plan": "free", "a.seats": "1"})
        road.add(1, type_="group", user=None, sets={"a.plan": "trial"})
        road.add(2, type_="group", user=None, sets={"a.plan": "paid"})
        await road.until(lambda: states(road) == [State.delivered] * 3)
        road.runner.replaying.begin(replay())
        await done(road)
        assert road.said[3:] == [{"a.seats": "1", "n": "0"}, {"a.plan": "paid", "n": "2"}]
        assert road.reader.replays.counts(1) == {("delivered", ""): 2, ("left", "superseded"): 1}
        road.runner.replaying.begin(replay(2, overwrite=True))
        await done(road, 2)
        assert len(road.said) == 8
        await road.stop()

    run(tmp_path, with_road)


def test_what_comes_while_the_replay_runs_is_newer_too(tmp_path: Path) -> None:
    async def with_road(folder: Path, loop: FakeTimeLoop) -> None:
        Forms.said = []
        road = Forms(folder, loop, kind=SETTING)
        for n in range(20):
            road.add(n, type_="group", user=None, sets={f"a.{n}": "old"})
        await road.until(lambda: states(road) == [State.delivered] * 20)
        road.runner.replaying.begin(replay(rate=2.0))
        await road.until(lambda: len(road.said) == 24)
        road.add(20, type_="group", user=None, sets={"a.15": "new"})
        await done(road)
        values = [said["a.15"] for said in road.said if "a.15" in said]
        assert values == ["old", "new"]
        await road.stop()

    run(tmp_path, with_road)
