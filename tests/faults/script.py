"""Prescribed answers: each event of a load gets a sequence of its own, decided by the dice, whoever asks. Pure."""

import random
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from milonga.destinations.behavior import USUAL, Behaviors, Told
from tests.faults.mix import number_of

OK: Final = Told()
BEFORE, AFTER = Told(drop="before"), Told(drop="after")


def told(status: int, **headers: str | int) -> Told:
    return Told(status, {name.replace("_", "-"): value for name, value in headers.items()})


#: how often, and what an event is answered until it is taken in or refused for good
SCRIPTS: Final[tuple[tuple[int, tuple[Told, ...]], ...]] = (
    (54, (OK,)),
    (8, (told(503), OK)),
    (8, (told(500), told(500), OK)),
    (6, (told(502), told(504), told(500), OK)),
    (1, (told(429), OK)),
    (1, (told(429, Retry_After=1), OK)),
    (2, (told(503, Retry_After=1), told(408), OK)),
    (5, (BEFORE, OK)),
    (5, (AFTER, OK)),
    (3, (told(500), AFTER, BEFORE, told(503), OK)),
    (3, (told(400),)),
    (2, (told(500), told(422))),
    (1, (told(301, Location="http://127.0.0.1:1/"),)),
)


class Script(Behaviors):
    """
    begun  number -> answers that its requests have had
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self.begun: dict[int, int] = defaultdict(int)

    def of(self, number: int) -> tuple[Told, ...]:
        """What this event is answered, in order."""
        dice = random.Random(f"{self._seed}/{number}")
        (script,) = dice.choices([answers for _, answers in SCRIPTS], [weight for weight, _ in SCRIPTS])
        return script

    def decide(self, params: Mapping[str, Any]) -> Told:
        number = number_of(params)
        if number is None:
            return USUAL
        script, turn = self.of(number), self.begun[number]
        self.begun[number] += 1
        return script[min(turn, len(script) - 1)]

    def is_taken(self, number: int) -> bool:
        """Whether it is delivered in the end."""
        return self.of(number)[-1] is OK

    def duplicates(self, number: int) -> int:
        """How often it is taken in beyond once."""
        taken = sum(one.drop == "after" or (one.drop is None and one.status // 100 == 2) for one in self.of(number))
        return max(0, taken - 1)
