"""What the collector answers, and that it answers 200 only for what is kept."""

import asyncio
import gzip
import zlib
from collections import Counter
from typing import Any

import msgspec
import pytest

from milonga.collector.answers import not_ready
from milonga.collector.stamp import MOST_DISCARDS
from milonga.spec.limits import MAX_BATCH, MAX_REQUEST
from tests.collector.parts import KEY, Answered, Bench, track


def test_a_batch_keeps_the_good_and_counts_the_bad() -> None:
    bench = Bench()
    answer = bench.post(
        "/v1/batch", {"batch": [track(), {"type": "track", "userId": "u"}, None, track(messageId="m2")]}
    )
    assert (answer.status, answer.body) == (200, b'{"success": true}')
    assert [event.message_id for event in bench.events] == ["m1", "m2"]
    assert bench.codes == ["event_not_defined", "not_an_object"]
    assert "`$.batch[1].event`" in bench.ledger.discards[0].reason
    assert bench.ledger.discards[0].source == 1
    assert sorted(bench.noticed) == [("accepted", 2), ("discarded", 2)]


@pytest.mark.parametrize("body", [{"batch": []}, {}, {"batch": None}, b'{"batch":[ , , ]}'])
def test_an_empty_batch_is_counted_and_answered_with_success(body: Any) -> None:
    bench = Bench()
    assert bench.post("/v1/batch", body).status == 200
    assert bench.codes == ["empty_batch"]


def test_a_discarded_single_event_is_answered_with_success() -> None:
    bench = Bench()
    assert bench.post("/v1/identify", {"traits": {}}).status == 200
    assert bench.codes == ["no_user_anon_id"]


def test_every_event_beyond_the_limit_is_counted() -> None:
    bench = Bench()
    events = [track(messageId=None)] * (MAX_BATCH + 3)
    assert bench.post("/v1/batch", {"batch": events}).status == 200
    assert len(bench.log.events) == MAX_BATCH
    assert bench.codes == ["batch_too_long"] * 3
    assert bench.collector.counts["discarded"] == 3


def test_a_flood_of_what_is_no_event_is_counted_in_few_discards() -> None:
    bench = Bench()
    first = [1] * 50 + [{"type": "track", "userId": "u"}] * 51
    number = MAX_REQUEST // 2 - 1000
    body = b'{"batch":[' + msgspec.json.encode(first)[1:-1] + b",1" * number + b"]}"
    assert bench.post("/v1/batch", body).status == 200
    counts = Counter(bench.codes)
    assert counts == {
        "not_an_object": 50 + MAX_BATCH - len(first),
        "event_not_defined": 51,
        "batch_too_long": number - (MAX_BATCH - len(first)),
    }
    assert bench.collector.counts["discarded"] == counts.total()
    assert len(bench.ledger.discards) == MOST_DISCARDS + 1
    places = [f"`$.batch[{number}]`" for number in range(50)]
    assert [one.reason.split(" at ")[1] for one in bench.ledger.discards[:50]] == places


def test_duplicates_are_answered_with_success_and_counted() -> None:
    bench = Bench()
    assert bench.post("/v1/track", track()).status == 200
    assert bench.post("/v1/batch", {"batch": [track(), track(messageId="m2"), track(messageId="m2")]}).status == 200
    assert [event.message_id for event in bench.events] == ["m1", "m2"]
    assert bench.collector.counts["duplicate"] == 2
    assert bench.collector.counts["accepted"] == 2


