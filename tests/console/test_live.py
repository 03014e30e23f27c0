"""What a viewer of the live view gets: what it asked for, at most so much of it, and how much more there was."""

import asyncio
from itertools import count

import pytest

from milonga.console import live
from milonga.console.live import BURST, QUEUE, RATE, Row, Viewer, Wish, row_of, row_of_discard
from milonga.eventlog.api import Discard, Position, Stored
from milonga.spec.stored import Stamped
from tests.events import stamp_of

HERE = Position(0, 1)
OFFSETS = count(1)


def event(body: str = '{"type":"track","event":"Paid"}', **stamp: object) -> Row:
    return row_of(Stored(Position(0, next(OFFSETS)), Stamped(stamp_of(**stamp), body.encode())))


def discarded(**fields: object) -> Row:
    usual: dict[str, object] = {"source": 1, "at": 5, "code": "no_user_anon_id", "reason": "why", "excerpt": b"{}"}
    return row_of_discard(Discard(**{**usual, **fields}))  # type: ignore[arg-type]


def some(number: int) -> list[Row]:
    return [event() for _ in range(number)]


# What fits


@pytest.mark.parametrize(
    ("wish", "fits"),
    [
        (Wish(), True),
        (Wish(source=1), True),
        (Wish(source=2), False),
        (Wish(type="track"), True),
        (Wish(type="page"), False),
        (Wish(text="PAI"), True),
        (Wish(text="cme"), True),
        (Wish(text="M-1"), True),
        (Wish(text="nowhere"), False),
        (Wish(text="paid", where="name"), True),
        (Wish(text="ada", where="name"), False),
        (Wish(text="Ada", where="user"), True),
        (Wish(text="acme", where="user"), False),
        (Wish(text="acm", where="account"), True),
        (Wish(text="m-1", where="account"), False),
        (Wish(text="m-1", where="message_id"), True),
        (Wish(text="paid", where="message_id"), False),
        (Wish(source=1, type="track", text="ada", where="user"), True),
        (Wish(source=1, type="page", text="ada"), False),
    ],
)
def test_all_that_is_asked_for_must_fit(wish: Wish, fits: bool) -> None:
    assert wish.fits(event(user_id="ada", account="acme", message_id="m-1")) is fits


def test_who_has_no_user_id_is_found_by_the_anonymous_one() -> None:
    row = event(user_id=None, anonymous_id="anon-7")
    assert (row.user, Wish(text="anon-7", where="user").fits(row)) == ("anon-7", True)


def test_a_discarded_event_fits_its_source_and_is_found_by_its_code() -> None:
    assert Wish(source=1).fits(discarded())
    assert Wish(text="anon").fits(discarded())
    assert not Wish(source=2).fits(discarded())
    assert not Wish(type="track").fits(discarded()), "of what was not taken no type is known"
    assert not Wish(text="acme", where="account").fits(discarded())


@pytest.mark.parametrize(
    ("type_", "body", "name"),
    [
        ("track", '{"event":"Paid","name":"no"}', "Paid"),
        ("page", '{"event":"no","name":"Home"}', "Home"),
        ("screen", '{"name":"Start"}', "Start"),
        ("identify", '{"event":"no"}', None),
        ("track", "{}", None),
        ("track", '{"event":7}', "7"),
        ("track", '{"event":"\\ud800"}', "\ufffd"),
        ("track", "no JSON", None),
        ("page", '{"name":null}', None),
        ("track", "[" * 5_000, None),
    ],
)
def test_the_name_is_what_the_call_is_called_whatever_the_body_is_like(type_: str, body: str, name: str | None) -> None:
    assert event(body, type=type_).name == name


def test_a_name_is_read_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    row = event()
    asked: list[Stamped] = []

    def name(event: Stamped) -> str:
        asked.append(event)
        return "Paid"

    monkeypatch.setattr(live, "name_in", name)
    assert [row.name for _ in range(3)] == ["Paid"] * 3
    assert len(asked) == 1


# How much of it


def test_at_a_high_rate_a_viewer_gets_some_twenty_rows_a_second_the_newest_and_the_number_of_the_others() -> None:
    viewer = Viewer(Wish(), 0.0)
    viewer.offer(some(int(BURST)), 0, HERE, 0.0)
    assert len(viewer.take().rows) == BURST, "after a quiet time there is room for a burst"
    shown = offered = 0
    for tick in range(1, 401):
        rows = some(250)
        viewer.offer(rows, 0, HERE, tick * 0.25)
        taken = viewer.take()
        assert taken.rows == rows[len(rows) - len(taken.rows) :]
        assert len(taken.rows) + taken.shed == 250
        shown += len(taken.rows)
        offered += 250
    assert 0.9 * RATE * 100 <= shown <= RATE * 100


def test_whoever_does_not_take_what_it_gets_holds_no_more_than_so_much() -> None:
    viewer = Viewer(Wish(), 0.0)
    rows = [event() for _ in range(3 * QUEUE)]
    for second, row in enumerate(rows):
        viewer.offer([row], 0, HERE, float(second))
    taken = viewer.take()
    assert taken.rows == rows[-QUEUE:]
    assert taken.shed == 2 * QUEUE
    assert not viewer.take()


def test_what_nobody_looked_at_is_told_apart_from_what_was_too_much() -> None:
    viewer = Viewer(Wish(), 0.0)
    viewer.offer(some(1), 500, Position(0, 501), 0.0)
    viewer.missed(3)
    taken = viewer.take()
    assert (len(taken.rows), taken.shed, taken.passed, taken.position) == (1, 3, 500, Position(0, 501))


def test_who_has_seen_the_log_up_to_somewhere_gets_only_what_is_behind() -> None:
    rows = some(5)
    seen = rows[2].position
    assert seen is not None
    viewer = Viewer(Wish(), 0.0, since=seen.offset)
    viewer.offer([*rows, discarded()], 0, HERE, 0.0)
    assert [row.position for row in viewer.take().rows] == [rows[3].position, rows[4].position, None]


def test_trouble_is_told_until_there_are_events_again() -> None:
    async def run() -> None:
        viewer = Viewer(Wish(), 0.0)
        viewer.tell("the disk is gone")
        assert await viewer.wait(60.0)
        assert viewer.take().trouble == "the disk is gone"
        viewer.tell("the disk is gone")
        viewer.offer(some(1), 0, HERE, 0.0)
        assert viewer.take().trouble == ""

    asyncio.run(run())


@pytest.fixture
def quiet() -> Viewer:
    return Viewer(Wish(), 0.0)


def test_who_waits_is_woken_by_what_fits_and_by_nothing_else(quiet: Viewer) -> None:
    async def run() -> None:
        quiet.offer([], 0, HERE, 0.0)
        assert not await quiet.wait(0.001)
        waiting = asyncio.create_task(quiet.wait(60.0))
        await asyncio.sleep(0)
        quiet.offer(some(1), 0, HERE, 0.0)
        assert await waiting
        assert quiet.take()

    asyncio.run(run())
