"""Events without an account, sent under the one that their user's group calls name: when, in which line, how told."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from milonga.delivery.filing import HOW, filed, may_be_filed
from milonga.delivery.named import Named, NoAccount
from milonga.destinations.contract import Requests, Skip
from milonga.eventlog.api import Position
from milonga.outcomes.model import State
from milonga.spec.event import Event
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamp
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.replays import EVER, done, live, replay
from tests.delivery.road import OK, Road, answer, run, states
from tests.delivery.test_replaying_newer import SETTING, Forms

UNNAMED = replace(EVER, code="missing_group_id", find_accounts=True)


def translate(event: Event, settings: paper.Settings) -> Requests | Skip:
    if event.account is None:
        return Skip("missing_group_id", "Send context.groupId.")
    return paper.translate(event, settings)


STRICT = replace(paper.DESTINATION, translate=translate)


def stamps(*said: tuple[int, str, str, str | None]) -> list[tuple[int, Stamp]]:
    """(offset, type, user, account)"""
    return [(n, paper.event(n, account, user, type_=type_).stamp) for n, type_, user, account in said]  # type: ignore[arg-type]


def test_only_an_earlier_group_call_is_a_reason_to_file() -> None:
    named = Named()
    named.note(stamps((5, "group", "ada", "acme"), (6, "track", "bob", "acme"), (7, "track", "ada", None)))
    assert named.of("ada", 6) == "acme"
    assert named.of("ada", 5) is NoAccount.unknown, "not before its own call"
    assert named.of("bob", 9) is NoAccount.unknown, "no group call names bob's"
    assert named.of("cleo", 9) is NoAccount.unknown
    named.note(stamps((3, "group", "ada", "acme"), (9, "group", "ada", "acme")))
    assert named.of("ada", 4) == "acme"
    named.close()


@pytest.mark.parametrize("type_", ["group", "track", "identify"])
def test_a_user_of_several_accounts_is_filed_under_none(type_: str) -> None:
    """Be it before or behind, and in whatever call."""
    for offset in (1, 90):
        named = Named()
        named.note(stamps((5, "group", "ada", "acme")))
        named.note(stamps((offset, type_, "ada", "initech")))
        assert named.of("ada", 50) is NoAccount.several
        named.note(stamps((95, "group", "ada", "initech")))
        assert named.of("ada", 50) is NoAccount.several
        named.close()


def test_what_may_be_filed() -> None:
    assert may_be_filed(paper.event(1, None, "ada").stamp)
    assert may_be_filed(paper.event(1, None, "ada", type_="identify").stamp)
    assert not may_be_filed(paper.event(1, "acme", "ada").stamp), "it names its own"
    assert not may_be_filed(paper.event(1, None, None).stamp), "nobody knows whose it is"
    assert not may_be_filed(paper.event(1, None, "ada", type_="group").stamp), "it would change another account"
    arrived = paper.event(1, None, "ada")
    sent = filed(arrived, "acme")
    assert (sent.body, sent.stamp.message_id) == (arrived.body, arrived.stamp.message_id)
    account = read_stamped(sent).account
    assert account is not None
    assert (account.id, account.found) == ("acme", HOW)


def test_events_are_filed_behind_what_their_account_has_waiting(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        road.add(0, "acme", type_="group")
        for n in range(1, 6):
            road.add(n, None)
        road.add(6, None, "bob")
        await road.until(lambda: states(road) == [State.delivered] + [State.skipped] * 6)
        road.answer = lambda n: answer(503) if n == 7 else OK
        road.add(7, "acme")
        await road.until(lambda: road.reader.parked_count(7) == 1)
        road.runner.replaying.begin(replay(wanted=UNNAMED))
        await road.until(lambda: len(road.reader.replays.joined(7)) == 5)
        assert not set(range(1, 6)) & set(road.sent), "the account's line does not move"
        road.answer = lambda n: OK
        await done(road)
        assert road.sent[-6:] == [7, *range(1, 6)]
        assert road.reader.replays.counts(1) == {("delivered", ""): 5, ("left", "missing_group_id"): 1}
        under = road.reader.replays.filed(7, Position(0, 2))
        assert under is not None
        assert (under.account, under.replay) == ("acme", 1)
        assert road.reader.replays.filed(7, Position(0, 7)) is None

    live(tmp_path, story, kind=STRICT)


def test_it_is_filed_once_and_stays_so_over_a_restart(tmp_path: Path) -> None:
    async def with_road(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, kind=STRICT)
        road.add(0, "acme", type_="group")
        road.add(1, None)
        await road.until(lambda: states(road) == [State.delivered, State.skipped])
        road.answer = lambda n: None
        road.runner.replaying.begin(replay(wanted=UNNAMED))
        await road.until(lambda: road.sent[1:] == [1])
        await road.stop()
        again = Road(folder, loop, log=road.log, kind=STRICT)
        await done(again)
        assert again.sent == [1]
        newest = again.outcomes.of(Position(0, 2))[0]
        assert (newest.state, newest.replay) == (State.delivered, 1)
        again.runner.replaying.begin(replay(2, wanted=UNNAMED))
        await done(again, 2)
        assert again.sent == [1], "it is delivered by now"
        await again.stop()

    run(tmp_path, with_road)


def test_what_was_filed_is_not_overwritten_by_what_came_before_it(tmp_path: Path) -> None:
    def only_with_account(event: Event, settings: paper.Settings) -> Requests | Skip:
        return translate(event, settings) if event.account is None else SETTING.translate(event, settings)

    kind = replace(SETTING, translate=only_with_account, overwriting=frozenset({"identify"}))

    async def with_road(folder: Path, loop: FakeTimeLoop) -> None:
        Forms.said = []
        road = Forms(folder, loop, kind=kind)
        road.add(0, "acme", type_="group")
        road.add(1, "acme", type_="identify", sets={"a.plan": "free"})
        road.add(2, None, type_="identify", sets={"a.plan": "paid"})
        await road.until(lambda: states(road) == [State.delivered, State.delivered, State.skipped])
        road.runner.replaying.begin(replay(wanted=UNNAMED))
        await done(road)
        road.runner.replaying.begin(replay(2))
        await done(road, 2)
        assert [said["a.plan"] for said in road.said if "a.plan" in said] == ["free", "paid"]
        counts = {("delivered", ""): 1, ("left", "superseded"): 1, ("left", "missing_group_id"): 1}
        assert road.reader.replays.counts(2) == counts
        await road.stop()

    run(tmp_path, with_road)


def test_nobody_is_filed_unasked(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        road.add(0, "acme", type_="group")
        road.add(1, None)
        await road.until(lambda: states(road) == [State.delivered, State.skipped])
        road.runner.replaying.begin(replay(wanted=replace(EVER, code="missing_group_id")))
        await done(road)
        assert road.sent == [0]

    live(tmp_path, story, kind=STRICT)
