"""While somebody really uses the page, a `__heartbeat` once a minute, and never a late one."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from playwright.sync_api import Page

from tests.browser.collecting import TOTANGO, Collector, Event
from tests.browser.conftest import Visitor

BEAT: Final = "__heartbeat"
BEATING: Final = {**TOTANGO, "heartbeat": True}
KNOWN: Final = "analytics.identify('ada'); analytics.group('acme'); analytics.page('Docs', 'Index')"
MINUTE: Final = 60_000
NOON: Final = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def opens(visitor: Visitor, collector: Collector, how: str = "snippet", calls: str = KNOWN) -> Page:
    collector.destinations = [BEATING]
    tab = visitor.context.new_page()
    tab.clock.install(time=NOON)
    return visitor.opens(how, calls, tab=tab)


def passes(tab: Page, collector: Collector, minutes: int = 1) -> list[Event]:
    """A minute of the page's clock; the heartbeats that came of all there were so far."""
    for _ in range(minutes):
        tab.clock.run_for(MINUTE)
    marker = f"marker {len(collector.events)}"
    tab.evaluate("name => analytics.track(name)", marker)
    collector.wait(marker)
    return collector.named(BEAT)


def use(tab: Page) -> None:
    tab.mouse.move(100, 100)
    tab.mouse.move(120, 120)


@pytest.mark.parametrize("how", ["snippet", "npm"])
def test_a_used_page_beats_once_a_minute_and_an_idle_one_does_not(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    tab = opens(visitor, collector, how)
    assert not passes(tab, collector)
    use(tab)
    assert len(passes(tab, collector)) == 1
    assert len(passes(tab, collector, 3)) == 1  # nobody is there
    tab.keyboard.press("a")
    assert len(passes(tab, collector)) == 2

    first, second = collector.named(BEAT)
    minute = int(NOON.timestamp()) // 60 + 2
    assert first["messageId"] == f"hb-{first['anonymousId']}-{minute}"
    assert second["messageId"] == f"hb-{first['anonymousId']}-{minute + 4}"
    assert (first["type"], first["userId"], first["context"]["groupId"]) == ("track", "ada", "acme")
    assert (first["properties"], first["integrations"]) == ({"category": "Docs"}, {"All": False, "Totango": True})
    assert first["context"]["page"]["path"] == "/"
    assert first["context"]["library"] == collector.one("group")["context"]["library"]
    assert {first["writeKey"], *first} >= {"web-key", "timestamp", "sentAt"}


def test_several_tabs_make_the_same_one(visitor: Visitor, collector: Collector) -> None:
    tabs = [opens(visitor, collector), opens(visitor, collector)]
    for tab in tabs:
        tab.bring_to_front()
        use(tab)
    visitor.context.clock.run_for(MINUTE)  # of all tabs
    one, other = collector.wait(BEAT, 2)
    assert one["messageId"] == other["messageId"]


def test_scripts_that_move_the_page_are_nobody(visitor: Visitor, collector: Collector) -> None:
    tab = opens(visitor, collector)
    tab.evaluate("for (const name of ['keydown', 'mousemove', 'scroll']) window.dispatchEvent(new Event(name))")
    assert not passes(tab, collector)


def test_a_hidden_page_does_not_beat(visitor: Visitor, collector: Collector) -> None:
    tab = opens(visitor, collector)
    use(tab)
    tab.evaluate("Object.defineProperty(document, 'visibilityState', {value: 'hidden'})")
    assert not passes(tab, collector)


@pytest.mark.parametrize(
    "calls",
    ["analytics.group('acme')", "analytics.identify('ada')", f"{KNOWN}; setTimeout(() => analytics.reset(), 500)"],
)
def test_only_a_known_user_of_a_known_account_beats(calls: str, visitor: Visitor, collector: Collector) -> None:
    tab = opens(visitor, collector, calls=calls)
    use(tab)
    assert not passes(tab, collector)


@pytest.mark.parametrize(
    ("destination", "options"),
    [
        (TOTANGO, {}),
        ({"name": "Webhook", "heartbeat": True}, {}),
        (BEATING, {"integrations": {"Totango": False}}),
        (BEATING, {"integrations": {"All": False, "Segment.io": True}}),
    ],
)
def test_nobody_beats_where_it_is_switched_off(
    destination: dict[str, Any], options: dict[str, Any], visitor: Visitor, collector: Collector
) -> None:
    visitor.options = options
    collector.destinations = [destination]
    tab = visitor.context.new_page()
    tab.clock.install(time=NOON)
    visitor.opens("snippet", KNOWN, tab=tab)
    use(tab)
    assert not passes(tab, collector)


def test_a_refused_one_is_not_tried_again(visitor: Visitor, collector: Collector) -> None:
    tab = opens(visitor, collector)
    use(tab)
    collector.refused["/v1/t"] = 503
    before = collector.asked.count("POST /v1/t")
    tab.clock.run_for(MINUTE)
    collector.reached("POST /v1/t", before + 1)
    collector.refused.clear()
    assert not passes(tab, collector, 3)


def test_offline_none_is_kept_for_later(visitor: Visitor, collector: Collector) -> None:
    tab = opens(visitor, collector)
    use(tab)
    visitor.context.set_offline(True)
    tab.clock.run_for(MINUTE)
    visitor.context.set_offline(False)
    assert not passes(tab, collector, 3)


def test_middleware_of_the_page_comes_before_it(visitor: Visitor, collector: Collector) -> None:
    consent = (
        "analytics.addSourceMiddleware(({payload, next}) => "
        "{ payload.obj.context.consent = 'yes'; if (!window.refused) next(payload) });"
    )
    tab = opens(visitor, collector, calls=consent + KNOWN)
    use(tab)
    (beat,) = passes(tab, collector)
    assert beat["context"]["consent"] == "yes"
    tab.evaluate("window.refused = true")
    use(tab)
    tab.clock.run_for(MINUTE)
    tab.evaluate("window.refused = false")
    assert len(passes(tab, collector, 2)) == 1


def test_it_goes_where_the_page_has_its_events_go_with_the_headers_it_wants(
    visitor: Visitor, collector: Collector
) -> None:
    visitor.options = {
        "integrations": {"Segment.io": {"apiHost": f"{collector.host}/v1/proxy", "protocol": "http"}},
    }
    tab = opens(visitor, collector)
    use(tab)
    passes(tab, collector)
    assert "POST /v1/proxy/t" in collector.asked
    assert "POST /v1/t" not in collector.asked
