"""Dead letters as people look for them, and what they ask of many."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from milonga.delivery import letter_list
from milonga.delivery.letter_list import AT_ONCE, LetterFilter, LetterMark, count_by_code, letters, mark_of
from milonga.delivery.letters import AGAIN, GONE, SUPPRESSED
from milonga.delivery.manager import Delivery
from milonga.delivery.rows import DeadLetter
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.privacy.regulation import Kind
from milonga.workspace.commands import milliseconds
from tests.delivery import paper
from tests.delivery.test_manager import House, event, hook, until


def letter(n: int, destination: int = 7, **more: Any) -> DeadLetter:
    said: dict[str, Any] = {"died_at": n, "code": "http_400", "reason": "No.", "parts": frozenset()} | more
    given = said.pop("event", None) or paper.event(n, f"a{n % 3}", f"u{n % 5}")
    return DeadLetter(destination=destination, position=Position(0, n), event=given, **said)


def filled(folder: Path, kept: list[DeadLetter]) -> DeliveryReader:
    store = DeliveryStore(folder / "delivery.db")
    with store.transaction():
        for one in kept:
            store.add_dead(one)
    store.close()
    return DeliveryReader(folder / "delivery.db")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[DeliveryReader, list[DeadLetter]]:
    """Some died at the same moment."""
    dice = random.Random(3)
    made = [
        letter(n, dice.choice((7, 8)), died_at=n // 3 * 3, code=dice.choice(("http_400", "http_413")))
        for n in dice.sample(range(1, 2_000), 700)
    ]
    return filled(tmp_path_factory.mktemp("delivery"), made), made


WANTED = [
    LetterFilter(),
    LetterFilter(code="http_413"),
    LetterFilter(account="a1"),
    LetterFilter(user="u2", code="http_400", since=300, until=1_500),
    LetterFilter(message_id="m9999"),
    LetterFilter(type="page"),
]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("destination", [None, 7])
@pytest.mark.parametrize("wanted", WANTED, ids=range(len(WANTED)))
def test_pages_have_each_that_fits_once_in_the_order_of_their_death(
    kept: tuple[DeliveryReader, list[DeadLetter]], wanted: LetterFilter, destination: int | None, newest_first: bool
) -> None:
    reader, all_ = kept
    right = [one for one in all_ if destination in (None, one.destination) and wanted.fits(one)]
    right.sort(key=mark_of, reverse=newest_first)
    for limit in (1, 50, 1_000):
        found: list[DeadLetter] = []
        beyond: LetterMark | None = None
        while True:
            page = letters(reader, wanted, destination, beyond=beyond, limit=limit, newest_first=newest_first)
            found += page.letters
            assert not page.stopped
            if page.next is None or (limit == 1 and len(found) > 5):
                break
            beyond = page.next
        assert found == right[: len(found) if limit == 1 else None]


def test_a_page_says_where_it_stopped_and_the_next_goes_on_there(
    kept: tuple[DeliveryReader, list[DeadLetter]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, all_ = kept
    monkeypatch.setattr(letter_list, "LOOKED_AT", AT_ONCE)
    last = min(all_, key=mark_of)
    wanted = LetterFilter(message_id=last.event.stamp.message_id)
    pages, beyond = 0, None
    while True:
        page = letters(reader, wanted, beyond=beyond)
        pages += 1
        if page.next is None:
            break
        assert page.stopped
        assert page.letters == []
        beyond = page.next
    assert page.letters == [last]
    assert pages == len(all_) // AT_ONCE + 1


def test_counts_and_pages_read_an_index(kept: tuple[DeliveryReader, list[DeadLetter]]) -> None:
    reader, all_ = kept
    for destination in (7, 8, 9):
        mine = [one for one in all_ if one.destination == destination]
        by_code = {one.code: [o.died_at for o in mine if o.code == one.code] for one in mine}
        right = {code: (len(died), min(died), max(died)) for code, died in by_code.items()}
        assert count_by_code(reader, destination) == right
    asked: list[str] = []

    def rows(query: str, args: tuple[Any, ...]) -> Any:
        asked.extend(row[3] for row in usual(f"EXPLAIN QUERY PLAN {query}", args))
        return usual(query, args)

    usual: Callable[..., Any] = reader.rows
    reader.rows = rows  # type: ignore[method-assign]
    try:
        beyond = mark_of(all_[5])
        letters(reader, LetterFilter(code="http_400"), 7, beyond=beyond)
        letters(reader, LetterFilter(), 7, beyond=beyond)
        letters(reader, LetterFilter(), beyond=beyond)
        count_by_code(reader, 7)
    finally:
        reader.rows = usual  # type: ignore[method-assign]
    assert len(asked) == 4, asked
    assert ["dead_by_code" in asked[0], "dead_of_destination" in asked[1], "dead_by_age" in asked[2]] == [True] * 3
    assert "COVERING" in asked[3]


def ask(house: House, kind: str, **args: Any) -> Callable[[], Any]:
    command = house.workspace.commands.ask(kind, args)
    return lambda: house.workspace.commands.result(command)


def test_all_that_fit_are_resent_or_discarded_by_one_command(tmp_path: Path) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        died = milliseconds() - 1_000
        made = [
            letter(n, number, died_at=died + n, code="http_413" if n % 10 == 0 else "http_400", event=event(n))
            for n in range(1, 261)
        ]
        reader = filled(house.data, [*made, letter(999, number, died_at=milliseconds() + 600_000, event=event(999))])

        async def story(_: Delivery) -> None:
            answer = ask(house, "resend", destination=number, wanted={"code": "http_413"}, by="user:ada")
            await until(lambda: answer() == {"done": 26})
            await until(lambda: len(receiver.accepted()) == 26)
            answer = ask(house, "discard", destination=number, wanted={}, by="user:ada")
            await until(lambda: answer() == {"done": 234})
            await until(lambda: reader.dead_count(number) == 1)
            assert reader.dead(number, Position(0, 999)) is not None, "it died after it was asked for"

        house.live(story)
        reader.close()


def test_an_edit_is_carried_out_or_refused_in_words(tmp_path: Path) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        died = milliseconds() - 1_000
        reader = filled(house.data, [letter(n, number, died_at=died, event=event(n)) for n in (1, 2)])
        house.workspace.regulations.create(Kind.suppress_only, ["eve"])
        good = msgspec.json.decode(event(1).body) | {"properties": {"mended": True}}

        def edit(said: dict[str, Any], position: tuple[int, int] = (0, 1), at: int = died) -> Callable[[], Any]:
            text = msgspec.json.encode(said).decode()
            wish = {"destination": number, "position": position, "event": text, "died_at": at, "by": "user:ada"}
            return ask(house, "edit", **wish)

        async def story(_: Delivery) -> None:
            answers = [
                (edit(good, position=(0, 77)), GONE),
                (edit(good, at=died - 5), AGAIN),
                (edit(good | {"userId": "eve"}), SUPPRESSED),
                (edit(good | {"type": "nothing"}), "`$.type`"),
            ]
            for answer, words in answers:
                await until(lambda answer=answer: answer() is not None)  # type: ignore[misc]
                assert words in answer()["error"]
            assert reader.dead_count(number) == 2
            answer = edit(good)
            await until(lambda: answer() == {"done": 1})
            await until(lambda: len(receiver.accepted()) == 1)
            assert receiver.accepted()[0].params["properties"] == {"mended": True}
            assert reader.dead_count(number) == 1

        house.live(story)
        reader.close()
