"""An identify that came before group() reaches Totango once the account is known, and nobody else twice."""

from typing import Any

import pytest

from tests.browser.collecting import TOTANGO, Collector, Event
from tests.browser.conftest import Visitor

BOTH = pytest.mark.parametrize("how", ["snippet", "npm"])

SIGN_IN = "analytics.identify('ada', {name: 'Ada'}); analytics.group('acme')"
FOR_TOTANGO = {"All": False, "Totango": True}


def repeats(collector: Collector) -> list[Event]:
    return [event for event in collector.named("identify") if event["integrations"] == FOR_TOTANGO]


def in_order(collector: Collector) -> list[Event]:
    """The page's identify and its repeat: the browser may send both at once, so either may arrive first."""
    return sorted(collector.wait("identify", 2), key=lambda event: str(event["messageId"]).startswith("again-"))


def said(event: Event) -> tuple[Any, ...]:
    return event["userId"], event["context"]["groupId"], event["traits"]


def quiet(visitor: Visitor, collector: Collector, how: str, calls: str = "", count: int = 1) -> None:
    """Open a page and let its first minute pass; whatever it had to send is there then."""
    tab = visitor.context.new_page()
    tab.clock.install()
    visitor.opens(how, calls, tab=tab)
    tab.clock.fast_forward(50_000)
    tab.evaluate("analytics.track('quiet')")
    collector.wait("quiet", count)
    visitor.closes(tab)  # what it sent before may come in after it, over another connection


