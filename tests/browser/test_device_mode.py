"""Device mode: the page drives Totango's own script, and the server learns which events that has had."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from playwright.sync_api import Page

from milonga.destinations.totango.fake import PretendTotango
from tests.browser.collecting import Collector, Event
from tests.browser.conftest import Visitor
from tests.receiving import Receiving
from tests.running import eventually

BOTH = pytest.mark.parametrize("how", ["snippet", "npm"])

DEVICE: Final = {
    "name": "Totango",
    "mode": "device",
    "heartbeat": True,
    "disableHeartbeat": False,
    "serviceId": "SP-1-01",
    "region": "eu1",
    "trackNamedPages": True,
    "trackCategorizedPages": True,
}
SIGN_IN: Final = """async () => {
    await analytics.page('Docs', 'Index')
    await analytics.identify('ada', {name: 'Ada', created: '2014-05-01'})
    const integrations = {Totango: {parent: {id: 'top'}}}
    await analytics.group('acme', {plan: 'pro', createdAt: 1398902400}, {integrations})
    await analytics.page('Billing', 'Plans')
    await analytics.track('Paid', {category: 'Money'})
    await analytics.track('Looked')
}"""


@pytest.fixture
def totango() -> Iterator[Receiving]:
    with Receiving(PretendTotango) as pretend:
        yield pretend


def opens(
    visitor: Visitor,
    totango: Receiving,
    how: str = "snippet",
    tab: Page | None = None,
    calls: str = "",
    **settings: Any,
) -> Page:
    """Return when Totango's script is there."""
    visitor.may_ask.add(totango.url.split("//")[1].split("/")[0])
    visitor.collector.destinations = [{**DEVICE, "collector": totango.url.rstrip("/") + "/totango.js", **settings}]
    tab = visitor.opens(how, calls, tab=tab)
    tab.wait_for_function("Boolean(window.__totango3)")
    return tab


def activities(totango: Receiving) -> list[tuple[str, ...]]:
    seen = [one.params for one in totango.requests() if "sdr_a" in one.params]
    return [(one["sdr_o"], one["sdr_u"], one["sdr_m"], one["sdr_a"]) for one in seen if one["sdr_a"] != "__heartbeat"]


def wait(totango: Receiving, count: int) -> list[tuple[str, ...]]:
    """In the order of their arrival, which for images asked for at once is any."""
    eventually(lambda: len(activities(totango)) >= count, f"{count} activities")
    return activities(totango)


def taken(event: Event) -> bool:
    metadata: Mapping[str, Any] = event["_metadata"]
    assert ("Totango" in metadata["bundled"]) != ("Totango" in metadata["unbundled"])
    assert metadata["bundled"][0] == "Segment.io"
    return "Totango" in metadata["bundled"]


def marks(collector: Collector) -> dict[str, bool]:
    return {event.get("event") or event.get("name") or event["type"]: taken(event) for event in collector.events}


@BOTH
def test_totangos_own_script_is_driven_call_by_call(
    how: str, visitor: Visitor, collector: Collector, totango: Receiving
) -> None:
    tab = opens(visitor, totango, how)
    tab.evaluate(SIGN_IN)
    assert set(wait(totango, 4)) == {
        ("acme", "ada", "Billing", "Viewed Billing Page"),
        ("acme", "ada", "Billing", "Viewed Billing Plans Page"),
        ("acme", "ada", "Money", "Paid"),
        ("acme", "ada", "Billing", "Looked"),
    }
    (last,) = (one.params for one in totango.requests() if one.params.get("sdr_a") == "Looked")
    assert {key: last[key] for key in last if key.startswith(("sdr_s", "sdr_u.", "sdr_o."))} == {
        "sdr_s": "SP-1-01",
        "sdr_u.name": "Ada",
        "sdr_u.Create Date": "2014-05-01T00:00:00.000Z",
        "sdr_o.plan": "pro",
        "sdr_o.createdAt": "1398902400",
        "sdr_o.Create Date": "2014-05-01T00:00:00.000Z",
        "sdr_o.parent_id": "top",
    }
    assert last["standin_region"] == "eu1"
    collector.wait("Looked")
    assert marks(collector) == {
        # Nobody was known then, and no account when Ada was: the server says so.
        "Index": False,
        "identify": False,
        "group": True,
        "Plans": True,
        "Paid": True,
        "Looked": True,
    }
    assert tab.evaluate("totango_options") == {
        "service_id": "SP-1-01",
        "region": "eu1",
        "allow_empty_accounts": False,
        "disable_heartbeat": False,
    }


