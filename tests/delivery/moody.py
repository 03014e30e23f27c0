"""A receiver with moods, and outcomes that tell the world around them what is durable."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from milonga.delivery.outgoing import NoAnswer, Outgoing, Reply
from milonga.destinations.contract import Answer, Key
from milonga.outcomes.model import Attempt, Outcome
from milonga.outcomes.writer import OutcomeWriter
from tests.delivery import paper

if TYPE_CHECKING:
    from tests.delivery.world import World

OK = Answer(200, {}, b"")


class Receiver:
    """
    What the events are sent to. It remembers everything.

    accepted      (n, part) in order of arrival, duplicates too; the part of a replayed one is `part@replay`
    most_at_once  events in one request
    """

    def __init__(self, world: "World") -> None:
        self._world, self._dice = world, world.dice
        self.accepted: list[tuple[int, str]] = []
        self.sends = self.most_at_once = 0
        self.flying: dict[Key, int] = {}
        self.generation = 0
        self.calm = False
        self.mood: int | str | None = None  #: what everybody is answered; None: as usual
        self.bad_accounts: dict[str, int] = {}
        self.not_before: dict[int, float] = {}
        self._open: dict[int, Callable[[Reply], None]] = {}

    @property
    def open(self) -> int:
        """Requests in flight."""
        return len(self._open)

    def send(self, outgoing: Outgoing, done: Callable[[Reply, float], None]) -> None:
        world, loop = self._world, asyncio.get_running_loop()
        said = paper.said_in(outgoing.body)
        numbers = [one["n"] for one in said]
        self.sends += 1
        self.most_at_once = max(self.most_at_once, len(said))
        world.invariants.check_request()
        for one in said:
            world.invariants.check_send(one["n"], one["part"], one["word"])
        keys = [(key, n) for n in numbers for key in world.keys[n]]
        for key, n in keys:
            assert key not in self.flying, f"{n} and {self.flying[key]} are in flight together, both of {key}"
            self.flying[key] = n
        reply, accepted = self._answer(numbers)
        if accepted:
            self.accepted += [(one["n"], self._part(one)) for one in said]
            world.unsettled.update(numbers)
        if isinstance(reply, NoAnswer) and reply.perhaps:
            world.excused.update(numbers)
        generation, number = self.generation, self.sends

        def end(reply: Reply) -> None:
            if generation == self.generation and number in self._open:
                del self._open[number]
                for key, _ in keys:
                    del self.flying[key]
                asked = reply.headers.get("retry-after") if isinstance(reply, Answer) else None
                if asked:
                    self.not_before.update(dict.fromkeys(numbers, loop.time() + float(asked)))
                done(reply, 0.01)

        self._open[number] = end
        slow = not self.calm and self._dice.random() < 0.02
        after = self._dice.uniform(1, 8) if slow else self._dice.uniform(0.001, 0.08)
        if after > outgoing.timeout:
            after, reply = outgoing.timeout, NoAnswer("timeout", "Nothing came.", perhaps=True)
            world.excused.update(numbers)
        loop.call_later(after, end, reply)

    def _part(self, said: dict[str, Any]) -> str:
        replay = self._world.replay_of(said["n"])
        return f"{said['part']}@{replay}" if replay else str(said["part"])

    def crash(self) -> None:
        """The sender is gone: nobody hears the answers."""
        self.generation += 1
        self.flying.clear()
        self._open.clear()
        self.not_before.clear()

    def cut(self) -> None:
        """The sender was closed: everybody hears that."""
        for end in list(self._open.values()):
            end(NoAnswer("connection_lost", "Stopped.", perhaps=True))
        for n in self._world.unsettled:
            self._world.excused.add(n)

    def _answer(self, numbers: list[int]) -> tuple[Reply, bool]:
        """The answer, and whether the receiver keeps what it got: all of a batch, or nothing."""
        dice, world = self._dice, self._world
        if self.calm:
            return OK, True
        moods = [self.mood or self.bad_accounts.get(world.accounts[n]) or world.poison.get(n) for n in numbers]
        status: object = next((mood for mood in moods if mood not in (None, 200)), moods[0])
        if status is None:
            status = dice.choices(
                [200, 503, 500, 429, "refused", "lost", 400],
                [100, 5, 2, 2, 2, 4, 1],
            )[0]
        match status:
            case "refused":
                return NoAnswer("no_connection", "Refused.", perhaps=False), False
            case "lost":
                return NoAnswer("connection_lost", "Lost.", perhaps=True), dice.random() < 0.5
            case 200:
                return OK, True
            case 429:
                return Answer(429, {"retry-after": str(dice.choice([1, 2]))}, b""), False
            case 503 if dice.random() < 0.1:
                return Answer(503, {"retry-after": "4"}, b""), False
            case _:
                return Answer(int(str(status)), {}, b"no"), False


class WatchedOutcomes(OutcomeWriter):
    """Tells what is durable."""

    def __init__(self, folder: Path, clock: Callable[[], float], tell: Callable[[Sequence[Outcome]], None]) -> None:
        super().__init__(folder, clock, segment_rows=200)
        self._db.execute("PRAGMA synchronous = OFF")
        self._tell = tell

    def write(self, outcomes: Sequence[Outcome], attempts: Sequence[Attempt] = ()) -> None:
        super().write(outcomes, attempts)
        self._tell(outcomes)
