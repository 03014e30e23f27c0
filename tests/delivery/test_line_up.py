from milonga.delivery.entry import Entry, Stage
from milonga.delivery.line_up import LineUp
from milonga.delivery.rows import Progress
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position
from tests.delivery import paper


def entry(n: int, *keys: Key, loaded: bool = False, ready: bool = True) -> Entry:
    made = Entry(Position(0, n), 0, keys or ((f"account-{n}",),))
    made.loaded = loaded
    if ready:
        made.hold(paper.event(n))
    return made


def taken(line_up: LineUp) -> list[int]:
    found = []
    while (one := line_up.turns.take()) is not None:
        one.stage = Stage.flying
        found.append(one.position.offset)
    return found


def test_those_behind_another_wait_until_it_leaves() -> None:
    line_up = LineUp(64)
    first, second = entry(1, ("a",)), entry(2, ("a",), ("b",))
    line_up.add(first)
    line_up.add(second)
    assert taken(line_up) == [1]
    line_up.remove(first)
    assert taken(line_up) == [2]


def test_accounts_take_turns_whether_their_events_are_fresh_or_come_from_disk() -> None:
    line_up = LineUp(64)
    for n in range(1, 5):
        line_up.add(entry(n, ("hot", f"u{n}"), loaded=True))
    line_up.add(entry(5))
    line_up.add(entry(6))
    assert taken(line_up) == [1, 5, 6, 2, 3, 4]


def test_one_that_is_still_being_read_is_ready_once_its_bytes_are_here() -> None:
    line_up = LineUp(64)
    one = entry(1, ready=False)
    line_up.add(one)
    assert one.stage is Stage.loading
    assert taken(line_up) == []
    one.hold(paper.event(1))
    line_up.loaded(one)
    assert line_up.bytes == one.size > 0
    assert taken(line_up) == [1]
    line_up.remove(one)
    assert line_up.bytes == 0


def test_a_delayed_one_keeps_its_lanes_and_is_ready_when_its_time_comes() -> None:
    line_up = LineUp(64)
    first = entry(1, ("a",))
    line_up.add(first)
    line_up.add(entry(2, ("a",)))
    assert taken(line_up) == [1]
    line_up.delay(first, 50.0)
    assert line_up.next_wake() == 50.0
    line_up.wake(49.9)
    assert taken(line_up) == []
    line_up.wake(50.0)
    assert taken(line_up) == [1]


def test_in_a_hurry_nobody_waits_longer_than_the_receiver_asked() -> None:
    line_up = LineUp(64)
    for n in (1, 2):
        one = entry(n)
        line_up.add(one)
        taken(line_up)
        one.progress = Progress(not_before=60_000 if n == 1 else 0)
        line_up.delay(one, 300.0)
    line_up.hurry()
    line_up.wake(10.0)
    assert taken(line_up) == [2]
    line_up.wake(60.0)
    assert taken(line_up) == [1]


def test_an_account_is_counted_over_all_its_lanes() -> None:
    line_up = LineUp(64)
    mine = [entry(n, ("acme", f"u{n % 2}")) for n in range(1, 5)]
    for one in [*mine, entry(9, ("other",))]:
        line_up.add(one)
    assert line_up.of_owner("acme") == 4
    assert line_up.keys_of_owner(mine[0]) == {("acme", "u0"), ("acme", "u1")}
    line_up.remove(mine[1])
    assert line_up.of_owner("acme") == 3


def test_a_probe_waits_for_the_receiver_alone() -> None:
    line_up = LineUp(64)
    for n in (1, 2):
        one = entry(n)
        line_up.add(one)
        taken(line_up)
        one.progress = Progress(next_at=10**9, not_before=60_000 if n == 1 else 0)
        assert one.progress.due_at == 10**9
        line_up.delay(one, 200.0 + n)
    found = line_up.any_to_try(10.0)
    assert found is not None
    assert found.position.offset == 2
    found.stage = Stage.flying
    assert line_up.any_to_try(10.0) is None
    found = line_up.any_to_try(60.0)
    assert found is not None
    assert found.position.offset == 1


def test_the_oldest_can_be_asked_before_its_own_time_but_not_before_the_receivers() -> None:
    line_up = LineUp(64)
    for n in (1, 2, 3):
        one = entry(n)
        line_up.add(one)
        taken(line_up)
        one.progress = Progress(not_before=60_000 if n == 1 else 0)
        line_up.delay(one, 300.0)
    found = line_up.take_oldest(10.0)
    assert found is not None
    assert found.position.offset == 2
    found = line_up.take_oldest(60.0)
    assert found is not None
    assert found.position.offset == 1
