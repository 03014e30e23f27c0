"""What delivery remembers, in a real file."""

from pathlib import Path

import apsw
import msgspec
import pytest

from milonga.delivery.rows import ASIDE, NEVER, DeadLetter, Health, Parked, Progress
from milonga.delivery.store import DeliveryStore, NewerStore
from milonga.delivery.store_reader import OLDEST, DeliveryReader
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position
from tests.delivery import paper

A: Key = ("acme",)
AU: Key = ("acme", "ada")
ODD: Key = ("half \ud83d", "å", 'quote"')


def parked(offset: int, *keys: Key, received_at: int = 0, resent: bool = False) -> Parked:
    return Parked(
        position=Position(0, offset), parked_at=5, received_at=received_at, keys=keys or (A,), resent=resent, event=None
    )


@pytest.fixture
def store(tmp_path: Path) -> DeliveryStore:
    return DeliveryStore(tmp_path / "delivery.db")


@pytest.fixture
def reader(store: DeliveryStore, tmp_path: Path) -> DeliveryReader:
    return DeliveryReader(tmp_path / "delivery.db")


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "delivery.db"
    progress = Progress(
        attempts=2, perhaps=1, next_at=5, not_before=4, code="c", reason="r", parts=frozenset({"a", "b"})
    )
    letter = DeadLetter(
        destination=7,
        position=Position(0, 3),
        died_at=9,
        code="http_400",
        reason="no \ud83d",
        parts=frozenset({"a"}),
        event=paper.event(3),
    )
    store = DeliveryStore(path)
    with store.transaction():
        store.set_position(7, 0, 12)
        store.set_progress(7, Position(0, 2), progress)
        store.park(7, parked(4, A, ODD))
        store.add_dead(letter)
    store.close()
    DeliveryStore(path).close()
    reader = DeliveryReader(path)
    assert reader.position(7, 0) == 12
    assert reader.position(7, 1) is None
    assert reader.watermarks(0) == [12]
    assert reader.progress(7, Position(0, 2)) == progress
    assert reader.progress_after(7, 0, 1) == {2: progress}
    assert reader.parked(7, Position(0, 4)) == parked(4, A, ODD)
    assert dict(reader.parked_sizes(7)) == {A: 1, ODD: 1}
    found = reader.dead(7, Position(0, 3))
    assert found is not None
    assert found.reason == "no \N{REPLACEMENT CHARACTER}"
    assert (found.parts, found.event) == (letter.parts, letter.event)
    assert reader.dead_after(7, 0, 2) == [found]
    assert reader.dead_after(7, 0, 3) == []
    reader.close()


def test_a_line_keeps_the_order_of_joining_whatever_the_offsets(store: DeliveryStore, reader: DeliveryReader) -> None:
    with store.transaction():
        for offset in (5, 9, 3):
            store.park(7, parked(offset, A, AU) if offset == 9 else parked(offset))
    assert [one.position.offset for one in reader.line(7, A, 10)] == [5, 9, 3]
    assert reader.head(7, AU) == Position(0, 9)
    assert reader.parked_after(7, 0, 3) == {5, 9}
    with store.transaction():
        store.unpark(7, Position(0, 5), (A,))
    assert reader.head(7, A) == Position(0, 9)


def test_places_go_on_growing_after_a_restart(tmp_path: Path) -> None:
    for offset in (9, 3):
        store = DeliveryStore(tmp_path / "delivery.db")
        with store.transaction():
            store.park(7, parked(offset))
        store.close()
    assert [one.position.offset for one in DeliveryReader(tmp_path / "delivery.db").line(7, A, 10)] == [9, 3]


def test_an_empty_line_is_looked_after_by_nobody(store: DeliveryStore, reader: DeliveryReader) -> None:
    with store.transaction():
        store.park(7, parked(5, A, AU))
        store.park(7, parked(6))
        store.look_again(7, A, 100)
        store.look_again(7, AU, 50)
    assert reader.due_lines(7, 99, 10) == [AU]
    assert reader.next_due(7) == 50
    with store.transaction():
        store.unpark(7, Position(0, 5), (A, AU))
        store.look_again(7, AU, 60)
    assert reader.due_lines(7, 1000, 10) == [A]
    with store.transaction():
        store.unpark(7, Position(0, 6), (A,))
    assert reader.next_due(7) is None
    assert list(store.transaction().execute("SELECT * FROM parked_due")) == []