@BOTH
def test_while_there_is_no_script_of_totango_the_server_delivers(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    collector.destinations = [{**DEVICE, "collector": f"{collector.url}/nothing.js"}]
    tab = visitor.opens(how)
    tab.evaluate(SIGN_IN)
    collector.wait("Looked")
    assert not any(marks(collector).values())
    visitor.until(lambda: len(visitor.errors) > 0, "the page's console tells of it")
    assert visitor.errors.pop().startswith(f"[milonga] Error: Failed to load {collector.url}/nothing.js")


def test_a_new_page_knows_user_and_account(visitor: Visitor, collector: Collector, totango: Receiving) -> None:
    tab = opens(visitor, totango)
    tab.evaluate(SIGN_IN)
    wait(totango, 4)
    opens(visitor, totango, tab=tab).evaluate("analytics.track('Next')")
    assert wait(totango, 5)[-1] == ("acme", "ada", "Application", "Next")
    assert taken(collector.one("Next"))


def test_what_the_script_cannot_tell_of_or_must_not_is_the_servers(
    visitor: Visitor, collector: Collector, totango: Receiving
) -> None:
    tab = opens(visitor, totango)
    tab.evaluate(SIGN_IN)
    tab.evaluate(
        """async () => {
            await analytics.track('other account', {}, {context: {groupId: 'other'}})
            await analytics.track('off', {}, {integrations: {Totango: false}})
            await analytics.screen('s'); await analytics.alias('lovelace')
            await analytics.page()
            await analytics.reset(); await analytics.track('gone')
        }"""
    )
    collector.wait("gone")
    assert {name: marks(collector)[name] for name in ("other account", "off", "s", "alias", "page", "gone")} == (
        dict.fromkeys(["other account", "off", "s", "alias", "page", "gone"], False)
    )
    assert len(activities(totango)) == 4
    tab.evaluate("async () => { await analytics.identify('bob'); await analytics.group('beta') }")
    tab.evaluate("analytics.track('Back')")
    assert wait(totango, 5)[-1][:2] == ("beta", "bob")


def test_without_heartbeats_the_server_sees_to_the_attributes(
    visitor: Visitor, collector: Collector, totango: Receiving
) -> None:
    tab = opens(visitor, totango, disableHeartbeat=True, heartbeat=False, trackNamedPages=False)
    tab.evaluate(SIGN_IN)
    collector.wait("Looked")
    assert [name for name, had in marks(collector).items() if had] == ["Plans", "Paid", "Looked"]
    assert {activity for *_, activity in wait(totango, 3)} == {"Viewed Billing Page", "Paid", "Looked"}
    assert all(one.params.get("sdr_a") != "__heartbeat" for one in totango.requests())


@pytest.mark.parametrize("settings", [{"paused": True}, {"mode": "cloud"}])
def test_nothing_is_loaded_of_totango_where_nothing_may_go_to_it(
    settings: dict[str, Any], visitor: Visitor, collector: Collector, totango: Receiving
) -> None:
    collector.destinations = [{**DEVICE, "collector": totango.url + "/totango.js", **settings}]
    visitor.opens("snippet").evaluate(SIGN_IN)
    collector.wait("Looked")
    assert not any("Totango" in event["_metadata"]["bundled"] for event in collector.events)
    assert totango.requests() == []


def test_our_own_heartbeat_is_off(visitor: Visitor, collector: Collector, totango: Receiving) -> None:
    tab = visitor.context.new_page()
    tab.clock.install()
    opens(visitor, totango, tab=tab).evaluate(SIGN_IN)
    tab.mouse.move(10, 10)
    tab.clock.run_for(60_000)
    tab.evaluate("analytics.track('end')")
    collector.wait("end")
    assert not collector.named("__heartbeat")
