"""The last page call's category is the module of what follows. Source: Segment's Totango integration, its tests."""

from typing import Any

import pytest

from tests.browser.collecting import Collector
from tests.browser.conftest import Visitor


def category(collector: Collector, name: str) -> Any:
    return collector.one(name)["context"]["page"].get("category")


@pytest.mark.parametrize("how", ["snippet", "npm"])
def test_the_category_of_the_last_page_call_travels_with_later_track_calls(
    how: str, visitor: Visitor, collector: Collector
) -> None:
    tab = visitor.opens(how)
    tab.evaluate(
        """async () => {
            await analytics.track('t0')
            await analytics.page('Docs', 'Index'); await analytics.track('t1')
            await analytics.track('t2', {category: 'preferred'})
            await analytics.page({category: 'In properties'}); await analytics.track('t3')
            await analytics.page(); await analytics.track('t4')
            await analytics.page('Docs', 'Index'); await analytics.reset(); await analytics.track('t5')
        }"""
    )
    collector.wait("t5")
    assert [category(collector, f"t{number}") for number in range(6)] == [
        *(None, "Docs", "Docs", "In properties", None, None)
    ]
    assert collector.one("t2")["properties"] == {"category": "preferred"}
    assert all("category" not in page["context"]["page"] for page in collector.named("page"))


def test_it_is_the_module_of_the_moment_the_call_was_made(visitor: Visitor, collector: Collector) -> None:
    tab = visitor.opens("snippet")
    tab.evaluate(
        """() => { analytics.page('One', ''); analytics.track('in one')
            analytics.page('Two', ''); analytics.track('in two'); analytics.page(); analytics.track('in none') }"""
    )
    collector.wait("track", 3)
    assert [category(collector, name) for name in ("in one", "in two", "in none")] == ["One", "Two", None]


def test_it_ends_with_the_page_load(visitor: Visitor, collector: Collector) -> None:
    tab = visitor.opens("snippet", "analytics.page('Docs', 'Index')")
    collector.wait("page")
    visitor.opens("snippet", "analytics.track('next')", "/next", tab)
    assert category(collector, "next") is None


def test_what_the_caller_says_is_never_overwritten(visitor: Visitor, collector: Collector) -> None:
    tab = visitor.opens("snippet")
    tab.evaluate(
        """async () => { await analytics.page('Docs', 'Index')
            await analytics.track('t', {}, {context: {page: {category: 'mine'}}}) }"""
    )
    assert category(collector, "t") == "mine"
