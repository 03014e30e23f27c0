"""After one group() every later call carries the account."""

from typing import Any

import pytest

from tests.browser.collecting import Collector
from tests.browser.conftest import Visitor

BOTH = pytest.mark.parametrize("how", ["snippet", "npm"])


def account(event: dict[str, Any]) -> Any:
    return event["context"].get("groupId")


@BOTH
def test_after_group_every_call_carries_the_account_until_reset(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    tab = visitor.opens(how)
    tab.evaluate(
        """async () => {
            await analytics.track('before')
            await analytics.group('acme', {plan: 'pro'})
            await analytics.identify('ada'); await analytics.page(); await analytics.screen('s')
            await analytics.track('after'); await analytics.alias('lovelace')
            await analytics.reset()
            await analytics.track('gone')
        }"""
    )
    collector.wait("gone")
    carried = {event.get("event", event["type"]): account(event) for event in collector.events}
    assert carried == {
        **dict.fromkeys(["before", "group", "gone"]),
        **dict.fromkeys(["identify", "page", "screen", "after", "alias"], "acme"),
    }
    assert collector.one("group")["groupId"] == "acme"


@BOTH
def test_the_account_outlives_the_page(how: str, visitor: Visitor, collector: Collector) -> None:
    tab = visitor.opens(how, "analytics.group('acme')")
    collector.wait("group")
    visitor.opens(how, "analytics.track('next')", "/next", tab)
    assert account(collector.one("next")) == "acme"


@BOTH
def test_what_the_caller_says_is_never_overwritten(how: str, visitor: Visitor, collector: Collector) -> None:
    tab = visitor.opens(how)
    tab.evaluate("analytics.group('acme')")
    for said in ({"groupId": "other"}, {"group_id": "other"}, {"Group ID": 7}, {"groupId": None}):
        tab.evaluate("said => analytics.track('t', {}, {context: said})", said)
        collector.wait("t", 1)
        context = collector.events.pop()["context"]
        assert {key: context[key] for key in context if key.lower().startswith("group")} == said


@BOTH
def test_what_the_middleware_of_the_page_says_is_never_overwritten(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    tab = visitor.opens(
        how,
        "analytics.addSourceMiddleware(({payload, next}) => { payload.obj.context.group_id = 'mine'; next(payload) })",
    )
    tab.evaluate("async () => { await analytics.group('acme'); await analytics.track('t') }")
    context = collector.one("t")["context"]
    assert (context["group_id"], "groupId" in context) == ("mine", False)


@BOTH
def test_calls_carry_the_account_of_the_moment_they_were_made(how: str, visitor: Visitor, collector: Collector) -> None:
    tab = visitor.opens(how)
    tab.evaluate(
        """() => { analytics.group('one'); analytics.track('in one'); analytics.group('two'); analytics.track('in two')
            analytics.reset(); analytics.track('in none') }"""
    )
    collector.wait("track", 3)
    assert [account(collector.one(name)) for name in ("in one", "in two", "in none")] == ["one", "two", None]


@BOTH
def test_a_page_that_says_all_false_has_it_too(how: str, visitor: Visitor, collector: Collector) -> None:
    visitor.options = {"integrations": {"All": False, "Segment.io": True}}
    tab = visitor.opens(how)
    tab.evaluate("async () => { await analytics.group('acme'); await analytics.track('t') }")
    assert account(collector.one("t")) == "acme"


@BOTH
def test_without_anything_lasting_it_is_remembered_for_the_page(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    visitor.options = {"disableClientPersistence": True}
    tab = visitor.opens(how)
    tab.evaluate("async () => { await analytics.group('acme'); await analytics.track('t') }")
    assert account(collector.one("t")) == "acme"
    visitor.opens(how, "analytics.track('next')", "/next", tab)
    assert account(collector.one("next")) is None
    assert tab.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