@BOTH
def test_the_stored_traits_are_repeated_to_totango_alone_after_the_group_event(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    heard = "heard = 0; analytics.on('identify', () => heard++);"
    tab = visitor.opens(how, heard + SIGN_IN)
    first, again = in_order(collector)
    assert (first["integrations"], "groupId" in first["context"]) == ({}, False)
    assert (said(again), again["integrations"]) == (("ada", "acme", {"name": "Ada"}), FOR_TOTANGO)
    # The browser sends the page's own two side by side, so either may arrive first.
    assert [event["type"] for event in collector.events if event is not first] == ["group", "identify"]
    assert again["messageId"] != first["messageId"]
    assert again["anonymousId"] == first["anonymousId"]
    assert again["context"]["page"]["path"] == "/"
    assert tab.evaluate("heard") == 1  # the page has called identify once, and hears of it once


@BOTH
def test_it_is_repeated_once_also_over_page_loads_and_tabs(how: str, visitor: Visitor, collector: Collector) -> None:
    visitor.opens(how, SIGN_IN)
    collector.wait("identify", 2)
    quiet(visitor, collector, how, SIGN_IN)
    quiet(visitor, collector, how, "analytics.group('acme', {plan: 'pro'})", 2)
    quiet(visitor, collector, how, "", 3)
    assert len(repeats(collector)) == 1
    assert said(collector.named("identify")[-1]) == ("ada", "acme", {"name": "Ada"})  # the second page's own call


@BOTH
def test_it_is_repeated_for_a_new_account_and_for_new_traits_that_came_before_it(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    tab = visitor.opens(how, SIGN_IN)
    collector.wait("identify", 2)
    tab.evaluate("analytics.group('beta')")
    collector.wait("identify", 3)
    tab.evaluate("async () => { await analytics.reset(); await analytics.identify('ada', {name: 'Countess'}) }")
    tab.evaluate("analytics.group('acme')")
    collector.wait("identify", 5)
    assert [said(event) for event in repeats(collector)] == [
        ("ada", "acme", {"name": "Ada"}),
        ("ada", "beta", {"name": "Ada"}),
        ("ada", "acme", {"name": "Countess"}),
    ]


@BOTH
def test_an_identify_after_group_is_not_repeated(how: str, visitor: Visitor, collector: Collector) -> None:
    quiet(visitor, collector, how, "analytics.group('acme'); analytics.identify('ada', {name: 'Ada'})")
    assert said(collector.one("identify")) == ("ada", "acme", {"name": "Ada"})
    quiet(visitor, collector, how, "analytics.group('acme')", 2)
    assert not repeats(collector)


@BOTH
def test_it_is_repeated_once_to_another_service_also_if_the_page_says_nothing(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    visitor.opens(how, SIGN_IN)
    collector.wait("identify", 2)
    collector.destinations = [{**TOTANGO, "fingerprint": "beef"}]
    quiet(visitor, collector, how)
    collector.wait("identify", 3)
    quiet(visitor, collector, how, count=2)
    collector.destinations = [*collector.destinations, TOTANGO]  # one more service
    quiet(visitor, collector, how, count=3)
    collector.wait("identify", 4)
    collector.destinations.reverse()
    quiet(visitor, collector, how, count=4)
    assert [said(event) for event in repeats(collector)] == [("ada", "acme", {"name": "Ada"})] * 3


@pytest.mark.parametrize("kept", ["identify", "group"])
def test_what_is_kept_from_totango_is_kept_from_another_service_too(
    kept: str, visitor: Visitor, collector: Collector
) -> None:
    never = ", {integrations: {Totango: false}}"
    quiet(
        visitor,
        collector,
        "snippet",
        f"analytics.identify('ada', {{name: 'Ada'}}{never if kept == 'identify' else ''});"
        f"analytics.group('acme', {{}}{never if kept == 'group' else ''})",
    )
    collector.destinations = [{**TOTANGO, "fingerprint": "beef"}]
    quiet(visitor, collector, "snippet", count=2)
    assert not repeats(collector)


def test_a_page_that_was_left_before_its_group_event_was_through_repeats_on_the_next(
    visitor: Visitor, collector: Collector
) -> None:
    collector.refused["/v1/g"] = 503
    tab = visitor.opens("snippet", "analytics.identify('ada', {name: 'Ada'})")
    collector.wait("identify")
    tab.evaluate("() => { analytics.group('acme'); location.href = 'about:blank' }")
    tab.wait_for_url("about:blank")
    collector.refused.clear()
    quiet(visitor, collector, "snippet")
    collector.wait("identify", 2)
    assert [said(event) for event in repeats(collector)] == [("ada", "acme", {"name": "Ada"})]


@pytest.mark.parametrize("kept", ["identify", "group"])
def test_what_is_kept_from_totango_stays_so_if_the_page_is_left_before_it_was_through(
    kept: str, visitor: Visitor, collector: Collector
) -> None:
    # A destination of the page that never ends, so that nothing is ever through.
    never = (
        "analytics.register({name: 'Never', type: 'destination', version: '1', isLoaded: () => true,"
        " load: () => Promise.resolve(), %s: () => new Promise(() => 0)});"
    )
    others = {"identify": "analytics.group('acme');", "group": "analytics.identify('ada', {name: 'Ada'});"}
    calls = {
        "identify": "analytics.identify('ada', {name: 'Ada'}, {integrations: {Totango: false}})",
        "group": "analytics.group('acme', {}, {integrations: {Totango: false}})",
    }
    tab = visitor.opens("snippet", others[kept])
    collector.wait("group" if kept == "identify" else "identify")
    tab.evaluate(f"async () => {{ await {never % kept} {calls[kept]} }}")
    collector.wait(kept)
    tab.goto("about:blank")
    quiet(visitor, collector, "snippet")
    assert not repeats(collector)


@BOTH
def test_a_repeat_that_takes_its_time_keeps_nothing_else_waiting(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    tab = visitor.opens(how, "analytics.identify('ada', {name: 'Ada'})")
    collector.wait("identify")
    repeated: list[str] = []
    tab.route("**/v1/i", lambda route: repeated.append(route.request.url))  # and never answers
    for number, account in enumerate(("acme", "beta"), 1):
        tab.evaluate("account => { analytics.group(account) }", account)
        collector.wait("group", number)
    tab.evaluate("async () => { for (let i = 0; i < 20; i++) await new Promise(resolve => setTimeout(resolve)) }")
    tab.evaluate("() => { analytics.track('t') }")
    assert collector.one("t")["context"]["groupId"] == "beta"
    assert len(repeated) == 2


@pytest.mark.parametrize(
    ("why", "destinations", "options", "calls"),
    [
        ("there is no Totango", [{"name": "Webhook"}], {}, SIGN_IN),
        ("there is no destination", [], {}, SIGN_IN),
        ("the page has it off", [TOTANGO], {"integrations": {"Totango": False}}, SIGN_IN),
        ("the page has all off", [TOTANGO], {"integrations": {"All": False, "Segment.io": True}}, SIGN_IN),
        (
            "the identify was not meant for it",
            [TOTANGO],
            {},
            "analytics.identify('ada', {name: 'Ada'}, {integrations: {Totango: false}}); analytics.group('acme')",
        ),
        (
            "the group is not meant for it",
            [TOTANGO],
            {},
            "analytics.identify('ada', {}); analytics.group('acme', {}, {integrations: {All: false}})",
        ),
        ("the user is not known", [TOTANGO], {}, "analytics.identify({name: 'Ada'}); analytics.group('acme')"),
    ],
)
def test_nothing_is_repeated_where(
    why: str,
    destinations: list[dict[str, Any]],
    options: dict[str, Any],
    calls: str,
    visitor: Visitor,
    collector: Collector,
) -> None:
    collector.destinations = list(destinations)
    visitor.options = options
    quiet(visitor, collector, "snippet", calls)
    collector.wait("identify")
    collector.wait("group")
    assert (len(collector.named("identify")), len(collector.named("group"))) == (1, 1), why


def test_other_destinations_named_by_the_page_do_not_see_the_repeat(visitor: Visitor, collector: Collector) -> None:
    visitor.options = {"integrations": {"Mixpanel": True, "Segment.io": True}}
    visitor.opens("snippet", SIGN_IN)
    _, again = in_order(collector)
    assert again["integrations"] == FOR_TOTANGO


def test_the_repeat_passes_the_middleware_of_the_page(visitor: Visitor, collector: Collector) -> None:
    consent = (
        "analytics.addSourceMiddleware(({payload, next}) => { payload.obj.context.consent = 'c'; next(payload) });"
    )
    visitor.opens("snippet", consent + SIGN_IN)
    _, again = in_order(collector)
    assert again["context"]["consent"] == "c"


def test_without_local_storage_it_is_repeated_within_the_page(visitor: Visitor, collector: Collector) -> None:
    visitor.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('not allowed') }})"
    )
    tab = visitor.opens("snippet", SIGN_IN)
    collector.wait("identify", 2)
    tab.evaluate("async () => { await analytics.group('acme'); await analytics.track('end') }")
    collector.wait("end")
    assert [said(event) for event in repeats(collector)] == [("ada", "acme", {"name": "Ada"})]


def test_what_is_remembered_shows_neither_names_nor_traits(visitor: Visitor, collector: Collector) -> None:
    tab = visitor.opens("snippet", SIGN_IN)
    collector.wait("identify", 2)
    kept = tab.evaluate("Object.entries(localStorage).filter(([key]) => key.startsWith('milonga'))")
    assert kept
    assert not any(word in str(kept) for word in ("ada", "Ada", "acme"))
