"""The figures are what the files say, read beside their writers."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from milonga.delivery.rows import DeadLetter, Health
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.api import Discard, Position, Refusal
from milonga.eventlog.counters import ACCEPTED
from milonga.eventlog.lookup import AFTER_ALL, EventLookup
from milonga.eventlog.sqlite import SqliteLog
from milonga.metrics.figures import Collected, DeliveryFigures, DestinationFigures, Figures
from milonga.metrics.reading import COUNT_AGAIN, Reading
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.writer import OutcomeWriter
from milonga.workspace.keys import DAY
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.collector.test_tls import make
from tests.delivery import paper

NOW = 1_750_000_020.0  #: unix seconds, in the middle of a minute


class Place:
    """A data directory with one source and one webhook, a log, and a clock that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.now = NOW
        self.workspace = Workspace.open(self.data, now=lambda: self.ms)
        self.source = self.workspace.sources.add("web", "key").id
        self.place = self.workspace.add_destination("webhook", "web", "hook", {}, DestinationState.on, {0: 0}).id
        self.outcomes = OutcomeWriter(self.data / "outcomes", lambda: self.now)
        self.certificate: Path | None = None
        self.log: SqliteLog
        self.reading: Reading

    @property
    def ms(self) -> int:
        return int(self.now * 1000)

    def run(self, what: Callable[[], Awaitable[None]]) -> None:
        async def with_log() -> None:
            self.log = await SqliteLog.open(self.data / "log", clock=lambda: self.ms)
            self.reading = Reading(self.data, self.data / "log", self.certificate, lambda: self.now)
            try:
                await what()
            finally:
                self.reading.close()
                await self.log.close()

        try:
            asyncio.run(with_log())
        finally:
            self.outcomes.close()
            self.workspace.close()

    def accepted(self) -> int:
        return sum(one.n for one in EventLookup(self.data / "log").counts(0, AFTER_ALL) if one.name == ACCEPTED)

    async def take(self, *numbers: int) -> None:
        """Accept so many events, and wait until they are counted: that is within a second or so of real time."""
        before = self.accepted()
        events = [paper.event(n, received_at=self.ms, source=self.source) for n in numbers]
        await self.log.append(events)
        async with asyncio.timeout(60):
            while self.accepted() == before:  # noqa: ASYNC110 - it is another thread that counts
                await asyncio.sleep(0.02)

    def end(self, offset: int, state: State, code: str = "", took: int = 20) -> None:
        self.outcomes.write(
            [
                Outcome(
                    destination=self.place,
                    position=Position(0, offset),
                    state=state,
                    code=code,
                    received_at=self.ms - took,
                    ended_at=self.ms,
                    settings_version=1,
                )
            ]
        )

    async def figures(self) -> Figures:
        return self.reading.figures(Collected(end=await self.log.end(0)))

    async def hook(self) -> DestinationFigures:
        (found,) = (await self.figures()).destinations
        return found

    async def delivery(self) -> DeliveryFigures:
        found = (await self.hook()).delivery
        assert found is not None
        return found

    def store(self, **health: Any) -> DeliveryStore:
        store = DeliveryStore(self.data / "delivery.db")
        with store.transaction():
            store.set_position(self.place, 0, 1)
            store.set_health(self.place, Health(at=self.ms, **health))
        return store


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_counting_begins_with_the_server_and_goes_on_over_hours(place: Place) -> None:
    async def run() -> None:
        await place.take(1, 2)
        place.end(1, State.delivered)
        place.reading.begin()
        assert (await place.figures()).sources[0].accepted == 0
        place.log.refused([Refusal(source=place.source, at=place.ms, code="rate_limited", count=5)])
        await place.take(3)
        place.end(2, State.dead, "http_400")
        place.end(3, State.delivered, took=3_000)
        await place.log.discard(
            [
                Discard(source=place.source, at=place.ms, code="invalid_type", reason="", excerpt=b"", count=4),
                Discard(source=0, at=place.ms, code="unknown_write_key", reason="", excerpt=b""),
            ]
        )
        for hours in (0, 3, 50):
            place.now = NOW + hours * 3600
            now = await place.figures()
            (source,), (hook,) = now.sources, now.destinations
            assert (source.accepted, source.duplicates, source.discarded) == (1, 0, {"invalid_type": 4})
            assert source.refused == {"rate_limited": 5}
            assert (now.nobody.discarded, now.nobody.refused) == ({"unknown_write_key": 1}, {})
            assert {key: n for key, n in hook.outcomes.items() if n} == {
                (State.delivered, ""): 1,
                (State.dead, "http_400"): 1,
            }
            assert sum(hook.took.values()) == 1
        await place.take(4)
        assert (await place.figures()).sources[0].accepted == 2

    place.run(run)


def test_a_source_that_sent_within_a_day_before_the_start_is_known_to_have_sent(place: Place) -> None:
    async def run() -> None:
        await place.take(1)
        sent = place.now // 60 * 60
        place.now += 20 * 3600
        place.reading.started = place.now
        place.reading.begin()
        assert (await place.figures()).sources[0].last_accepted == sent
        await place.take(2)
        assert (await place.figures()).sources[0].last_accepted == place.now // 60 * 60

    place.run(run)


