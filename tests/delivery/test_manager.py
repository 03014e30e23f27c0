"""Delivery as a whole beside a workspace that changes, or fails. Files and sockets are real."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from milonga.delivery.letters import OFF as OFF_TAKES_NONE
from milonga.delivery.manager import Delivery
from milonga.delivery.rows import DeadLetter
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.destinations import registry
from milonga.destinations.webhook.fake import pretend
from milonga.eventlog.api import Position
from milonga.spec.stored import Stamped
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState, UnknownSettings
from milonga.workspace.secrets import KeyProvider
from milonga.workspace.store import Workspace
from tests.delivery import paper
from tests.receiving import Receiving

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused


async def until(done: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - what is looked at lies in files
            await asyncio.sleep(0.01)


@contextmanager
def hook() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


def event(n: int, account: str = "acme") -> Stamped:
    made = paper.event(n, account, received_at=int(time.time() * 1000))
    return msgspec.structs.replace(made, stamp=msgspec.structs.replace(made.stamp, source=1))


class House:
    """A data directory with one source, a log in memory, and delivery running."""

    def __init__(self, data: Path, receiver: Receiving) -> None:
        self.data, self.receiver, self.log = data, receiver, paper.ListLog()
        self.workspace = Workspace.open(data, KeyProvider(data, {}))
        if not self.workspace.sources.all():
            assert self.workspace.sources.add("web").id == 1

    def add(self, name: str, kind: str = "webhook") -> int:
        settings = {"url": f"{self.receiver.url}/{name}"}
        return self.workspace.add_destination(kind, "web", name, settings, ON, {}).id

    def received(self, name: str) -> list[str]:
        return [seen.path for seen in self.receiver.accepted() if seen.path == f"/{name}"]

    def live(self, story: Callable[[Delivery], Coroutine[Any, Any, None]], **more: Any) -> None:
        """more: what Delivery is given besides"""

        async def main() -> None:
            delivery = Delivery(self.data, self.workspace, self.log, allow_private=True, **more)
            running = asyncio.get_running_loop().create_task(delivery.run())
            try:
                telling = asyncio.get_running_loop().create_task(story(delivery))
                await asyncio.wait([telling, running], return_when=asyncio.FIRST_COMPLETED)
                if not telling.done():
                    telling.cancel()
                    running.result()
                await telling
            finally:
                delivery.stop()
                await running
                self.workspace.close()

        asyncio.run(main())


def letters(house: House, destination: int, count: int) -> list[list[int]]:
    store = DeliveryStore(house.data / "delivery.db")
    with store.transaction():
        for n in range(1, count + 1):
            store.add_dead(
                DeadLetter(
                    destination=destination,
                    position=Position(0, n),
                    died_at=n,
                    code="http_400",
                    reason="No.",
                    parts=frozenset(),
                    event=event(n),
                )
            )
    store.close()
    return [[0, n] for n in range(1, count + 1)]


def test_a_command_answers_with_what_was_really_done(tmp_path: Path) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        positions = letters(house, number, 3)
        commands = house.workspace.commands

        async def story(_: Delivery) -> None:
            async def asked(kind: str, positions: list[list[int]]) -> object:
                command = commands.ask(kind, {"destination": number, "positions": positions})
                await until(lambda: commands.result(command) is not None)
                return commands.result(command)

            house.workspace.change_state(number, OFF, "cli", "", {0: 0})
            assert await asked("resend", positions) == {"error": OFF_TAKES_NONE}
            house.workspace.change_state(number, ON, "cli", "", {0: 0})
            assert await asked("resend", positions[:1] * 2) == {"done": 1}
            assert await asked("resend", [[0, 99]]) == {"done": 0}
            assert await asked("discard", positions[1:2]) == {"done": 1}
            reader = DeliveryReader(tmp_path / "delivery.db")
            await until(lambda: reader.dead_count(number) == 1)
            reader.close()
            await until(lambda: len(house.received("hook")) == 1)
            assert "$.positions" in str(await asked("resend", "all"))  # type: ignore[arg-type]

        house.live(story)


def test_an_answer_the_workspace_could_not_take_is_told_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        positions = letters(house, number, 1)
        commands, full = house.workspace.commands, [True]
        usual, tries = commands.finish, []

        def finish(command: int, result: dict[str, object]) -> None:
            tries.append(command)
            if full[0]:
                raise UserError("workspace.db cannot be written: database or disk is full.")
            usual(command, result)

        monkeypatch.setattr(commands, "finish", finish)

        async def story(_: Delivery) -> None:
            command = commands.ask("discard", {"destination": number, "positions": positions})
            await until(lambda: len(tries) >= 2)
            full[0] = False
            await until(lambda: commands.result(command) is not None)
            assert commands.result(command) == {"done": 1}

        house.live(story)


def test_a_pause_the_workspace_cannot_write_down_holds_and_is_written_down_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        house.add("other")
        full = [True]
        tries = 0
        usual = house.workspace.change_state

        def change_state(*args: Any, **more: Any) -> bool:
            nonlocal tries
            tries += 1
            if full[0]:
                raise UserError("workspace.db cannot be written: database or disk is full.")
            return usual(*args, **more)

        monkeypatch.setattr(house.workspace, "change_state", change_state)
        receiver.behave(status=401)

        async def story(delivery: Delivery) -> None:
            for n in range(10):
                house.log.add(event(n, f"a{n}"))
            await until(lambda: tries >= 4)
            sent = receiver.received()
            assert house.workspace.destination(number).state is ON
            full[0] = False
            await until(lambda: house.workspace.destination(number).state is PAUSED)
            await until(lambda: house.workspace.destination("other").state is PAUSED)
            assert receiver.received() == sent, "meanwhile nothing was sent"
            assert "401" in house.workspace.destination(number).changes[-1].reason
            receiver.behave_well()
            house.workspace.set_settings(number, {"url": f"{receiver.url}/new"})
            await until(lambda: len(house.received("new")) == 10)

        house.live(story)


def test_a_workspace_that_cannot_be_read_for_a_while_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        house.add("first")
        broken, tries = [True], []
        usual = house.workspace.destinations

        def destinations() -> object:
            tries.append(1)
            if broken[0]:
                raise UserError("workspace.db: disk I/O error.")
            return usual()

        monkeypatch.setattr(house.workspace, "destinations", destinations)

        async def story(_: Delivery) -> None:
            house.log.add(event(1))
            await until(lambda: len(tries) >= 2)
            broken[0] = False
            await until(lambda: len(house.received("first")) == 1)
            house.add("second")
            broken[0] = True
            await until(lambda: len(tries) >= 5)
            house.log.add(event(2))
            await until(lambda: len(house.received("first")) == 2)
            assert house.received("second") == []
            broken[0] = False
            await until(lambda: len(house.received("second")) == 2)

        house.live(story)


def test_a_destination_of_an_unknown_kind_waits_and_the_others_go_on(tmp_path: Path) -> None:
    with hook() as receiver:
        kinds = {**registry.kinds(), "paper": paper.DESTINATION}
        with Workspace.open(tmp_path, KeyProvider(tmp_path, {}), kinds) as knowing:
            knowing.sources.add("web")
            knowing.add_destination("paper", "web", "odd", {}, ON, {})
        store = DeliveryStore(tmp_path / "delivery.db")
        with store.transaction():
            store.set_position(1, 0, 5)
        store.close()
        house = House(tmp_path, receiver)
        house.add("hook")

        async def story(_: Delivery) -> None:
            house.log.add(event(1))
            await until(lambda: len(house.received("hook")) == 1)
            odd = house.workspace.destination("odd")
            assert (odd.state, odd.settings) == (PAUSED, UnknownSettings())
            assert "does not have" in odd.changes[-1].reason
            command = house.workspace.commands.ask("resend", {"destination": odd.id, "positions": [[0, 1]]})
            await until(lambda: house.workspace.commands.result(command) is not None)
            assert "error" in json.dumps(house.workspace.commands.result(command))
            house.workspace.remove_destination("hook", {0: 1})
            reader = DeliveryReader(tmp_path / "delivery.db")
            await until(lambda: reader.watermarks(0) == [5])
            reader.close()

        house.live(story)
