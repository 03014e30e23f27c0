"""A source's settings in force: switched off, a rate limit, new accounts an hour."""

from typing import Any

import pytest

from milonga.collector.rates import BURST, Rates
from milonga.eventlog.api import Discard
from milonga.identity.new_accounts import NewAccounts
from tests.clocks import Still
from tests.collector.parts import BASIC, EVENT, KEY, Bench, Front, send, track


@pytest.fixture(params=["asgi", "own"])
def front(request: pytest.FixtureRequest) -> Front:
    kind: Front = request.param
    return kind


def events(count: int, **more: Any) -> dict[str, Any]:
    return {"batch": [track(messageId=None, **more)] * count}


# Switched off


def test_what_comes_for_a_source_that_is_off_is_counted_and_not_kept(front: Front) -> None:
    bench = Bench()
    bench.set(enabled=False)
    with bench.listening(front) as server:
        answer = send(server, "POST", "/v1/t", EVENT, {"Authorization": BASIC})
        assert (answer.status, answer.body) == (200, b'{"success": true}')
    bench.post("/v1/b", {"batch": [track(messageId="m2"), track(messageId="m3"), {"type": "nope"}]})
    assert bench.events == []
    assert bench.codes == ["source_disabled"] * 4
    assert [discard.count for discard in bench.ledger.discards] == [1, 3]
    assert b"Paid" in bench.ledger.discards[1].excerpt
    assert bench.collector.counts["discarded"] == 4
    bench.set(enabled=True)
    assert bench.post("/v1/t", track()).status == 200
    assert len(bench.events) == 1


def test_a_source_that_is_off_refuses_what_cannot_be_counted() -> None:
    bench = Bench()
    bench.set(enabled=False)
    assert bench.post("/v1/t", b"{").status == 400
    bench.ledger.full = True
    assert bench.post("/v1/t", track()).code == "log_full"


# Rate limit


def test_beyond_the_limit_senders_are_asked_to_wait(front: Front) -> None:
    clock = Still(1000.0)
    bench = Bench(monotonic=clock)
    bench.set(rate_limit=2)
    with bench.listening(front) as server:

        def post(origin: dict[str, str] | None = None) -> Any:
            return send(server, "POST", "/v1/t", EVENT, {"Authorization": BASIC, **(origin or {})})

        for _ in range(2 * BURST):
            assert post().status == 200
        refused = post({"Origin": "https://www.example.com"})
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert refused.json.keys() == {"success", "error", "code", "message"}
        assert refused.headers["retry-after"] == refused.headers["x-ratelimit-reset"] == "1"
        assert "retry-after" in refused.headers["access-control-expose-headers"].lower()
        clock.at += 0.5
        assert post().status == 200
        assert post().status == 429
    assert bench.collector.counts["rate_limited"] == 2
    assert bench.ledger.discards == []


def test_the_wait_that_is_asked_for_is_long_enough_and_in_whole_seconds() -> None:
    clock = Still(1000.0)
    bench = Bench(monotonic=clock)
    bench.set(rate_limit=3)
    bench.post("/v1/b", events(30))
    refused = bench.post("/v1/b", events(10))
    wait = int(refused.headers["retry-after"])
    assert wait == 4
    clock.at += wait
    assert bench.post("/v1/b", events(10)).status == 200


def test_a_batch_larger_than_the_limit_passes_when_nothing_came_for_a_while() -> None:
    clock = Still(1000.0)
    bench = Bench(monotonic=clock)
    bench.set(rate_limit=1)
    assert bench.post("/v1/b", events(500)).status == 200
    refused = bench.post("/v1/b", events(500))
    assert (refused.status, refused.headers["retry-after"]) == (429, str(BURST))
    clock.at += BURST
    assert bench.post("/v1/b", events(500)).status == 200
    assert len(bench.events) == 1000


