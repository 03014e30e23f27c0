"""Counters that only grow, whatever becomes of the counts they are made of."""

from milonga.metrics.running import LATE, Running

NOW = 30_000_000  #: minutes


class Counted:
    """Counts per minute, as the files have them; `seen` is what a counter makes of them."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.running: Running[str] = Running(NOW)

    def add(self, minute: int, n: int) -> None:
        self.rows[minute] = self.rows.get(minute, 0) + n

    def seen(self, now: int) -> int:
        since = self.running.reads_from(now)
        self.running.look(now, [(minute, "web", n) for minute, n in self.rows.items() if minute >= since])
        return self.running.totals.get("web", 0)


def test_it_begins_at_zero_whatever_was_counted_before() -> None:
    counted = Counted()
    counted.add(NOW, 100)
    assert counted.seen(NOW) == 0
    counted.add(NOW, 7)
    assert counted.seen(NOW) == 7


def test_it_goes_on_for_months_and_reads_two_hours() -> None:
    counted = Counted()
    counted.seen(NOW)
    for minute in range(NOW, NOW + 20_000, 13):
        counted.add(minute, 2)
        counted.add(minute - LATE // 2, 1)  # recorded late
        counted.seen(minute)
        assert minute - counted.running.reads_from(minute) <= 2 * LATE
    assert counted.seen(NOW + 20_000) == sum(counted.rows.values())


def test_what_is_forgotten_takes_nothing_away() -> None:
    counted = Counted()
    counted.seen(NOW)
    counted.add(NOW, 50)
    assert counted.seen(NOW) == 50
    counted.rows.clear()
    assert counted.seen(NOW) == 50
    counted.add(NOW + 1, 5)
    assert counted.seen(NOW + 1) == 55


def test_a_clock_that_is_set_back_or_forth_makes_no_leap() -> None:
    counted = Counted()
    counted.seen(NOW)
    counted.add(NOW, 10)
    assert counted.seen(NOW) == 10
    back = NOW - 6 * 60
    assert counted.seen(back) == 10
    counted.add(back, 3)
    assert counted.seen(back) == 13
    counted.add(NOW + 1_000_000, 4)
    assert counted.seen(NOW + 1_000_000) == 17
    assert counted.seen(NOW + 1_000_000) == 17


def test_it_knows_the_newest_minute_of_each_and_what_was_lately() -> None:
    counted = Counted()
    for minute, n in ((NOW - 40, 5), (NOW - 10, 2), (NOW, 1), (NOW + 99, 8)):  # the last: of a clock that was ahead
        counted.add(minute, n)
    counted.seen(NOW)
    assert counted.running.last == {"web": NOW}
    assert counted.running.within(NOW - 10) == {"web": 11}
    assert counted.running.within(NOW - 40) == {"web": 16}