@pytest.mark.parametrize("body", [b"", b"hello", b"{", b"5", b"null"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    for path in ("/v1/batch", "/v1/track"):
        answer = Bench().post(path, body)
        assert (answer.status, answer.code) == (400, "invalid_json")


def assert_json_error(answer: Any, status: int, code: str) -> None:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.json.keys() == {"success", "error", "code", "message"}
    assert answer.json["success"] is False
    assert answer.code == code


def test_a_full_log_or_ledger_is_503_with_retry_after() -> None:
    both: dict[str, Any] = {"batch": [track(), {"type": "nope"}]}
    for full_log, full_ledger, body in (
        (True, False, {"batch": [track()]}),
        (True, False, both),
        (False, True, both),
        (False, True, {"batch": []}),
    ):
        bench = Bench()
        bench.log.full, bench.ledger.full = full_log, full_ledger
        answer = bench.post("/v1/batch", body)
        assert_json_error(answer, 503, "log_full")
        assert 0 < int(answer.headers["retry-after"]) <= 300
        assert bench.collector.counts["log_full"] == 1


def test_during_the_start_every_key_is_503_and_never_401() -> None:
    bench = Bench(source_of=lambda _: None)
    bench.ready = False
    assert_json_error(bench.post("/v1/track", track()), 503, "not_ready")
    ready = asyncio.run(bench.ask("GET", "/readyz"))
    assert (ready.status, ready.json["code"], ready.json["disk"]) == (503, "not_ready", "fine")
    assert asyncio.run(bench.ask("GET", "/healthz")).status == 200
    bench.ready = True
    assert asyncio.run(bench.ask("GET", "/readyz")).json == {"status": "ready", "disk": "fine"}


def test_readyz_says_of_a_full_disk_that_it_is_full() -> None:
    assert b"The disk is too full" in not_ready("high_water").body
    assert b"The disk is too full" not in not_ready("low").body


def test_a_fault_of_ours_is_503_and_its_log_line_quotes_no_body(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.log.broken = True
    for body in ({"batch": [track()]}, {"batch": [track(), None]}):
        assert_json_error(bench.post("/v1/batch", body), 503, "trouble")
    said = capsys.readouterr()
    assert (said.out + said.err).count("request_failed") == 2
    assert (said.out + said.err).count("RuntimeError") == 2
    assert "secret" not in said.out + said.err
    assert bench.collector.counts["trouble"] == 2


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_told_which_to_use(method: str) -> None:
    answer = asyncio.run(Bench().ask(method, "/v1/track"))
    assert_json_error(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST, OPTIONS"


def test_posting_to_a_health_page_is_refused() -> None:
    assert_json_error(Bench().post("/healthz", {}), 405, "method_not_allowed")


# Bodies

BATCH = msgspec.json.encode({"batch": [track()]})
PACKED = gzip.compress(BATCH, mtime=0)  # the same in every process: it is part of the names of tests


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", PACKED),
        ("GZIP", PACKED),
        ("x-gzip", PACKED),
        ("gzip", gzip.compress(BATCH[:10], mtime=0) + gzip.compress(BATCH[10:], mtime=0)),
        ("gzip", PACKED + b"\0\0\0"),
        ("deflate", zlib.compress(BATCH)),
        ("identity", BATCH),
        ("", BATCH),
    ],
)
def test_packed_bodies_are_unpacked(encoding: str, body: bytes) -> None:
    bench = Bench()
    assert bench.post("/v1/batch", body, headers={"content-encoding": encoding}).status == 200
    assert len(bench.events) == 1
    assert bench.collector.room.held == 0


@pytest.mark.parametrize("body", [BATCH, PACKED[:-5], PACKED[:30] + b"xxxx", b"", b"\x1f\x8b"])
def test_broken_gzip_is_refused_in_json(body: bytes) -> None:
    assert_json_error(Bench().post("/v1/batch", body, headers={"content-encoding": "gzip"}), 400, "invalid_gzip")


def test_an_encoding_nobody_sends_is_refused() -> None:
    assert_json_error(Bench().post("/v1/b", BATCH, headers={"content-encoding": "br"}), 415, "unsupported_encoding")


def test_a_bomb_of_gzip_is_refused_without_being_unpacked() -> None:
    bomb = gzip.compress(b" " * (MAX_REQUEST + 1))
    assert len(bomb) < 10_000
    for body in (bomb, gzip.compress(b" " * MAX_REQUEST) + gzip.compress(b" " * 10)):
        answer = Bench().post("/v1/b", body, headers={"content-encoding": "gzip"})
        assert_json_error(answer, 400, "body_too_large")
    just = gzip.compress(BATCH + b" " * (MAX_REQUEST - len(BATCH)))
    assert Bench().post("/v1/b", just, headers={"content-encoding": "gzip"}).status == 200


def test_a_body_too_large_is_refused_by_its_announced_size_alone() -> None:
    async def never() -> Any:
        raise AssertionError

    answer = asyncio.run(Bench().ask("POST", "/v1/b", headers={"content-length": str(MAX_REQUEST + 1)}, receive=never))
    assert_json_error(answer, 400, "body_too_large")


@pytest.mark.parametrize(
    "type_", ["application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense", None]
)
def test_the_content_type_does_not_matter(type_: str | None) -> None:
    bench = Bench()
    headers = {} if type_ is None else {"content-type": type_}
    assert bench.post("/v1/b", BATCH, headers=headers).status == 200
    assert len(bench.events) == 1


def chunks(*parts: bytes) -> Any:
    waiting = list(parts)

    async def receive() -> Any:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    return receive


def test_a_body_in_chunks_is_put_together() -> None:
    bench = Bench()
    parts = [bytes([byte]) for byte in BATCH]
    answer = asyncio.run(bench.ask("POST", "/v1/b", receive=chunks(b"", *parts)))
    assert answer.status == 200
    assert len(bench.events) == 1
    assert bench.collector.room.held == 0


def test_a_body_in_chunks_is_refused_once_it_is_too_large() -> None:
    bench = Bench()
    parts = [b" " * 1024 * 1024] * 100
    assert_json_error(asyncio.run(bench.ask("POST", "/v1/b", receive=chunks(*parts))), 400, "body_too_large")
    assert bench.collector.room.held == 0


def test_a_body_that_does_not_end_is_given_up() -> None:
    first = chunks(b"{", b"")

    async def receive() -> Any:
        message = await first()
        if message["body"] == b"":
            await asyncio.Event().wait()
        return message

    bench = Bench(body_timeout=0.01)
    assert_json_error(asyncio.run(bench.ask("POST", "/v1/b", receive=receive)), 503, "slow_body")
    assert bench.collector.room.held == 0


def test_a_client_that_goes_away_leaves_nothing_behind() -> None:
    bench = Bench()
    waiting: list[Any] = [
        {"type": "http.request", "body": BATCH, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return waiting.pop(0)

    with pytest.raises(ValueError, match="not enough values"):  # no answer was sent
        asyncio.run(bench.ask("POST", "/v1/b", receive=receive))
    assert bench.events == []
    assert bench.collector.room.held == 0


def test_beyond_the_bytes_that_fit_at_once_the_answer_is_503() -> None:
    async def scenario() -> None:
        bench = Bench(max_held=3 * len(BATCH))
        bench.log.held = asyncio.Event()
        first = [asyncio.create_task(bench.ask("POST", "/v1/b", BATCH)) for _ in range(3)]
        await bench.log.appending.acquire()
        await bench.log.appending.acquire()
        await bench.log.appending.acquire()
        assert_json_error(await bench.ask("POST", "/v1/b", BATCH), 503, "busy")
        bench.log.held.set()
        assert [(await answer).status for answer in first] == [200] * 3
        assert bench.collector.room.held == 0
        assert (await bench.ask("POST", "/v1/b", BATCH)).status == 200

    asyncio.run(scenario())


def test_strangers_leave_half_of_the_room_to_those_whose_header_names_a_key() -> None:
    async def scenario() -> None:
        bench = Bench(max_held=4 * len(BATCH))

        async def ask(key: str | None) -> Answered:
            return await bench.ask("POST", "/v1/b", BATCH, key=key)

        bench.log.held = asyncio.Event()
        known = asyncio.create_task(ask("second"))
        await bench.log.appending.acquire()
        bench.collector.room.take(len(BATCH), lambda: False)  # a stranger's, slow to arrive
        for key in (None, "unknown"):
            assert_json_error(await ask(key), 503, "busy")
        packed = {"content-encoding": "gzip"}
        assert_json_error(await bench.ask("POST", "/v1/b", gzip.compress(BATCH), key=None, headers=packed), 503, "busy")
        assert bench.collector.room.held == 2 * len(BATCH)
        others = [asyncio.create_task(ask("second")) for _ in range(2)]
        for _ in others:
            await bench.log.appending.acquire()
        assert_json_error(await ask("second"), 503, "busy")
        bench.log.held.set()
        assert [(await answer).status for answer in (known, *others)] == [200] * 3
        bench.collector.room.give_back(len(BATCH))
        assert bench.collector.room.held == 0

    asyncio.run(scenario())


def test_what_gzip_unpacks_to_counts_too() -> None:
    packed = gzip.compress(BATCH + b" " * 10_000)
    bench = Bench(max_held=5_000)
    assert_json_error(bench.post("/v1/b", packed, headers={"content-encoding": "gzip"}), 503, "busy")
    assert bench.collector.room.held == 0


def test_a_large_broken_body_is_mended_too() -> None:
    bench = Bench()
    padding = b" " * 100_000
    answer = bench.post("/v1/b", b'{"batch":[' + padding + b"," + msgspec.json.encode(track()) + b"]} junk")
    assert answer.status == 200
    assert len(bench.events) == 1
    assert bench.codes == ["malformed_json"]


def test_strangers_cannot_take_all_the_time_there_is_for_large_broken_bodies() -> None:
    async def scenario() -> None:
        bench = Bench()
        broken = b'{"writeKey":"%b","batch":[%b,{}]} junk' % (KEY.encode(), b" " * 100_000)
        asked = [bench.ask("POST", "/v1/b", broken, key=key) for key in (None, None, None, KEY)]
        assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 200, 503, 200]
        assert (await bench.ask("POST", "/v1/b", broken, key=None)).status == 200

    asyncio.run(scenario())


def test_requests_reach_the_log_in_the_order_in_which_they_were_resolved() -> None:
    async def scenario() -> None:
        resolved: list[str] = []

        def new_id() -> str:
            resolved.append(f"id-{len(resolved)}")
            return resolved[-1]

        bench = Bench(new_id=new_id)
        good, bad = track(messageId=None), {"type": "nope"}
        bodies = [{"batch": [good, bad]} if number % 2 else {"batch": [good]} for number in range(20)]
        await asyncio.gather(*(bench.ask("POST", "/v1/b", body) for body in bodies))
        assert [stamped.stamp.message_id for stamped in bench.log.events] == resolved

    asyncio.run(scenario())
