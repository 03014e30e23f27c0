"""Users are deleted while their events wait, hang, are dead letters, or have not been read: nothing of them is kept."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position, Stored
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from milonga.privacy.regulation import Deletion, Doomed, Kind
from milonga.privacy.subject import erased, users_of_stamped
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import Road, answer, run
from tests.delivery.test_manager import ON, PAUSED, House, hook, until
from tests.outcomes.test_outcome_files import attempt, outcome

ADA = "ada-lovelace"


def event(n: int, user: str, account: str) -> Stamped:
    made = paper.event(n, account, user, received_at=int(time.time() * 1000))
    return msgspec.structs.replace(made, stamp=msgspec.structs.replace(made.stamp, source=1))


class Places:
    """As milonga.eventlog.erasing.places_in, over a list."""

    def __init__(self, log: paper.ListLog) -> None:
        self._log = log

    def __call__(self, deletions: Sequence[Deletion]) -> Iterator[list[Position]]:
        doomed = Doomed(deletions)
        for one in self._log.events[0]:
            if isinstance(one, Stored) and doomed.by(users_of_stamped(one.event), 1, *one.position) is not None:
                yield [one.position]


class Erased:
    """What became of the events, and what is left of them in the files."""

    def __init__(self, house: House, number: int) -> None:
        self._data, self._number = house.data, number

    def ended(self, offset: int) -> tuple[State, str] | None:
        found = OutcomeReader(self._data / "outcomes").of(Position(0, offset))
        return (found[0].state, found[0].code) if found else None

    def left(self) -> list[str]:
        files = [path for path in self._data.rglob("*") if path.is_file() and not path.name.startswith("workspace.db")]
        return [path.name for path in files if ADA.encode() in path.read_bytes()]

    def kept(self) -> tuple[int, int]:
        """Dead letters, and parked events."""
        reader = DeliveryReader(self._data / "delivery.db")
        try:
            return reader.dead_count(self._number), reader.parked_count(self._number)
        finally:
            reader.close()


def live(house: House, story: Callable[[], Any]) -> None:
    """As House.live, and with the log looked through for users."""
    house.live(lambda _: story(), places=Places(house.log))


def names_her(folder: Path) -> None:
    """The answer to an event of another destination."""
    writer = OutcomeWriter(folder, time.time)
    said = attempt(2, answer=f"Who is {ADA}?".encode())
    writer.write([outcome(2, destination=99)], [msgspec.structs.replace(said, destination=99)])
    writer.close()


SKIPPED = (State.skipped, "user_deleted")


def delete(house: House, upto: int) -> Callable[[], bool]:
    """True once delivery says that it is done."""
    regulations = house.workspace.regulations
    one = regulations.create(Kind.delete_internal, [ADA])
    regulations.begin([one.id], {0: upto})
    return lambda: regulations.regulation(one.id).delivery_at is not None


def test_what_waits_parked_or_dead_goes_and_all_others_stay(tmp_path: Path) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        erased_ = Erased(house, number)
        receiver.behave(status=503)
        for n in range(1, 221):
            house.log.add(event(n, ADA if n % 2 else "bob", "acme"))

        async def story() -> None:
            await until(lambda: erased_.kept()[1] > 100, 60)
            house.workspace.change_state(number, PAUSED, "cli", "", {0: 0})
            done = delete(house, 150)
            await until(done, 60)
            assert [erased_.ended(n) for n in (1, 101, 149)] == [SKIPPED] * 3
            assert [erased_.ended(n) for n in (2, 100, 151)] == [None] * 3
            receiver.behave_well()
            house.workspace.change_state(number, ON, "cli", "", {0: 0})
            totals = OutcomeReader(house.data / "outcomes").totals
            await until(lambda: sum(totals().values()) >= 220, 60)
            assert totals() == {(number, *SKIPPED): 75, (number, State.delivered, ""): 145}

        live(house, story)


def test_what_waits_for_its_next_try_is_not_sent_from_the_moment_on_that_delivery_knows(tmp_path: Path) -> None:
    deletions: list[Deletion] = []

    async def story(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), doomed=lambda: Doomed(deletions))
        road.add(1, "acme", ADA)
        road.add(2, "other", "bob")
        await road.until(lambda: not road.flying and set(road.sent) == {1, 2})
        deletions.append(Deletion(1, None, frozenset([ADA]), {0: 2}))
        tried = road.sent.count(1)
        await asyncio.sleep(25)
        assert road.sent.count(1) == tried
        assert road.sent.count(2) > 2
        ended = road.outcome(1)
        assert ended is not None
        assert (ended.state, ended.code) == SKIPPED
        await road.stop()

    run(tmp_path, story)


def test_of_a_request_under_way_no_word_is_kept(tmp_path: Path) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        erased_ = Erased(house, number)
        receiver.behave(status=400)
        names_her(house.data / "outcomes")
        house.log.add(event(1, ADA, "acme"))
        house.log.add(event(2, "bob", "other"))

        async def story() -> None:
            await until(lambda: erased_.kept()[0] == 2, 60)
            receiver.behave(status=400, delay_ms=5_000)  # by then delivery knows, however busy the machine is
            house.log.add(event(3, ADA, "acme"))
            house.log.add(event(4, "bob", "other"))
            await until(lambda: receiver.received() == 4, 60)
            done = delete(house, 4)
            await until(done, 60)
            assert erased_.ended(1) == (State.dead, "http_400")
            assert erased_.ended(3) == SKIPPED
            await until(lambda: erased_.kept()[0] == 2, 60)
            assert erased_.left() == []
            (elsewhere,) = OutcomeReader(house.data / "outcomes").attempts(Position(0, 2), 99)
            assert elsewhere.answer == b"", "another event's answer that named her"
            assert OutcomeReader(house.data / "outcomes").attempts(Position(0, 1), number) == []
            assert len(OutcomeReader(house.data / "outcomes").attempts(Position(0, 2), number)) == 1

        live(house, story)


def test_an_event_that_was_erased_before_it_was_read_ends_without_a_request(tmp_path: Path) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        erased_ = Erased(house, number)
        house.log.add(Stamped(erased(event(1, ADA, "acme").stamp, at=1, by=1, salt=b"s").stamp, b"{}"))
        house.log.add(event(2, "bob", "acme"))

        async def story() -> None:
            await until(lambda: erased_.ended(2) == (State.delivered, ""), 60)
            assert erased_.ended(1) == SKIPPED
            assert receiver.received() == 1
            assert DestinationState.on is house.workspace.destination(number).state

        live(house, story)


def test_what_was_sent_instead_of_a_dead_letter_goes_with_whoever_either_of_them_names(tmp_path: Path) -> None:
    """The third's original named her and the edited one does not; the second the other way round."""
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        erased_ = Erased(house, number)
        receiver.behave(status=400)
        for n, user in enumerate(("bob", "bob", ADA), start=1):
            house.log.add(event(n, user, "acme"))
        commands = house.workspace.commands

        async def edit(n: int, user: str) -> None:
            text = msgspec.json.encode(msgspec.json.decode(event(n, user, "acme").body) | {"about": f"{ADA} {n}"})
            wish = {"destination": number, "position": (0, n), "event": text.decode()}
            asked = commands.ask("edit", wish)
            await until(lambda: commands.result(asked) == {"done": 1}, 60)

        async def story() -> None:
            await until(lambda: erased_.kept() == (3, 0), 60)
            await edit(2, ADA)
            await edit(3, "bob")
            await until(lambda: erased_.kept() == (3, 0) and receiver.received() == 5, 60)
            done = delete(house, upto=3)
            await until(done, 60)
            assert erased_.kept() == (1, 0), "the first stays"
            reader = DeliveryReader(house.data / "delivery.db")
            assert [reader.edited.of(number, Position(0, n)) for n in (1, 2, 3)] == [None] * 3
            reader.close()
            await until(lambda: erased_.left() == [], 60)

        live(house, story)
