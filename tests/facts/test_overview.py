"""How everything stands at one look: figures of the last hour, and what needs somebody, the worst first."""

import asyncio
from collections.abc import Iterable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from milonga.console.rendering import coded
from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE, REFUSED, Count, open_totals, roll
from milonga.eventlog.levels import MB, SAYS, Level, Marks
from milonga.eventlog.room import Disk
from milonga.eventlog.sqlite import SqliteLog
from milonga.facts.facts import open_facts
from milonga.facts.over_time import SPANS, arrivals
from milonga.facts.overview import of_destination, overview
from milonga.outcomes import totals
from milonga.outcomes.latency import bucket_of
from milonga.outcomes.model import State
from milonga.outcomes.words import instant
from milonga.spec.stored import Stamp, Stamped
from milonga.workspace.commands import milliseconds
from milonga.workspace.keys import DAY
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

MINUTE = 60_000
HOUR = 60  #: minutes
SEGMENTS = count(10**9)  #: numbers of segments that there are not: each is rolled up once


@pytest.fixture
def now() -> int:
    return milliseconds()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Workspace.open(tmp_path) as workspace:
        workspace.sources.add("web")
        workspace.add_destination("totango", "web", "totango", {"serviceId": "SP-1-1"}, DestinationState.on, {})
    return tmp_path