def test_lines_put_aside_are_found_by_their_account_alone(store: DeliveryStore, reader: DeliveryReader) -> None:
    mine: list[Key] = [("acme",), ("acme", "ada"), ("acme", "å"), ("acme", "half \ud83d")]
    others: list[Key] = [
        ("acme 2",),
        ("acm", "e"),
        ("å", "ada"),
        ("å", "half \ud83d"),
        ('quote"', "x"),
        ("half \ud83d",),
    ]
    with store.transaction():
        for n, key in enumerate([*mine, *others]):
            store.park(7, parked(n, key))
            store.look_again(7, key, ASIDE)
        store.park(7, parked(99, ("acme", "bo")))
        store.look_again(7, ("acme", "bo"), 5)
    assert set(reader.lines_aside(7, "acme", 10)) == set(mine)
    assert set(reader.lines_aside(7, "å", 10)) == {("å", "ada"), ("å", "half \ud83d")}
    assert reader.lines_aside(7, 'quote"', 10) == [('quote"', "x")]
    assert reader.lines_aside(7, "half \ud83d", 10) == [("half \ud83d",)]
    assert len(reader.lines_aside(7, "acme", 2)) == 2
    assert len(reader.lines_aside(7, None, 100)) == len(mine) + len(others)
    assert (reader.due_lines(7, 10, 10), reader.next_due(7)) == ([("acme", "bo")], 5)
    with store.transaction():
        store.hurry(7, 10)
    assert reader.lines_aside(7, None, 100) == []
    assert len(reader.due_lines(7, 10, 100)) == len(mine) + len(others) + 1


def test_a_destination_that_is_back_hurries_what_waits_but_not_before_the_receiver_allows(
    store: DeliveryStore, reader: DeliveryReader
) -> None:
    with store.transaction():
        store.park(7, parked(5, A))
        store.park(7, parked(6, AU))
        store.look_again(7, A, 900)
        store.look_again(7, AU, NEVER)
        store.set_progress(7, Position(0, 5), Progress(next_at=900, not_before=300))
        store.hurry(7, 10)
    found = reader.progress(7, Position(0, 5))
    assert found is not None
    assert found.next_at == 300
    assert reader.due_lines(7, 10, 10) == [A], "a line that is in memory is left alone"
    with store.transaction():
        store.look_at_all(7, 20)
    assert set(reader.due_lines(7, 20, 10)) == {A, AU}


def test_parked_events_are_listed_by_age_page_by_page(store: DeliveryStore, reader: DeliveryReader) -> None:
    with store.transaction():
        for offset in range(1, 8):
            store.park(7, parked(offset, received_at=100 - offset // 2, resent=offset == 3))
    pages, after = list[list[int]](), OLDEST
    while found := reader.parked_by_age(7, after, 100, 3):
        pages.append([aged.position.offset for aged in found])
        after = found[-1].age
    assert pages == [[6, 7, 4], [5, 2, 3]], "the first arrived at 100, which is not before 100"
    assert [aged.resent for aged in found or reader.parked_by_age(7, OLDEST, 100, 10)].count(True) == 1


def test_only_events_that_were_about_to_end_are_looked_at_after_a_crash(
    store: DeliveryStore, reader: DeliveryReader
) -> None:
    with store.transaction():
        store.park(7, parked(1))
        store.park(7, parked(2))
        store.mark_ending(7, Position(0, 2))
    assert [one.position.offset for one in reader.parked_ending(7)] == [2]


def test_progress_that_no_event_needs_any_more_is_dropped_at_the_start(
    store: DeliveryStore, reader: DeliveryReader
) -> None:
    with store.transaction():
        store.park(7, parked(2))
        for offset in (1, 2, 3):
            store.set_progress(7, Position(0, offset), Progress())
        store.drop_old_progress(7, 0, 2)
    assert set(reader.progress_after(7, 0, 0)) == {2, 3}


def test_a_removed_destination_leaves_nothing_and_the_others_everything(
    store: DeliveryStore, reader: DeliveryReader
) -> None:
    with store.transaction():
        for number in (7, 8):
            store.set_position(number, 0, 5)
            store.park(number, parked(2))
            store.set_progress(number, Position(0, 2), Progress())
            store.set_health(number, Health(at=1))
        store.forget(7)
    assert reader.position(7, 0) is None
    assert (reader.parked_count(7), reader.parked_count(8)) == (0, 1)
    assert reader.progress(8, Position(0, 2)) is not None
    assert (reader.health(7), reader.health(8)) == (None, Health(at=1))


def test_a_file_from_before_there_was_health_gets_its_table(tmp_path: Path) -> None:
    path = tmp_path / "delivery.db"
    DeliveryStore(path).close()
    db = apsw.Connection(str(path))
    db.execute("DROP TABLE health")
    db.close()
    store = DeliveryStore(path)
    health = Health(
        at=9,
        breaker="open",
        breaker_until=12,
        last_delivered_at=3,
        last_failure_at=4,
        last_failure_code="http_503",
        last_failure_reason="no \ud83d",
        waiting=5,
        oldest_waiting_at=2,
    )
    with store.transaction():
        store.set_health(7, health)
    found = DeliveryReader(path).health(7)
    assert found == msgspec.structs.replace(health, last_failure_reason="no \N{REPLACEMENT CHARACTER}")


def test_a_transaction_that_fails_leaves_everything_as_it_was(store: DeliveryStore, reader: DeliveryReader) -> None:
    def half_done() -> None:
        with store.transaction():
            store.set_position(7, 0, 5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_done()
    assert reader.position(7, 0) is None


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "delivery.db"
    DeliveryStore(path).close()
    db = apsw.Connection(str(path))
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(NewerStore, match="another version"):
        DeliveryStore(path)


def test_only_the_owner_can_read_the_file(store: DeliveryStore, tmp_path: Path) -> None:
    assert (tmp_path / "delivery.db").stat().st_mode & 0o077 == 0
