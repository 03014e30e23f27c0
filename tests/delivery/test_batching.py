"""Several events in one request: who travels together, when it leaves, and whom its answer concerns."""

from base64 import b64encode
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from milonga.delivery.batching import Gathering, apart, company
from milonga.delivery.entry import Entry
from milonga.delivery.outgoing import NoAnswer, Reply
from milonga.delivery.rows import Progress
from milonga.destinations.contract import Batching, Json, Signature
from milonga.eventlog.api import Position
from milonga.outcomes.model import State
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import LATENCY, OK, Road, answer, run, states

TEN = replace(paper.BATCHED, batch=Batching(events=10, size=100_000, wait=0.005, join=paper.join))
SILENT = NoAnswer("timeout", "Nothing came.", perhaps=True)


def road_of(folder: Path, loop: FakeTimeLoop, reply: Any = lambda n: OK, **more: Any) -> Road:
    return Road(folder, loop, reply, kind=more.pop("kind", TEN), **more)


def add_users(road: Road, count: int, begin: int = 0) -> None:
    for n in range(begin, begin + count):
        road.add(n, account=f"a{n % 7}", user=f"u{n}")


# Who, and when


def test_on_a_quiet_system_an_event_leaves_at_once_and_alone(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop)
        for n in range(3):
            await road.until(lambda: not road.flying)
            begun = loop.time()
            add_users(road, 1, n)
            await road.until(lambda n=n: n in road.sent_at)  # type: ignore[misc]
            assert road.sent_at[n] - begun < 0.003
            await road.until(lambda n=n: states(road) == [State.delivered] * (n + 1))  # type: ignore[misc]
        assert road.loads == [[0], [1], [2]]
        await road.stop()

    run(tmp_path, live)


def test_a_backlog_leaves_in_full_requests_and_everything_is_delivered_once(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop)
        add_users(road, 100)
        await road.until(lambda: states(road) == [State.delivered] * 100)
        assert sorted(road.sent) == list(range(100))
        assert [len(load) for load in road.loads] == [10] * 10
        await road.stop()

    run(tmp_path, live)


def test_what_becomes_ready_while_others_are_under_way_is_gathered_for_a_few_milliseconds(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop)
        road.latency = 1.0
        add_users(road, 1)
        await road.until(lambda: road.flying == 1)
        add_users(road, 3, 1)
        begun = loop.time()
        await road.until(lambda: len(road.sent) == 4)
        assert [sorted(load) for load in road.loads] == [[0], [1, 2, 3]]
        assert 0.004 < road.sent_at[1] - begun < 0.02
        await road.until(lambda: states(road) == [State.delivered] * 4)
        await road.stop()

    run(tmp_path, live)


def test_an_answer_ends_the_gathering() -> None:
    gathering = Gathering(Batching(events=10, size=1, wait=5.0, join=paper.join))
    assert not gathering.goes_on(3, 0, now=0.0), "nothing is under way"
    assert gathering.goes_on(3, 1, now=1.0)
    assert gathering.until == 6.0
    assert gathering.goes_on(4, 1, now=2.0)
    assert gathering.until == 6.0, "counted from the first"
    assert not gathering.goes_on(4, 0, now=3.0)
    assert not gathering.goes_on(10, 1, now=4.0), "full"
    assert gathering.goes_on(1, 1, now=5.0)
    assert not gathering.goes_on(1, 1, now=10.0), "long enough"
    assert not gathering.goes_on(0, 1, now=11.0), "nobody to wait for"


def test_events_of_one_line_are_never_in_the_same_request(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop)
        for n in range(30):
            road.add(n, user=f"u{n % 3}")
        await road.until(lambda: states(road) == [State.delivered] * 30)
        assert all(len({n % 3 for n in load}) == len(load) for load in road.loads)
        assert max(map(len, road.loads)) == 3
        for user in range(3):
            assert [n for n in road.sent if n % 3 == user] == list(range(user, 30, 3))
        await road.stop()

    run(tmp_path, live)


def test_a_request_holds_no_more_bytes_than_it_may(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, kind=paper.BATCHED)  # four events, 250 bytes
        for n in range(12):
            road.add(n * 10**40, account=f"a{n}", user=f"u{n}")
        await road.until(lambda: states(road) == [State.delivered] * 12)
        assert {len(load) for load in road.loads} == {3}
        await road.stop()

    run(tmp_path, live)


def test_limits_count_requests(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, delivery=DeliverySettings(concurrency=2))
        add_users(road, 100)
        most = 0

        def all_delivered() -> bool:
            nonlocal most
            most = max(most, road.flying)
            return states(road) == [State.delivered] * 100

        await road.until(all_delivered)
        assert most == 2
        assert len(road.loads) <= 12
        await road.stop()

    run(tmp_path, live)


def test_only_requests_to_the_same_address_travel_together(tmp_path: Path) -> None:
    def translate(event: Any, settings: Any) -> Any:
        (request,) = paper.translate(event, settings)  # type: ignore[misc]
        assert isinstance(request.body, Json)
        return [replace(request, url=f"https://{event.received['n'] // 5}.example/")]

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, kind=replace(TEN, translate=translate))
        for n in range(10):
            road.add(n, account=f"a{n}", user="u")
        await road.until(lambda: states(road) == [State.delivered] * 10)
        assert [sorted(load) for load in road.loads] == [list(range(5)), list(range(5, 10))]
        await road.stop()

    run(tmp_path, live)