def arrived(data: Path, now: int, *rows: tuple[int, str, int], source: int = 1) -> None:
    """(minutes ago, what, how many), of the source; 0: of nobody can tell which."""
    (data / "log").mkdir(exist_ok=True)
    with closing(open_totals(data / "log")) as db:
        roll(db, next(SEGMENTS), [Count(now // MINUTE - ago, source, what, n) for ago, what, n in rows])


def ended(data: Path, now: int, *rows: tuple[State, str, int], took: Iterable[int] = ()) -> None:
    """
    Five minutes ago: (state, code, how many), of the destination.

    took  milliseconds from arrival to delivery, of one event each
    """
    minute = now // MINUTE - 5
    (data / "outcomes").mkdir(exist_ok=True)
    ends = [(minute, 1, int(state), code, n) for state, code, n in rows]
    buckets = [(minute, 1, bucket_of(one), 1) for one in took]
    totals.roll(data / "outcomes", next(SEGMENTS), ends, buckets, now=now / 1000)


def found(data: Path, now: int) -> dict[str, Any]:
    with open_facts(data) as facts:
        return overview(facts, now)


def titles(data: Path, now: int) -> list[str]:
    return [one["title"] for one in found(data, now)["attention"]]


def test_figures_of_the_last_hour_add_up_to_what_its_chart_draws(data: Path, now: int) -> None:
    arrived(data, now, *((ago, ACCEPTED, 2**ago) for ago in (0, 1, 58, 59, 60)))
    (web,) = found(data, now)["sources"]
    with open_facts(data) as facts:
        (accepted, *_) = arrivals(facts, SPANS["1h"], now)["series"]
    assert web["accepted"] == sum(accepted["values"]) == sum(web["spark"]) == 2**0 + 2**1 + 2**58 + 2**59
    assert (web["spark"][0], web["spark"][-1], len(web["spark"])) == (2**59 + 2**58, 3, 30)


def test_a_source_is_told_with_what_it_sent_within_the_hour(data: Path, now: int) -> None:
    arrived(data, now, (5, ACCEPTED, 40), (90, ACCEPTED, 9), (5, DUPLICATE, 3), (5, f"{DISCARDED}no_event", 2))
    (web,) = found(data, now)["sources"]
    assert (web["accepted"], web["duplicates"], web["discarded"]) == (40, 3, 2)


def test_when_a_source_was_last_heard_of_is_told_exactly(data: Path, now: int) -> None:
    stamp = Stamp(
        source=1,
        type="track",
        message_id="m",
        own_message_id=True,
        user_id="ada",
        anonymous_id=None,
        account=None,
        account_found=None,
        received_at=now - 61_234,
        timestamp=now,
    )

    async def append() -> None:
        log = await SqliteLog.open(data / "log")
        await log.append([Stamped(stamp, b"{}")])
        await log.close()

    asyncio.run(append())
    (web,) = found(data, now)["sources"]
    assert web["last"] == instant(now - 61_234)


def test_a_destination_is_told_with_what_became_of_events_and_how_long_that_took(data: Path, now: int) -> None:
    rows = ((State.delivered, "", 100), (State.skipped, "destination_off", 7), (State.expired, "", 1))
    ended(data, now, *rows, took=[10] * 50 + [400] * 50)
    (totango,) = found(data, now)["destinations"]
    hour = totango["hour"]
    assert (hour["delivered"], hour["skipped"], hour["dead"], hour["expired"]) == (100, 7, 0, 1)
    assert hour["p50Ms"] == pytest.approx(10, rel=0.2)
    assert hour["p99Ms"] == pytest.approx(400, rel=0.2)


def test_a_source_that_has_fallen_silent_is_told_with_a_time_that_browsers_show_in_their_zone(
    data: Path, now: int
) -> None:
    arrived(data, now, (3 * HOUR, ACCEPTED, 40))
    one = next(one for one in found(data, now)["attention"] if one["title"] == "web has fallen silent")
    assert '<time datetime="' in coded(one["words"])
    arrived(data, now, (1, ACCEPTED, 1))
    assert "web has fallen silent" not in titles(data, now)


def test_where_no_event_ever_arrived_it_is_said_where_the_first_is_waited_for(data: Path, now: int) -> None:
    (one,) = (one for one in found(data, now)["attention"] if one["title"] == "No event has arrived yet")
    assert one["to"] == "/sources/web/setup"
    with Workspace.open(data) as workspace:
        workspace.sources.add("ios")
    assert [one["to"] for one in found(data, now)["attention"] if "No event" in one["title"]] == ["/sources"]
    arrived(data, now, (5, f"{DISCARDED}no_event", 1))
    assert "No event has arrived yet" not in titles(data, now), "it is told of as discarded"


def test_many_discarded_events_need_somebody_and_few_do_not(data: Path, now: int) -> None:
    arrived(data, now, (5, ACCEPTED, 990), (5, f"{DISCARDED}no_event", 10))
    assert not [title for title in titles(data, now) if "discarded" in title]
    arrived(data, now, (4, f"{DISCARDED}no_event", 90))
    assert "web: 100 of 1,090 events of the last hour were discarded" in titles(data, now)


def test_a_source_whose_requests_are_refused_or_whose_key_ends_in_use_needs_somebody(data: Path, now: int) -> None:
    arrived(data, now, (5, f"{REFUSED}rate_limited", 12))
    with Workspace.open(data) as workspace:
        workspace.write_keys.note_use(workspace.sources.named("web").write_keys, now)
        (key,) = workspace.sources.named("web").write_keys
        workspace.write_keys.rotate("web")
    assert "web: a write key that ends is in use" not in titles(data, now), "there are 14 days to change over"
    with Workspace.open(data) as workspace:
        workspace.write_keys.end("web", key, 2 * DAY)
    expected = {"web: 12 requests of the last hour were refused: rate_limited", "web: a write key that ends is in use"}
    assert expected <= set(titles(data, now))
    with Workspace.open(data) as workspace:
        workspace.sources.set_settings("web", {"enabled": False})
    assert not [title for title in titles(data, now) if title.startswith("web")]


def test_what_was_refused_is_counted_by_its_code_and_one_request_is_one(data: Path, now: int) -> None:
    arrived(data, now, (5, f"{REFUSED}rate_limited", 1))
    arrived(data, now, (5, f"{REFUSED}not_found", 1), (4, f"{REFUSED}unknown_write_key", 3), source=0)
    assert "web: 1 request of the last hour was refused: rate_limited" in titles(data, now)
    with open_facts(data) as facts:
        found = overview(facts, now)
    assert (found["refused"], found["refusedByCode"]) == (4, {"unknown_write_key": 3, "not_found": 1})


def test_requests_with_a_key_of_no_source_need_somebody_unless_they_are_few(data: Path, now: int) -> None:
    arrived(data, now, (5, f"{REFUSED}unknown_write_key", 10), source=0)
    title = "10 requests of the last hour have a write key of no source"
    assert title in titles(data, now)
    arrived(data, now, (5, ACCEPTED, 200))
    assert title not in titles(data, now)


@pytest.mark.parametrize(
    ("level", "tone", "title"),
    [
        (Level.low, "warn", "The disk is nearly full: 600 MB of the disk are free"),
        (Level.high_water, "bad", "There is no room for events: 600 MB of the disk are free"),
        (Level.used_up, "bad", "There is no room for events: 600 MB of the disk are free"),
    ],
)
def test_a_disk_that_fills_needs_somebody(
    level: Level, tone: str, title: str, data: Path, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(
        level=level, free=600 * MB, size=10_000 * MB, log=0, marks=Marks(reserve=512 * MB, low=1024 * MB, last=64 * MB)
    )
    monkeypatch.setattr("milonga.facts.overview.told_of", lambda *_: disk)
    told = {one["title"]: one for one in found(data, now)["attention"]}
    assert (told[title]["tone"], told[title]["words"]) == (tone, SAYS[level])


def test_events_without_an_account_need_somebody_once_they_are_most(data: Path, now: int) -> None:
    ended(data, now, (State.delivered, "", 30), (State.skipped, "missing_group_id", 70))
    assert "totango: 70 of 100 events name no account" in titles(data, now)


def test_what_is_bad_comes_before_what_is_only_odd(data: Path, now: int) -> None:
    arrived(data, now, (3 * HOUR, ACCEPTED, 40))
    ended(data, now, (State.expired, "", 4), (State.skipped, "missing_group_id", 9))
    with Workspace.open(data) as workspace:
        workspace.change_state("totango", DestinationState.paused, "cli", "they move house", {})
    tones = [one["tone"] for one in found(data, now)["attention"]]
    assert tones == sorted(tones)
    assert set(tones) == {"bad", "warn"}


def test_a_destination_that_somebody_paused_comes_before_whatever_else_is_only_odd(data: Path, now: int) -> None:
    arrived(data, now, (5, f"{REFUSED}unknown_write_key", 10), source=0)
    arrived(data, now, (5, f"{DISCARDED}no_event", 90))
    with Workspace.open(data) as workspace:
        workspace.change_state("totango", DestinationState.paused, "cli", "they move house", {})
    odd = [one["title"] for one in found(data, now)["attention"] if one["tone"] == "warn"]
    assert len(odd) == 3
    assert odd[0] == "totango is paused"


def test_a_pause_is_told_with_its_reason_and_whose_it_is(data: Path, now: int) -> None:
    for by, tone in (("cli", "warn"), ("settings", "bad")):
        with Workspace.open(data) as workspace:
            workspace.change_state("totango", DestinationState.on, "cli", "", {})
            workspace.change_state("totango", DestinationState.paused, by, "403 three times", {})
        one = next(one for one in found(data, now)["attention"] if one["title"] == "totango is paused")
        assert (one["tone"], one["words"].split(".")[0]) == (tone, "403 three times")


@pytest.mark.parametrize(
    ("waiting", "said"),
    [(None, "What arrives waits"), (0, "What arrives waits"), (1, "1 event waits"), (1_200, "1,200 events wait")],
)
def test_a_pause_says_that_nothing_is_lost_and_how_many_wait_if_any(
    data: Path, now: int, waiting: int | None, said: str
) -> None:
    with Workspace.open(data) as workspace:
        workspace.change_state("totango", DestinationState.paused, "settings", "403 three times", {})
    (one,) = found(data, now)["destinations"]
    (told,) = of_destination(one | {"waiting": waiting}, now)
    assert told["words"] == f"403 three times. {said}; nothing is lost."


def test_a_destination_that_is_off_needs_nobody(data: Path, now: int) -> None:
    ended(data, now, (State.expired, "", 4))
    with Workspace.open(data) as workspace:
        workspace.change_state("totango", DestinationState.off, "cli", "", {})
    assert not [title for title in titles(data, now) if title.startswith("totango")]
