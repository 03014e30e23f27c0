"""Replays of what ended in a certain way, or was chosen: nothing that was delivered goes out again."""

import contextlib
from pathlib import Path

from msgspec.structs import replace

from milonga.delivery.replay_rows import ReplayState
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.destinations.contract import Requests, Skip
from milonga.eventlog.api import Position
from milonga.outcomes.model import State
from milonga.spec.event import Event
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.replays import EVER, done, live, replay
from tests.delivery.road import OK, Road, answer, run, states

ODD_SKIPPED = replace(EVER, code="told_to_skip")


def translate(event: Event, settings: paper.Settings) -> Requests | Skip:
    """What says `skip` is skipped by the first settings alone."""
    mended = settings.word != "first"
    return paper.translate(replace(event, received={**event.received, "skip": False}) if mended else event, settings)


MENDABLE = replace(paper.DESTINATION, translate=translate)


def mend(road: Road) -> None:
    road.config = replace(road.config, settings_version=2, settings=paper.Settings("second"))
    road.runner.update(road.config)


def test_what_was_skipped_for_a_reason_is_sent_once_it_is_mended_and_nothing_else(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(60):
            road.add(n, account=f"a{n % 5}", skip=n % 3 == 1)
        await road.until(lambda: None not in states(road))
        before = len(road.sent)
        mend(road)
        road.runner.replaying.begin(replay(wanted=ODD_SKIPPED))
        await done(road)
        odd = [n for n in range(60) if n % 3 == 1]
        assert sorted(road.sent[before:]) == odd
        for account in range(5):
            mine = [n for n in road.sent[before:] if n % 5 == account]
            assert mine == sorted(mine), "in the order of the log"
        assert road.reader.replays.counts(1) == {("delivered", ""): len(odd)}
        again, first = road.outcomes.of(Position(0, 2))
        assert (again.state, again.replay, first.state, first.code) == (
            *(State.delivered, 1),
            *(State.skipped, "told_to_skip"),
        )
        road.runner.replaying.begin(replay(2, wanted=ODD_SKIPPED))
        await done(road, 2)
        assert road.reader.replays.counts(2) == {}, "they are delivered by now"

    live(tmp_path, story, kind=MENDABLE)


def test_where_nothing_is_mended_nothing_is_sent_and_it_is_counted(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(6):
            road.add(n, skip=n < 2)
        await road.until(lambda: None not in states(road))
        road.runner.replaying.begin(replay(wanted=ODD_SKIPPED))
        await done(road)
        assert road.reader.replays.counts(1) == {("left", "told_to_skip"): 2}
        assert len(road.sent) == 4
        assert len(road.outcomes.of(Position(0, 1))) == 1

    live(tmp_path, story, kind=MENDABLE)


def test_chosen_events_are_sent_alone(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(20):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 20)
        chosen = replace(EVER, positions=(Position(0, 17), Position(0, 3)))
        road.runner.replaying.begin(replay(wanted=chosen))
        await done(road)
        assert road.sent[20:] == [2, 16]

    live(tmp_path, story, kind=MENDABLE)


def test_a_dead_letter_that_was_resent_meanwhile_is_not_sent_twice(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        road.answer = lambda n: answer(400) if n < 2 else OK
        for n in range(3):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.dead, State.dead, State.delivered])
        road.answer = lambda n: OK
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        assert road.runner.resend(letter)
        await road.until(lambda: states(road)[0] is State.delivered)
        road.runner.replaying.begin(replay(wanted=replace(EVER, code="http_400")))
        await done(road)
        assert road.sent.count(0) == 2
        assert road.sent.count(1) == 2
        assert road.reader.dead_count(7) == 0

    live(tmp_path, story, kind=MENDABLE)


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    async def with_road(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, kind=MENDABLE)
        for n in range(40):
            road.add(n, account=f"a{n}", skip=n % 2 == 0)
        await road.until(lambda: None not in states(road))
        mend(road)
        before = len(road.sent)
        road.runner.replaying.begin(replay(wanted=ODD_SKIPPED, rate=5.0))
        await road.until(lambda: len(road.sent) >= before + 8)
        await road.stop()
        first = road.sent[before:]
        again = Road(folder, loop, log=road.log, config=road.config, kind=MENDABLE)
        await done(again)
        assert sorted(first + again.sent) == [n for n in range(40) if n % 2 == 0]
        await again.stop()

    run(tmp_path, with_road)


def test_a_replay_for_a_user_who_is_deleted_ends_and_does_not_name_them(tmp_path: Path) -> None:
    with contextlib.closing(DeliveryStore(tmp_path / "delivery.db")) as store, store.transaction():
        store.replays.begin(replay(1, wanted=replace(EVER, user="ada")))
        store.replays.begin(replay(2, wanted=replace(EVER, user="bob")))
        store.replays.forget_users({"ada"}, 5)
    with contextlib.closing(DeliveryReader(tmp_path / "delivery.db")) as reader:
        ada, bob = reader.replays.one(1), reader.replays.one(2)
    assert ada is not None
    assert bob is not None
    assert (ada.state, ada.wanted.user, ada.ended_at) == (ReplayState.stopped, "***", 5)
    assert (bob.state, bob.wanted.user) == (ReplayState.running, "bob")