def test_a_request_that_is_signed_travels_alone(tmp_path: Path) -> None:
    signature = Signature("m", ("whsec_" + b64encode(bytes(24)).decode(),))

    def translate(event: Any, settings: Any) -> Any:
        (request,) = paper.translate(event, settings)  # type: ignore[misc]
        return [request if event.received["n"] % 3 else replace(request, sign=signature)]

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, kind=replace(TEN, translate=translate))
        add_users(road, 12)
        await road.until(lambda: states(road) == [State.delivered] * 12)
        assert all(len(load) == 1 for load in road.loads if any(n % 3 == 0 for n in load))
        assert any(len(load) > 1 for load in road.loads)
        await road.stop()

    run(tmp_path, live)


# What comes back


def test_one_bad_event_is_found_and_all_around_it_are_delivered(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, lambda n: answer(413) if n == 4 else OK)
        add_users(road, 10)
        await road.until(lambda: None not in states(road))
        assert states(road) == [State.dead if n == 4 else State.delivered for n in range(10)]
        assert len(road.loads) == 11, "all at once, then one by one"
        assert len(road.delivered) == 9, "nobody twice"
        dead = road.outcome(5)
        assert dead is not None
        assert (dead.code, dead.attempts) == ("http_413", 1)
        tries = road.outcomes.attempts(Position(0, 5), 7)
        assert [(tried.code, tried.batch) for tried in tries] == [("http_413", 10), ("http_413", 1)]
        innocent = road.outcomes.attempts(Position(0, 6), 7)
        assert [(tried.code, tried.batch) for tried in innocent] == [("http_413", 10), ("", 1)]
        assert road.config.state is DestinationState.on
        await road.stop()

    run(tmp_path, live)


def test_a_refusal_of_one_event_is_no_reason_to_pause_and_one_of_all_is(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, lambda n: answer(403) if n == 4 else OK)
        add_users(road, 10)
        await road.until(lambda: None not in states(road))
        assert states(road) == [State.dead if n == 4 else State.delivered for n in range(10)]
        assert road.config.state is DestinationState.on
        road.answer = lambda n: answer(401)
        add_users(road, 30, 10)
        await road.until(lambda: road.config.state is DestinationState.paused)
        assert road.reader.dead_letters(7) == [road.reader.dead(7, Position(0, 5))]
        await road.stop()

    run(tmp_path, live)


def test_what_fails_for_the_moment_waits_and_goes_together_again(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        replies: list[Reply] = [answer(503)] * 10
        road = road_of(folder, loop, lambda n: replies.pop() if replies else OK)
        add_users(road, 10)
        await road.until(lambda: states(road) == [State.delivered] * 10)
        assert [len(load) for load in road.loads] == [10, 10]
        assert {outcome.attempts for outcome in road.durable.values()} == {2}
        await road.stop()

    run(tmp_path, live)


def test_an_event_that_makes_the_receiver_fall_over_holds_up_its_company_only_for_a_while(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, lambda n: answer(500) if n == 4 else OK)
        add_users(road, 10)
        await road.until(lambda: states(road).count(State.delivered) == 9)
        assert road.outcome(5) is None, "it is still tried"
        assert max(loop.time() - at for at in road.sent_at.values()) < 60
        await road.stop()

    run(tmp_path, live)


def test_after_a_timeout_each_goes_alone(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        hung: list[int] = []

        def reply(n: int) -> Reply:
            if n == 4 and len(hung) < 3:
                hung.append(n)
                return SILENT
            return OK

        road = road_of(folder, loop, reply)
        add_users(road, 10)
        await road.until(lambda: states(road) == [State.delivered] * 10)
        assert [len(load) for load in road.loads] == [10, *[1] * 12]
        assert {outcome.perhaps for outcome in road.durable.values()} == {1, 3}
        await road.stop()

    run(tmp_path, live)


def test_stopping_waits_for_the_events_of_a_batch_and_hands_the_rest_back(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, delivery=DeliverySettings(concurrency=1))
        add_users(road, 30)
        await road.until(lambda: road.flying == 1)
        await road.stop(grace=5.0)
        assert states(road).count(State.delivered) == len(road.sent) == 10

    run(tmp_path, live)


def test_while_a_destination_is_paused_nothing_of_a_gathered_batch_goes_out(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = road_of(folder, loop, delivery=DeliverySettings(concurrency=1))
        add_users(road, 30)
        await road.until(lambda: road.flying == 1)
        road.change(DestinationState.paused)
        await road.until(lambda: loop.time() > 10 * LATENCY and not road.flying)
        assert len(road.loads) == 1
        road.change(DestinationState.on)
        await road.until(lambda: states(road) == [State.delivered] * 30)
        assert [len(load) for load in road.loads] == [10, 10, 10]
        await road.stop()

    run(tmp_path, live)


def test_company_shrinks_with_every_try_and_after_a_refusal() -> None:
    def of(tried: Progress, refused: int = 0) -> int:
        entry = Entry(Position(0, 1), 0)
        entry.progress, entry.company = tried, refused
        return company(entry, 100)

    assert [of(Progress(attempts=tries)) for tries in range(9)] == [100, 100, 50, 25, 12, 6, 3, 1, 1]
    assert of(Progress(attempts=1, perhaps=1)) == 50
    assert of(Progress(perhaps=1, code="timeout")) == 1
    assert of(Progress(), refused=10) == 10
    assert of(Progress(attempts=4), refused=50) == 12
    assert [apart(batch) for batch in (100, 99, 10, 9, 2)] == [10, 9, 1, 1, 1]
