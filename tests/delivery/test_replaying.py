"""Replays: past events once more, behind the live ones, each once, over restarts too."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from milonga.delivery.outgoing import Outgoing, Reply
from milonga.delivery.replay_rows import ReplayState
from milonga.delivery.replaying import ON_THEIR_WAY
from milonga.delivery.selection import Selection
from milonga.eventlog.api import Position
from milonga.outcomes.model import Outcome, State
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.replays import EVER, done, live, replay, state
from tests.delivery.road import OK, Road, answer, run, states

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused


def test_every_event_is_sent_once_more_in_order_and_both_stories_are_kept(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(10):
            road.add(n, account=f"a{n % 3}")
        await road.until(lambda: states(road) == [State.delivered] * 10)
        road.runner.replaying.begin(replay())
        await done(road)
        assert sorted(road.sent[10:]) == list(range(10))
        for account in range(3):
            mine = [n for n in road.sent[10:] if n % 3 == account]
            assert mine == sorted(mine)
        for offset in range(1, 11):
            again, first = road.outcomes.of(Position(0, offset))
            assert (again.state, again.replay, first.state, first.replay) == (State.delivered, 1, State.delivered, 0)
        assert road.reader.replays.counts(1) == {("delivered", ""): 10}
        assert road.outcomes.totals() == {(7, State.delivered, ""): 10, (7, State.delivered, "replayed"): 10}
        assert sum(road.outcomes.latencies()[7].counts.values()) == 10
        assert road.reader.replays.joined(7) == {}
        assert road.reader.parked_count(7) == 0

    live(tmp_path, story)


def test_only_what_is_asked_for_is_sent(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(6):
            road.add(n, account=f"a{n % 2}", type_="group" if n == 3 else "track", source=2 if n == 5 else 1)
            await asyncio.sleep(10)
        since = road.now() - 45_000
        await road.until(lambda: states(road)[:5] == [State.delivered] * 5)
        wanted = Selection(source=1, since=since, until=road.now(), account="a1", type="group")
        road.runner.replaying.begin(replay(wanted=wanted))
        await done(road)
        assert road.sent[5:] == [3]

    live(tmp_path, story)


def test_it_is_sent_with_the_settings_of_now(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        words: list[str] = []
        send = road.send

        def watched(out: Outgoing, done_: Callable[[Reply, float], None]) -> None:
            words.append(msgspec.json.decode(out.body)["word"])
            send(out, done_)

        road.send = watched  # type: ignore[method-assign, assignment]
        road.add(0)
        await road.until(lambda: states(road) == [State.delivered])
        road.config = msgspec.structs.replace(road.config, settings_version=2, settings=paper.Settings("second"))
        road.runner.update(road.config)
        road.runner.replaying.begin(replay())
        await done(road)
        assert words == ["first", "second"]
        assert [o.settings_version for o in road.outcomes.of(Position(0, 1))] == [2, 1]

    live(tmp_path, story)


def test_what_came_before_the_destination_was_added_goes_by_replay(tmp_path: Path) -> None:
    async def with_road(folder: Path, loop: FakeTimeLoop) -> None:
        log = paper.ListLog()
        for n in range(3):
            log.add(paper.event(n, received_at=int(loop.clock() * 1000)))
        road = Road(
            folder, loop, log=log, config=paper.config(paper.change(ON, at=int(loop.clock() * 1000), end={0: 3}))
        )
        road.add(3)
        await road.until(lambda: road.outcome(4) is not None)
        road.runner.replaying.begin(replay())
        await done(road)
        assert road.sent == [3, 0, 1, 2, 3]
        await road.stop()

    run(tmp_path, with_road)


def test_a_replay_keeps_its_rate_and_few_on_their_way(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(100):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 100)
        road.answer = lambda n: None
        road.runner.replaying.begin(replay(rate=10.0))
        await asyncio.sleep(8)
        assert road.flying == ON_THEIR_WAY
        assert len(road.sent) == 100 + ON_THEIR_WAY

    live(tmp_path, story)


def test_an_account_that_fails_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(60):
            road.add(n, account="bad" if n < 40 else f"a{n}", user=f"u{n}")
        await road.until(lambda: states(road) == [State.delivered] * 60)
        road.answer = lambda n: answer(503) if n < 40 else OK
        road.runner.replaying.begin(replay())
        await road.until(lambda: set(road.sent[60:]) >= set(range(40, 60)), seconds=600)
        road.answer = lambda n: OK
        await road.until(lambda: state(road) is ReplayState.done, seconds=3_600)
        assert road.reader.replays.counts(1) == {("delivered", ""): 60}

    live(tmp_path, story)


def test_a_replay_of_so_many_a_second_takes_its_time(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(50):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 50)
        began = road.loop.time()
        road.runner.replaying.begin(replay(rate=5.0))
        await done(road)
        assert 9.0 < road.loop.time() - began < 15.0

    live(tmp_path, story)


def test_live_events_go_first(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(20):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 20)
        road.latency = 1.0
        for n in range(20, 60):
            road.add(n, account="busy", user=f"u{n}")
        road.runner.replaying.begin(replay(wanted=msgspec.structs.replace(EVER, account="a3")))
        await done(road)
        assert road.sent[20:].index(3) >= 30, "it joined while live events waited"

    live(tmp_path, story, delivery=DeliverySettings(concurrency=4))


def test_live_events_of_the_same_line_and_a_replay_are_never_in_flight_together(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        flying: set[int] = set()
        worst = 0
        send = road.send

        def watched(out: Outgoing, done_: Callable[[Reply, float], None]) -> None:
            nonlocal worst
            n = msgspec.json.decode(out.body)["n"]
            flying.add(n)
            worst = max(worst, len(flying))

            def landed(reply: Reply, seconds: float) -> None:
                flying.discard(n)
                done_(reply, seconds)

            send(out, landed)

        road.send = watched  # type: ignore[method-assign, assignment]
        for n in range(30):
            road.add(n)
        await road.until(lambda: states(road) == [State.delivered] * 30)
        road.runner.replaying.begin(replay())
        for n in range(30, 130):
            road.add(n)
            await asyncio.sleep(0.06)
        await done(road)
        await road.until(lambda: states(road) == [State.delivered] * 130)
        assert worst == 1
        live_ones = [n for n in road.sent if n >= 30]
        firsts = sorted(set(live_ones), key=live_ones.index)
        assert firsts == list(range(30, 130))

    live(tmp_path, story)


def test_a_dead_letter_is_resent_by_a_replay_without_its_delivered_parts(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        road.answer = lambda n: answer(400) if len(road.sent) == 2 else OK
        road.add(0, parts=3)
        await road.until(lambda: states(road) == [State.dead])
        road.runner.replaying.begin(replay())
        await done(road)
        assert [part for _, part in road.parts] == ["part-0", "part-1", "part-1", "part-2"]
        assert road.reader.dead_count(7) == 0

    live(tmp_path, story)


def test_what_has_not_ended_is_left_alone(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        road.answer = lambda n: answer(503) if n == 1 else OK
        for n in range(3):
            road.add(n, account=f"a{n}")
        await road.until(lambda: road.reader.parked_count(7) == 1)
        road.runner.replaying.begin(replay())
        await done(road)
        assert road.reader.replays.counts(1) == {("delivered", ""): 2, ("left", "waiting"): 1}
        road.answer = lambda n: OK
        await road.until(lambda: states(road) == [State.delivered] * 3, seconds=7_200)

    live(tmp_path, story)


def test_skips_are_counted_and_leave_the_first_story_alone(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        road.add(0, skip=True)
        road.add(1, fail=True)
        await road.until(lambda: states(road) == [State.skipped, State.dead])
        road.runner.replaying.begin(replay())
        await done(road)
        assert road.reader.replays.counts(1) == {("left", "told_to_skip"): 1, ("left", "unreadable"): 1}
        assert [len(road.outcomes.of(Position(0, offset))) for offset in (1, 2)] == [1, 1]

    live(tmp_path, story)


def test_pausing_and_stopping_a_replay(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(40):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 40)
        road.runner.replaying.begin(replay(rate=10.0))
        await road.until(lambda: len(road.sent) >= 45)
        road.runner.replaying.set_state(1, ReplayState.paused, "")
        await asyncio.sleep(2)
        count = len(road.sent)
        await asyncio.sleep(5)
        assert len(road.sent) == count
        road.runner.replaying.set_state(1, ReplayState.running, "")
        await road.until(lambda: len(road.sent) > count)
        road.runner.replaying.set_state(1, ReplayState.stopped, "")
        await asyncio.sleep(2)
        count = len(road.sent)
        assert count < 80
        road.runner.replaying.set_state(1, ReplayState.running, "")
        await asyncio.sleep(5)
        assert (len(road.sent), state(road)) == (count, ReplayState.stopped)

    live(tmp_path, story)


def test_switching_off_stops_it_and_a_pause_only_holds_it(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(40):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 40)
        road.runner.replaying.begin(replay(rate=10.0))
        await road.until(lambda: len(road.sent) >= 45)
        road.change(PAUSED)
        await asyncio.sleep(2)
        count = len(road.sent)
        await asyncio.sleep(5)
        assert (len(road.sent), state(road)) == (count, ReplayState.running)
        road.change(ON)
        await road.until(lambda: len(road.sent) > count)
        road.change(OFF)
        await road.until(lambda: state(road) is ReplayState.stopped)
        await road.until(lambda: road.reader.replays.joined(7) == {})
        counts = road.reader.replays.counts(1)
        assert counts[("delivered", "")] + counts.get(("skipped", "destination_off"), 0) < 40

    live(tmp_path, story)


def test_settings_that_are_refused_pause_the_destination_instead_of_filling_dead_letters(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(20):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 20)
        road.answer = lambda n: answer(401)
        road.runner.replaying.begin(replay())
        await road.until(lambda: road.config.state is PAUSED)
        assert road.reader.dead_count(7) == 0
        road.answer = lambda n: OK
        await road.until(lambda: road.config.state is ON, seconds=200)
        await done(road)
        assert road.reader.replays.counts(1) == {("delivered", ""): 20}

    live(tmp_path, story)


def test_what_left_the_log_meanwhile_is_told(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(30):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 30)
        road.runner.replaying.begin(replay(rate=1.0))
        await road.until(lambda: len(road.sent) >= 33)
        road.change(PAUSED)
        await asyncio.sleep(1)
        assert road.reader.replays.needed(0) == [road.reader.replays.ways(1)[0].after]
        await road.stop()

    async def with_road(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        await story(road)
        log = road.log
        log.trimmed = 20
        again = Road(folder, loop, log=log, config=paper.config(paper.change(ON)))
        await done(again)
        found = again.reader.replays.one(1)
        assert found is not None
        sent_first = again.reader.replays.counts(1)["delivered", ""] - 10
        assert found.gone == 20 - sent_first
        assert again.reader.replays.needed(0) == []
        await again.stop()

    run(tmp_path, with_road)


def test_a_replay_that_cannot_be_carried_out_fails_and_delivery_goes_on(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        road.add(0)
        await road.until(lambda: states(road) == [State.delivered])

        def broken(_: object) -> dict[Position, list[Outcome]]:
            raise OSError("no such disk")

        road.outcomes.of_many = broken  # type: ignore[method-assign, assignment]
        road.runner.replaying.begin(replay())
        await road.until(lambda: state(road) is ReplayState.failed)
        found = road.reader.replays.one(1)
        assert found is not None
        assert found.reason == "OSError: please report this with the log of the server."
        road.add(1)
        await road.until(lambda: states(road) == [State.delivered] * 2)
        assert road.sent == [0, 1]

    live(tmp_path, story)