def test_sources_have_limits_of_their_own_and_a_change_holds_at_once() -> None:
    bench = Bench(monotonic=Still(1000.0))
    bench.set(rate_limit=1)
    assert bench.post("/v1/b", events(10)).status == 200
    assert bench.post("/v1/t", track()).status == 429
    assert bench.post("/v1/t", track(), key="second").status == 200
    bench.set(rate_limit=0)
    assert bench.post("/v1/t", track()).status == 200


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    clock = Still(1000.0)
    rates = Rates(clock)
    assert rates.take(1, 5, 1) == 0
    clock.at += 1e6
    assert rates.take(1, 5, 50) == 0
    assert rates.take(1, 5, 1) == pytest.approx(0.2)
    assert rates.take(1, 1, 1) == pytest.approx(1.0)


# New accounts


def named(accounts: list[str], first: int = 0) -> dict[str, Any]:
    return {
        "batch": [
            track(messageId=f"m{first + place}", context={"groupId": account}) for place, account in enumerate(accounts)
        ]
    }


def seeded(*stored: str) -> NewAccounts:
    accounts = NewAccounts(accounts_per_filter=1000)
    accounts.know(accounts.filter_of(stored))
    return accounts


def test_too_many_new_accounts_are_told_once_an_hour(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Still(1000.0)
    bench = Bench(monotonic=clock, accounts=seeded("old"))
    bench.set(new_accounts_alarm=3)
    bench.post("/v1/b", named(["a", "b", "a", "old"]))
    assert "new_accounts" not in "".join(capsys.readouterr())
    bench.post("/v1/b", named(["c", "d", "e"], 10))
    said = "".join(capsys.readouterr())
    assert said.count("new_accounts") == 1
    assert "source-1" in said
    clock.at += 3601
    bench.post("/v1/b", named(["f", "g", "h", "i"], 20))
    assert "".join(capsys.readouterr()).count("new_accounts") == 1
    assert len(bench.events) == 11
    assert bench.collector.counts["new_account"] == 9


def test_beyond_the_cap_only_events_of_further_accounts_are_refused() -> None:
    clock = Still(1000.0)
    bench = Bench(monotonic=clock, accounts=seeded("old"))
    bench.set(new_accounts_alarm=0, new_accounts_cap=2)
    body = named(["a", "b", "c", "a", "old", "c"])
    body["batch"].append(track(messageId="none"))
    body["batch"].append({"type": "nope"})
    assert bench.post("/v1/b", body).status == 200
    kept = [event.account.id if event.account else None for event in bench.events]
    assert kept == ["a", "b", "a", "old", None]
    assert sorted(bench.codes) == ["invalid_type", "too_many_new_accounts", "too_many_new_accounts"]
    refused: list[Discard] = [one for one in bench.ledger.discards if one.code == "too_many_new_accounts"]
    assert "'c'" in refused[0].reason
    assert "`$.context.groupId`" in refused[0].reason
    assert b'"c"' in refused[0].excerpt
    clock.at += 3601
    assert bench.post("/v1/b", named(["c"], 10)).status == 200
    assert len(bench.events) == 6


def test_one_event_alone_is_refused_with_success() -> None:
    bench = Bench(accounts=seeded())
    bench.set(new_accounts_cap=1)
    for number, account in enumerate(("a", "b")):
        answer = bench.post("/v1/group", {"groupId": account, "userId": "u", "messageId": str(number)})
        assert (answer.status, answer.body) == (200, b'{"success": true}')
    assert len(bench.events) == 1
    assert bench.codes == ["too_many_new_accounts"]
    assert "`$.groupId`" in bench.ledger.discards[0].reason


def test_as_long_as_the_stored_accounts_are_not_known_none_is_new() -> None:
    accounts = NewAccounts(accounts_per_filter=1000)
    bench = Bench(accounts=accounts)
    bench.set(new_accounts_cap=1)
    bench.post("/v1/b", named(["a", "b", "c"]))
    accounts.know(accounts.filter_of(["d"]))
    bench.post("/v1/b", named(["a", "b", "c", "d", "e", "f"], 10))
    assert len(bench.events) == 8
    assert bench.codes == ["too_many_new_accounts"]


def test_what_is_new_to_one_source_is_counted_for_it_alone() -> None:
    bench = Bench(accounts=seeded())
    for key in (KEY, "second"):
        bench.set(key, new_accounts_cap=1)
        assert bench.post("/v1/b", named(["a", "b"], len(key)), key=key).status == 200
    assert len(bench.events) == 2
    assert bench.codes == ["too_many_new_accounts"] * 2
