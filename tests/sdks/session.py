"""What every SDK here is asked to say, and what Totango must hold then."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from milonga.collector.answers import LOG_FULL, Answer, too_many
from tests.receiving import Receiving, overlaps
from tests.running import eventually
from tests.sdks.gate import LOST, Gate, Lost, Sent

KEY = "WK_TEST_abc123"
"""As in the captured requests."""

EVENTS = 20
"""Tracks `e-0`, `e-1`, ... of category `Load` at the end of a session."""

IDENTIFY = {"sdr_u.name": "Ada"}
GROUP = {"sdr_o.account_name": "Acme", "sdr_o.Status": "Paying"}
PAGES = [{"sdr_a": "Viewed Docs Page", "sdr_m": "Docs"}, {"sdr_a": "Viewed Docs Index Page", "sdr_m": "Docs"}]
TRACK = {"sdr_a": "Report exported", "sdr_m": "Reports"}
LOAD = [{"sdr_a": f"e-{number}", "sdr_m": "Load"} for number in range(EVENTS)]

ON_SERVERS = [IDENTIFY, GROUP, *PAGES, TRACK, *LOAD]
"""
Of user `ada` in this order, beside service, account and user:
identify (name Ada), group (Acme, plan Paying), page Docs / Index, track of category Reports, the numbered tracks.
Every call but group names the account in `context.groupId`. An alias follows, which Totango has no call for.
"""

ON_PHONES = [IDENTIFY, GROUP, TRACK, *LOAD]
"""The same with a screen in the place of the page: Totango has no such call either."""

SLOW_DOWN = too_many(1)

FAULTS: tuple[Answer | Lost, ...] = (LOG_FULL, SLOW_DOWN, LOST)
"""What befalls the first requests: 503 with `Retry-After: 2`, 429 with `Retry-After: 1`, and a 200 that is lost."""


def held(totango: Receiving, account: str) -> list[dict[str, str]]:
    """What Totango took in for one account, in order, without service, account and user."""
    found = []
    for seen in totango.accepted():
        if seen.params["sdr_o"] == account:
            assert seen.params["sdr_s"] == "SP-12345-01"
            assert seen.params.get("sdr_u", "ada") == "ada"
            found.append(
                {name: value for name, value in seen.params.items() if name not in {"sdr_s", "sdr_o", "sdr_u"}}
            )
    return found


def check_held(totango: Receiving, account: str, expected: list[dict[str, str]]) -> None:
    """Each came once, in this order, and nothing else came."""
    assert all_held(totango, account, expected) == expected


def check_held_as_sent(totango: Receiving, account: str, expected: list[dict[str, str]], gate: Gate) -> None:
    """The same for SDKs that may swap calls among themselves: the order is that in which they came through the gate."""
    found = check_held_in_any_order(totango, account, expected, gate)
    tracks = [event["event"] for event in events_of(gate) if event["type"] == "track"]
    assert [one["sdr_a"] for one in found if one.get("sdr_a") in tracks] == tracks


def check_held_in_any_order(
    totango: Receiving, account: str, expected: list[dict[str, str]], gate: Gate | None = None
) -> list[dict[str, str]]:
    """The same for SDKs that send each call by itself, several at once: which comes first is nobody's to say."""
    found = all_held(totango, account, expected, gate)
    assert by_name(found) == by_name(expected)
    return found


def all_held(
    totango: Receiving, account: str, expected: list[dict[str, str]], gate: Gate | None = None
) -> list[dict[str, str]]:
    """gate  through which they came: what fails says what did"""
    eventually(
        lambda: len(held(totango, account)) >= len(expected),
        lambda: (
            f"all of {account} delivered; missing: {missing(expected, held(totango, account))}"
            + ("" if gate is None else f"; through the gate came: {came(gate)}")
        ),
    )
    assert not overlaps(seen for seen in totango.requests() if seen.params["sdr_o"] == account)
    return held(totango, account)


def missing(expected: list[dict[str, str]], found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [one for one in expected if one not in found]


def came(gate: Gate) -> list[tuple[int, list[str]]]:
    """Of each request with events the status, and what its events are."""
    return [(one.status, [str(event.get("event", event["type"])) for event in one.events]) for one in gate.posts]


def by_name(params: Iterable[dict[str, str]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(one.items()) for one in params)


class Wire(Struct, frozen=True, kw_only=True):
    """How a request with events looks: the facts of docs/compatibility.md. Everything not named is absent."""

    path: str
    basic: bool = False
    key_in_body: bool = False
    content_type: str | None = None
    gzip: bool = False
    chunked: bool = False
    user_agent: str | None = None


def wire(sent: Sent) -> Wire:
    basic = sent.headers.get("authorization", "").startswith("Basic ")
    return Wire(
        path=sent.path,
        basic=basic,
        key_in_body="writeKey" in sent.json,
        content_type=sent.headers.get("content-type"),
        gzip=sent.headers.get("content-encoding") == "gzip",
        chunked="transfer-encoding" in sent.headers,
        user_agent=sent.headers.get("user-agent"),
    )


def ids(sent: Sent) -> list[str]:
    return [event["messageId"] for event in sent.events]


def check_recovery(gate: Gate, *, reads_retry_after: Iterable[int] = (), counts: bool = False) -> None:
    """
    FAULTS befell the first requests, and what was in them was sent again until it was taken: wait for it, while the SDK
    still runs.

    reads_retry_after  statuses after which the SDK waits as long as it is asked to
    counts             it says on a further try which it is, in X-Retry-Count
    """
    eventually(lambda: not gate.instead and not untaken(gate), "all taken")
    posts = sorted(gate.posts, key=lambda one: one.started)
    assert sorted(one.status for one in posts if one.status != 200) == [0, 429, 503]
    taken = [message for one in posts if one.status == 200 for message in ids(one)]
    assert len(taken) == len(set(taken))
    for failed in (one for one in posts if one.status != 200):
        again = next(one for one in posts if one.started > failed.started and set(ids(one)) & set(ids(failed)))
        if failed.status in reads_retry_after:
            assert again.started - failed.answered > failed.asked - 0.1 > 0  # its clock may be coarser than ours
    if counts:
        assert any("x-retry-count" in one.headers for one in posts)


def untaken(gate: Gate) -> set[str]:
    """Message ids of what was sent and not taken yet."""
    posts = gate.posts
    return {id_ for one in posts for id_ in ids(one)} - {id_ for one in posts if one.status == 200 for id_ in ids(one)}


def events_of(gate: Gate) -> list[dict[str, Any]]:
    """All that was taken, in the order in which it came."""
    taken = sorted((one for one in gate.posts if one.status == 200), key=lambda one: one.started)
    return [event for one in taken for event in one.events]
