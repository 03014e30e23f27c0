"""Dead letters that somebody edits: what is taken for an event, and how it goes out."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from milonga.delivery.editing import Edited, NotValid, edited, pretty
from milonga.delivery.filing import filed
from milonga.delivery.rows import DeadLetter
from milonga.eventlog.api import Position
from milonga.outcomes.model import State
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamped
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run, states

HEAD = {"type": "track", "event": "Paid", "userId": "ada"}


def original(**said: Any) -> Stamped:
    return paper.event(1, received_at=1_750_000_000_000, **said)


def text(**said: Any) -> str:
    return msgspec.json.encode(HEAD | said).decode()


def test_what_a_replay_filed_under_an_account_stays_there_while_its_text_names_none() -> None:
    sent = filed(original(account=None), "acme")
    assert edited(sent, text(event="Paid twice")).stamp.account == "acme"
    assert edited(sent, text(context={"groupId": "umbrella"})).stamp.account == "umbrella"
    assert edited(sent, text(userId="bob")).stamp.account is None, "that is another one's account"
    assert edited(original(account=None), text()).stamp.account is None


def test_what_the_text_says_goes_out_in_place_of_what_arrived() -> None:
    before = original()
    after = edited(before, text(userId=42, context={"group_id": "umbrella"}, timestamp="2025-06-15T15:00:00Z"))
    assert after.stamp == replace(
        before.stamp,
        user_id="42",
        account="umbrella",
        timestamp=1_749_999_600_000,
        original_timestamp="2025-06-15T15:00:00Z",
    )
    event = read_stamped(after)
    assert event.user_id == "42"
    assert event.account is not None
    assert event.account.id == "umbrella"
    assert (event.message_id, event.received_at) == (before.stamp.message_id, before.stamp.received_at)


def test_a_call_may_become_another_one_and_without_a_type_stays_what_it_was() -> None:
    group = edited(original(), text(type="group", groupId="acme", traits={"plan": "pro"}))
    assert (group.stamp.type, group.stamp.account, group.stamp.account_found) == ("group", "acme", "groupId")
    assert edited(original(), '{"event": "Paid", "anonymousId": "a-1"}').stamp.type == "track"


def test_what_its_batch_says_for_all_still_counts() -> None:
    before = original()
    before = replace(before, stamp=replace(before.stamp, batch_context=msgspec.Raw(b'{"groupId":"of_the_batch"}')))
    assert edited(before, text()).stamp.account == "of_the_batch"
    assert edited(before, text(context={"groupId": "own"})).stamp.account == "own"


def test_a_text_made_readable_is_no_larger_than_what_arrived() -> None:
    deep = {"a": {"b": {"c": list(range(6_000))}}}
    before = original(properties=deep)
    readable = pretty(before.body)
    assert len(readable) > 32 * 1024
    assert edited(before, readable).body == before.body
    assert pretty(b'{"not": ') == '{"not": '


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{"type": "track",\n "event": "Paid" "userId": "ada"}', "Expected JSON: Expecting ',' delimiter, line 2, col"),
        ("", "Expected JSON: Expecting value, line 1, column 1"),
        ("[1, 2]", "Expected an object, got list - at `$`"),
        ('{"type": "tracking", "userId": "ada"}', "Expected one of alias, group, identify, page, screen, track, got"),
        ('{"type": "track", "userId": "ada"}', "`$.event`"),
        ('{"type": "track", "event": "Paid"}', "userId"),
        ('{"type": "group", "userId": "ada"}', "`$.groupId`"),
        (text(messageId="another"), "Expected its own id, m1: it stays the same event - at `$.messageId`"),
        (text(properties={"a": "x" * 33_000}), "Expected at most 32768 bytes"),
        ("[" * 100_000, "Expected"),
        ('{"a":' * 200 + "1" + "}" * 200, "levels"),
        (text() + text(), "Expected JSON: Extra data, line 1"),
        ('{"type": "track", "event": "\ud800", "userId": "ada"}', "half a character"),
    ],
    ids=range(13),
)
def test_a_text_that_is_no_event_is_refused_with_the_place(said: str, words: str) -> None:
    with pytest.raises(NotValid) as refused:
        edited(original(), said)
    assert words in str(refused.value)


def refuse_mended(road: Road) -> None:
    """The receiver takes the n-th event once its number is above 100."""
    road.answer = lambda n: OK if n > 100 else answer(400)


def mended(letter: DeadLetter, road: Road, **said: Any) -> tuple[DeadLetter, Edited]:
    body = msgspec.json.decode(letter.event.body) | said
    event = edited(letter.event, msgspec.json.encode(body).decode())
    return replace(letter, event=event), Edited(at=road.now(), by="user:ada", event=event)


def test_an_edited_letter_goes_to_the_end_of_the_lines_that_it_now_belongs_to(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400) if n == 0 else OK)
        road.add(0, "acme", "ada")
        await road.until(lambda: states(road) == [State.dead])
        road.latency = 5.0
        for n in range(1, 4):
            road.add(n, "umbrella", "bob")
        await road.until(lambda: road.flying == 1)
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        said = {"n": 200, "userId": "bob", "context": {"groupId": "umbrella"}}
        assert road.runner.resend(*mended(letter, road, **said))
        await asyncio.sleep(0.01)
        parked = road.reader.parked(7, Position(0, 1))
        assert parked is not None
        assert (parked.keys, parked.resent) == ((("umbrella", "bob"),), True)
        await road.until(lambda: states(road) == [State.delivered] * 4)
        assert road.sent == [0, 1, 2, 3, 200]
        kept = road.reader.edited.of(7, Position(0, 1))
        assert kept is not None
        assert (kept.by, kept.event.stamp.account) == ("user:ada", "umbrella")
        assert road.log.events[0][0].event == paper.event(  # type: ignore[union-attr]
            0, received_at=letter.event.stamp.received_at
        ), "what arrived stays as it was"
        await road.stop()

    run(tmp_path, live)


def test_an_edited_letter_that_is_refused_is_a_dead_letter_as_it_was_edited(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400))
        road.add(0)
        await road.until(lambda: states(road) == [State.dead])
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        road.runner.resend(*mended(letter, road, n=5))
        await road.until(lambda: road.sent == [0, 5])
        await road.until(lambda: road.reader.dead_count(7) == 1)
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        assert msgspec.json.decode(letter.event.body)["n"] == 5
        refuse_mended(road)
        road.runner.resend(*mended(letter, road, n=150))
        await road.until(lambda: states(road) == [State.delivered])
        assert road.sent == [0, 5, 150]
        assert road.config.state.value == "on"
        await road.stop()

    run(tmp_path, live)


def test_an_edited_letter_waits_through_a_restart(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400))
        road.add(0)
        await road.until(lambda: states(road) == [State.dead])
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        road.answer = lambda n: None
        road.runner.resend(*mended(letter, road, n=150))
        await road.until(lambda: road.sent == [0, 150])
        await road.stop(grace=0.1)
        again = Road(folder, loop, log=road.log)
        await again.until(lambda: again.sent == [150])
        await again.until(lambda: again.reader.parked_count(7) == 0)
        assert again.reader.edited.of(7, Position(0, 1)) is not None
        await again.stop()

    run(tmp_path, live)