def test_write_keys_that_end_in_use_are_told_in_words(place: Place) -> None:
    async def run() -> None:
        place.reading.begin()
        place.workspace.write_keys.rotate("web", "another-key")
        assert (await place.figures()).sources[0].ending_keys == ()
        place.workspace.write_keys.note_use(["key"], place.ms)
        assert (await place.figures()).sources[0].ending_keys == (), "there are 14 days to change over"
        place.workspace.write_keys.end("web", "key", 2 * DAY)
        (said,) = (await place.figures()).sources[0].ending_keys
        assert said.startswith("… ends in 2 days")
        assert said.endswith("and was used 1 minute ago")
        place.now = NOW + 2 * 86_400
        assert (await place.figures()).sources[0].ending_keys == ()

    place.run(run)


def test_success_is_counted_over_a_quarter_of_an_hour_without_skips_and_what_was_too_late(place: Place) -> None:
    async def run() -> None:
        place.reading.begin()
        for offset, (state, code) in enumerate(
            [
                (State.delivered, ""),
                (State.dead, "http_400"),
                (State.expired, "too_old"),
                (State.expired, "too_late"),
                (State.skipped, "disabled"),
            ]
        ):
            place.end(offset, state, code)
        assert (await place.hook()).lately == (1, 2)
        place.now += 14 * 60
        assert (await place.hook()).lately == (1, 2)
        place.now += 60
        assert (await place.hook()).lately == (0, 0)

    place.run(run)


def test_what_waits_is_known_also_while_delivery_does_not_run(place: Place) -> None:
    async def run() -> None:
        place.reading.begin()
        await place.take(1)
        place.now += 100
        hook = await place.delivery()
        assert (hook.unread, hook.oldest_waiting_at) == (1, NOW), "it never ran"
        await place.take(2)
        store = place.store(waiting=5, breaker="open", last_delivered_at=place.ms)
        hook = await place.delivery()
        assert (hook.waiting, hook.breaker, hook.last_delivered_at) == (5, "open", NOW + 100)
        assert (hook.unread, hook.oldest_waiting_at) == (1, NOW + 100), "the first it has not read"
        with store.transaction():
            store.set_health(place.place, Health(at=place.ms, oldest_waiting_at=place.ms - 7_000))
            store.set_position(place.place, 0, 2)
        hook = await place.delivery()
        assert (hook.unread, hook.oldest_waiting_at) == (0, NOW + 93)
        place.workspace.change_state("hook", DestinationState.off, "cli", "", {0: 2})
        assert (await place.hook()).state == "off"
        assert (await place.delivery()).oldest_waiting_at is None
        store.close()

    place.run(run)


def test_what_the_last_minutes_counted_says_when_nothing_waits_any_more(place: Place) -> None:
    async def run() -> None:
        place.reading.begin()
        store = place.store(waiting=0)
        assert (await place.hook()).drains_in == 0.0
        with store.transaction():
            store.set_health(place.place, Health(at=place.ms, waiting=720))
        assert (await place.hook()).drains_in is None, "nothing has ended"
        await place.take(*range(10))
        for offset in range(1, 31):
            place.end(offset, State.delivered)
        lately = 5 * 60 + NOW % 60
        assert (await place.hook()).drains_in == pytest.approx(720 / (20 / lately))
        place.workspace.set_settings("hook", {"rateLimit": "0.05"})
        assert (await place.hook()).drains_in == pytest.approx(720 / (0.05 - 10 / lately))
        place.workspace.set_settings("hook", {"rateLimit": "0.01"})
        assert (await place.hook()).drains_in is None, "it grows"
        place.now += 3_600
        assert (await place.hook()).drains_in is None
        store.close()

    place.run(run)


def test_dead_letters_are_counted_again_after_a_minute(place: Place) -> None:
    async def run() -> None:
        place.reading.begin()
        store = place.store()

        def bury(offset: int) -> None:
            letter = DeadLetter(
                destination=place.place,
                position=Position(0, offset),
                died_at=place.ms,
                code="http_400",
                reason="",
                parts=frozenset(),
                event=paper.event(offset),
            )
            with store.transaction():
                store.add_dead(letter)

        bury(1)
        assert (await place.delivery()).dead == 1
        bury(2)
        place.now += COUNT_AGAIN - 1
        assert (await place.delivery()).dead == 1
        place.now += 1
        assert (await place.delivery()).dead == 2
        store.close()

    place.run(run)


def test_a_part_that_cannot_be_read_is_told_once_and_leaves_the_rest(place: Place) -> None:
    async def run() -> None:
        place.reading.begin()
        (place.data / "delivery.db").write_bytes(b"no database at all" * 1_000)
        with capture_logs() as logs:
            for _ in range(3):
                now = await place.figures()
        assert now.unreadable == {"delivery"}
        assert now.destinations[0].delivery is None
        assert now.sources[0].name == "web"
        assert [line["part"] for line in logs] == ["delivery"]
        (place.data / "delivery.db").unlink()
        assert (await place.figures()).unreadable == frozenset()

    place.run(run)


def test_the_disk_and_the_certificate_are_looked_at(place: Place, tmp_path: Path) -> None:
    place.certificate, _ = make(tmp_path / "tls")

    async def run() -> None:
        now = await place.figures()
        assert now.disk_free > 0
        assert now.disk_reserve > 0
        assert now.sizes["log"] > 0
        assert now.sizes["workspace"] > 0
        assert now.certificate_ends is not None
        ends = now.certificate_ends
        assert place.certificate is not None
        place.certificate.write_text("being renewed")
        assert (await place.figures()).certificate_ends == ends, "the last known"

    place.run(run)
