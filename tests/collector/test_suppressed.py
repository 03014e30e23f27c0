"""Of suppressed users nothing is kept, and a source's policy says how much of addresses is."""

import asyncio
import json
from typing import Any

import pytest

from milonga.collector.suppressed import ALL, Suppressed
from milonga.privacy.digest import Digests, digest
from tests.collector.parts import KEY, Bench, track

SALT = b"salt"


def suppress(bench: Bench, source: int, *users: str) -> None:
    digests = Digests(sorted(digest(SALT, user) for user in users))
    bench.collector.suppressed = Suppressed(SALT, {source: digests})


def test_events_of_suppressed_users_are_answered_200_and_counted_without_a_byte() -> None:
    bench = Bench()
    suppress(bench, ALL, "ada", "42")
    ada, number = track(messageId="a", userId="ada"), track(messageId="b", userId=42)
    former = {"type": "alias", "userId": "new", "previousId": "ada", "messageId": "c"}
    assert bench.post("/v1/b", {"batch": [ada, track(messageId="d", userId="bob"), number, former]}).status == 200
    assert [event.message_id for event in bench.events] == ["d"]
    (discard,) = bench.ledger.discards
    assert (discard.code, discard.count, discard.excerpt) == ("user_suppressed", 3, b"")
    assert "ada" not in discard.reason
    assert bench.collector.counts["discarded"] == 3
    assert bench.post("/v1/t", ada).status == 200
    assert bench.post("/v1/t", track(userId=None, anonymousId="ada")).status == 200
    assert [event.anonymous_id for event in bench.events][1:] == ["ada"]


def test_a_user_can_be_suppressed_at_one_source_only() -> None:
    bench = Bench()
    suppress(bench, 2, "ada")
    bench.post("/v1/t", track(userId="ada"))
    assert len(bench.events) == 1
    suppress(bench, 1, "ada")
    bench.post("/v1/t", track(userId="ada", messageId="other"))
    assert len(bench.events) == 1


@pytest.mark.parametrize("setting", [{}, {"enabled": False}])
def test_what_is_discarded_for_another_reason_leaves_no_sample_of_a_suppressed_user(setting: dict[str, Any]) -> None:
    bench = Bench()
    bench.set(**setting)
    suppress(bench, ALL, "ada")
    bench.post("/v1/b", {"batch": [{"type": "track", "userId": "ada", "secret": "Word"}]})
    (discard,) = bench.ledger.discards
    assert discard.code in {"event_not_defined", "source_disabled"}
    assert discard.excerpt == b""
    bench.post("/v1/b", {"batch": [{"type": "track", "userId": "bob", "secret": "Word"}]})
    assert b"Word" in bench.ledger.discards[1].excerpt


def test_nor_does_one_that_is_cut_off_before_it_says_whose_it_is_or_names_the_former_id() -> None:
    bench = Bench()
    late = {"type": "track", "secret": "Word", "properties": {"x": "y" * 40_000}, "userId": "ada"}
    former = {"type": "alias", "secret": "Word", "previousId": "ada"}
    bench.post("/v1/b", {"batch": [late]})
    assert b"Word" in bench.ledger.discards[0].excerpt
    suppress(bench, 2, "ada")
    bench.post("/v1/b", {"batch": [late]})
    assert b"Word" in bench.ledger.discards[1].excerpt, "at another source"
    suppress(bench, 1, "ada")
    bench.post("/v1/b", {"batch": [late, former, {"type": "track", "userId": "bob", "secret": "Word"}]})
    shown = {one.code: b"Word" in one.excerpt for one in bench.ledger.discards[2:]}
    assert shown == {"event_too_large": False, "no_user_anon_id": False, "event_not_defined": True}


def test_nor_does_a_number_that_is_written_otherwise_or_what_cannot_be_read() -> None:
    bench = Bench()
    suppress(bench, ALL, "42")
    bench.post("/v1/b", {"batch": [{"type": "track", "userId": 42.0, "secret": "Word"}]})
    asyncio.run(bench.ask("GET", f"/v1/pixel/track?data=eyJ1c2VySWQiOiI0MiIsInNlY3JldCI6&writeKey={KEY}"))
    assert [(one.code, one.excerpt) for one in bench.ledger.discards] == [
        ("event_not_defined", b""),
        ("malformed_json", b""),
    ]


BROWSER = {"library": {"name": "analytics.js"}}


@pytest.mark.parametrize(
    ("policy", "sent", "kept"),
    [
        ("auto", BROWSER, "192.0.2.1"),
        ("auto", {"ip": "203.0.113.77"}, "203.0.113.77"),
        ("never", {"ip": "203.0.113.77"}, "203.0.113.77"),
        ("truncate", BROWSER, "192.0.2.0"),
        ("truncate", {"ip": "203.0.113.77"}, "203.0.113.0"),
        ("truncate", {"ip": "2001:db8:7:1::5"}, "2001:db8:7::"),
        ("truncate", {}, None),
        ("strip", BROWSER, None),
        ("strip", {"ip": "203.0.113.77"}, None),
    ],
)
def test_as_much_of_an_address_is_kept_as_the_sources_policy_says(
    policy: str, sent: dict[str, Any], kept: str | None
) -> None:
    bench = Bench()
    bench.set(ip=policy)
    assert bench.post("/v1/t", track(context=sent)).status == 200
    assert bench.post("/v1/b", {"batch": [track(messageId="other")], "context": sent}).status == 200
    assert [event.context.get("ip") for event in bench.events] == [kept, kept]
    if policy in {"truncate", "strip"}:
        stored = [bytes(one.stamp.batch_context or b"") + one.body for one in bench.log.events]
        assert not any(b".77" in one or b":1::5" in one for one in stored)
        bench.post("/v1/t", {"type": "track", "userId": "u", "context": {"ip": "203.0.113.77"}})
        assert b".77" not in bench.ledger.discards[0].excerpt
        assert json.loads(bench.log.events[0].body)["event"] == "Paid"
