"""Counts that may be too high, and never are too low."""

from collections import Counter
from random import Random

from milonga.delivery.tally import Tally


def test_a_count_is_never_too_low_and_the_total_is_exact() -> None:
    dice, exact, tally = Random(1), Counter[str](), Tally(slots=64)
    for _ in range(5_000):
        thing = f"account-{dice.randrange(200)}"
        if exact[thing] and dice.random() < 0.5:
            tally.take(thing)
            exact[thing] -= 1
        else:
            tally.add(thing)
            exact[thing] += 1
        assert tally.at_most(thing) >= exact[thing]
    assert tally.total == exact.total()
    assert all(tally.at_most(thing) >= n for thing, n in exact.items())


def test_what_alone_is_counted_is_counted_exactly_and_nothing_takes_no_memory() -> None:
    tally = Tally()
    assert (tally.total, tally.at_most("a")) == (0, 0)
    tally.add("a", 3)
    tally.take("a")
    assert (tally.total, tally.at_most("a")) == (2, 2)
    tally.take("a")
    tally.take("a")
    tally.take("a")
    assert (tally.total, tally.at_most("a")) == (0, 0)
