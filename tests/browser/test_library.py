"""The library that pages with Segment's snippet load: what Segment's own build does, and nothing to any other host."""

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.browser.collecting import KEY, STOCK, Collector, Event
from tests.browser.conftest import BROWSER, Visitor
from tests.running import eventually

CALLS: Final = """
    analytics.page('Docs', 'Index', {a: 1});
    analytics.identify('ada', {name: 'Ada', born: new Date(0)});
    analytics.group('acme', {plan: 'pro'});
    analytics.track('early', {a: [1, null]}, {integrations: {Totango: {x: 1}, Other: false}, ip: '0.0.0.0'});
    analytics.screen('Board', 'Home');
    analytics.setAnonymousId('anon-1');
"""
ITS_OWN: Final = ("messageId", "timestamp", "sentAt")


def plain(event: Event) -> Event:
    return {key: value for key, value in event.items() if key not in ITS_OWN}


def chunks(collector: Collector) -> list[str]:
    """Names of those that were loaded."""
    return re.findall(r"/analytics-next/bundles/([\w-]+)\.bundle", "\n".join(collector.asked))


def test_it_is_at_most_5_percent_larger_than_segments_own_build(assets: Path) -> None:
    sizes = [len(gzip.compress(path.read_bytes(), 9)) for path in (assets / "analytics.min.js", STOCK)]
    assert sizes[0] <= sizes[1] * 1.05, sizes


def test_the_same_sources_are_built_into_the_same_bytes(assets: Path, tmp_path: Path) -> None:
    subprocess.run(["node", "build/build.js", str(tmp_path / "again")], cwd=BROWSER, check=True, capture_output=True)
    files = [path.relative_to(assets) for path in assets.rglob("*") if path.is_file()]
    assert [name for name in files if (assets / name).read_bytes() != (tmp_path / "again" / name).read_bytes()] == []
    manifest = json.loads((assets / "manifest.json").read_text())
    assert {*manifest["files"], "manifest.json"} == {str(name) for name in files}


def test_nothing_that_is_built_names_a_host_of_segments(assets: Path) -> None:
    text = (assets / "analytics.min.js").read_text() + (assets / "milonga.js").read_text()
    assert "api.segment" not in text
    assert "segmentapis" not in text
    assert re.findall(r"cdn\.segment.{12}", text) == ["cdn.segment.(com|build)"]  # what it puts our own in place of


def test_the_calls_of_a_page_arrive_as_from_segments_own_build(visitor: Visitor, collector: Collector) -> None:
    collector.destinations = []
    found: list[list[Event]] = []
    for how in ("stock", "snippet"):
        visitor.context.clear_cookies()
        collector.events.clear()
        tab = visitor.context.new_page()
        tab.add_init_script("localStorage.clear()")
        visitor.opens(how, CALLS, tab=tab)
        tab.evaluate(
            """async () => { await analytics.alias('lovelace'); await analytics.identify({more: true})
                await analytics.track('late', {}, {context: {mine: 1}, timestamp: '2020-01-01'}) }"""
        )
        collector.wait("late")
        collector.wait("screen")
        visitor.closes(tab)
        found.append(
            sorted((plain(event) for event in collector.events), key=lambda event: json.dumps(event, sort_keys=True))
        )
    stock, ours = found
    for event in stock:  # which of them has no account is what we are here for
        if event["type"] != "group":
            event["context"].setdefault("groupId", "acme")
    early = {"page", "identify"}  # made before group() was
    for event in stock:
        if event["type"] in early and "more" not in event.get("traits", {}):
            event["context"].pop("groupId")
    assert len(ours) == 8
    assert ours == stock


def test_a_page_with_the_snippet_asks_for_one_script_and_then_sends(visitor: Visitor, collector: Collector) -> None:
    visitor.opens("snippet", "analytics.track('t')")
    collector.wait("t")
    assert collector.asked == [f"GET /analytics.js/v1/{KEY}/analytics.min.js", "OPTIONS /v1/t", "POST /v1/t"]


def test_calls_before_the_script_is_there_keep_the_address_they_were_made_at(
    visitor: Visitor, collector: Collector
) -> None:
    visitor.opens("snippet", "analytics.track('t'); history.pushState({}, '', '/elsewhere')", "/here")
    assert collector.one("t")["context"]["page"]["path"] == "/here"


def test_the_global_may_have_another_name_and_two_may_live_on_one_page(visitor: Visitor, collector: Collector) -> None:
    other = """(function () { const a = window.other = []; a.methods = ['track', 'group'];
        for (const m of a.methods) a[m] = (...args) => a.push([m, ...args]);
        a._loadOptions = {}; a.track('from other');
        const s = document.createElement('script'); s.dataset.globalSegmentAnalyticsKey = 'other';
        s.src = 'HOST/analytics.js/v1/other-key/analytics.min.js'; document.head.appendChild(s) })();"""
    tab = visitor.opens("snippet", "analytics.track('from analytics');" + other.replace("HOST", collector.url))
    tab.wait_for_function("window.other.initialized")
    tab.evaluate("async () => { await analytics.group('acme'); await other.track('more') }")
    keys = {name: collector.one(name)["writeKey"] for name in ("from analytics", "from other", "more")}
    assert keys == {"from analytics": KEY, "from other": "other-key", "more": "other-key"}


@pytest.mark.parametrize("options", [{"disable": True}, {"integrations": {"All": False}}])
def test_a_page_that_wants_nothing_sent_sends_nothing(
    options: dict[str, Any], visitor: Visitor, collector: Collector
) -> None:
    visitor.options = options
    tab = visitor.opens("snippet", "analytics.track('t')")
    tab.evaluate("() => { analytics.track('t') }")
    tab.wait_for_load_state("networkidle")
    assert [line for line in collector.asked if "POST" in line] == []


def test_load_options_of_the_page_hold(visitor: Visitor, collector: Collector) -> None:
    visitor.options = {
        "integrations": {"Segment.io": {"deliveryStrategy": {"strategy": "batching", "config": {"size": 2}}}},
        "user": {"cookie": {"key": "my_user"}},
        "initialPageview": True,
    }
    tab = visitor.opens("snippet", "analytics.identify('ada')")
    collector.wait("identify")
    assert "POST /v1/b" in collector.asked
    assert len(collector.named("page")) == 1
    assert tab.evaluate("document.cookie").count("my_user=ada") == 1


@pytest.mark.parametrize(
    ("chunk", "calls", "path"),
    [
        ("queryString", "", "/?ajs_uid=ada&ajs_event=asked"),
        (
            "auto-track",
            "document.body.innerHTML = '<a href=#x>x</a>'; analytics.trackLink(document.querySelector('a'), 'asked')",
            "/",
        ),
        ("schemaFilter", "analytics._loadOptions = {plan: {track: {asked: {enabled: true}}}}", "/"),
        (
            "tsub-middleware",
            "analytics._loadOptions = {updateCDNSettings: s => ({...s, middlewareSettings: {routingRules: [RULE]}})}",
            "/",
        ),
        (
            "remoteMiddleware",
            "analytics._loadOptions = {updateCDNSettings: s => ({...s, enabledMiddleware: {'@segment/x': true}})}",
            "/",
        ),
        (
            "legacyVideos",
            "analytics._loadOptions = {updateCDNSettings: s => ({...s, legacyVideoPluginsEnabled: true})}",
            "/",
        ),
    ],
)
def test_what_few_pages_need_is_loaded_from_us_when_it_is_needed(
    chunk: str, calls: str, path: str, visitor: Visitor, collector: Collector
) -> None:
    rule = {
        "matchers": [{"ir": '["=","event",{"value":"no"}]', "type": "fql", "config": {"expr": 'event = "no"'}}],
        "transformers": [[{"type": "drop"}]],
        "scope": "destinations",
        "target_type": "workspace::project::destination::config",
        "destinationName": "Other",
    }
    tab = visitor.opens("snippet", calls.replace("RULE", json.dumps(rule)), path)
    if chunk == "auto-track":
        tab.wait_for_function("document.querySelector('a')")
        eventually(lambda: "auto-track" in chunks(collector), "it is loaded")
        tab.click("a")
    elif chunk != "queryString":
        tab.evaluate("analytics.track('asked')")
    collector.wait("asked")
    assert chunks(collector) == [chunk]


TOY: Final = """
    window.toyIntegration = function () {
        const heard = {}
        this.on = this.once = (name, act) => { (heard[name] = heard[name] || []).push(act) }
        this.emit = name => (heard[name] || []).forEach(act => act())
        this.initialize = () => setTimeout(() => { this.emit('initialize'); this.emit('ready') })
        this.invoke = (method, facade) => { window.calls.push([method, facade.event()]) }
    }
    window.toyLoader = () => {}; window.toyDeps = []; window.calls = []
"""


def test_a_classic_destination_of_the_page_shares_the_classes_of_the_library(
    visitor: Visitor, collector: Collector
) -> None:
    path = "/next-integrations/integrations/toy/latest/toy.dynamic.js.gz"
    collector.files[path] = TOY
    adds = """analytics._loadOptions = {updateCDNSettings: s => ({...s, integrations: {...s.integrations,
        Toy: {versionSettings: {componentTypes: ['browser']}, bundlingStatus: 'bundled'}}})};"""
    tab = visitor.opens("snippet", adds, ready=False)
    tab.evaluate("() => { analytics.track('t') }")
    collector.wait("t")
    assert chunks(collector) == ["ajs-destination"]
    tab.wait_for_function("window.calls && calls.length")
    assert tab.evaluate("calls") == [["track", "t"]]
    assert collector.one("t")["_metadata"]["bundled"] == ["Segment.io", "Toy"]


@pytest.mark.parametrize("how", ["snippet", "stock", "npm"])
def test_a_start_that_fails_tells_nobody(how: str, visitor: Visitor, collector: Collector) -> None:
    collector.refused[f"/v1/projects/{KEY}/settings"] = 500
    fails = "analytics._loadOptions = {updateCDNSettings() { throw new Error('no') }}" if how == "snippet" else ""
    lines: list[str] = []
    visitor.context.on("console", lambda message: lines.append(message.text))
    tab = visitor.opens(how, f"{fails}; setTimeout(() => analytics.track('t'))", ready=False)
    tab.wait_for_load_state("networkidle")
    assert collector.events == []
    if how == "snippet":
        visitor.until(lambda: any("Failed to load Analytics.js" in line for line in lines), "the console says so")
    visitor.errors = [error for error in visitor.errors if how == "snippet"]
    if how == "stock":  # which is why it is not served
        visitor.until(lambda: "api.segment.io" in visitor.hosts, "Segment's own build tells Segment")
        visitor.hosts.discard("api.segment.io")


def test_a_fault_of_ours_costs_the_page_no_event(visitor: Visitor, collector: Collector) -> None:
    tab = visitor.opens("snippet")
    tab.evaluate("() => { analytics.group = () => { throw new Error('ours') } }")
    tab.evaluate("analytics.track('t')")
    collector.wait("t")
    visitor.until(lambda: len(visitor.errors) > 0, "the page's console tells of it")
    assert all("[milonga] Error: ours" in error for error in visitor.errors)
    visitor.errors.clear()


def test_a_page_without_cookies_and_storage_works(visitor: Visitor, collector: Collector) -> None:
    visitor.context.add_init_script(
        """Object.defineProperty(window, 'localStorage', {get() { throw new Error('not allowed') }})
        Object.defineProperty(document, 'cookie', {get: () => '', set() {}})"""
    )
    tab = visitor.opens("snippet")
    tab.evaluate(
        "async () => { await analytics.identify('ada'); await analytics.group('acme'); await analytics.track('t') }"
    )
    assert collector.one("t")["context"]["groupId"] == "acme"
    assert collector.one("t")["userId"] == "ada"


def test_a_policy_that_keeps_events_back_is_told_with_the_way_out(visitor: Visitor, collector: Collector) -> None:
    lines: list[str] = []
    visitor.context.on("console", lambda message: lines.append(message.text))
    policy = '<meta http-equiv="Content-Security-Policy" content="connect-src \'self\'">'
    visitor.opens("snippet", f"document.head.insertAdjacentHTML('beforeend', `{policy}`); analytics.track('t')")
    wanted = f"allow {collector.url} in its connect-src."
    visitor.until(lambda: any(wanted in line for line in lines), "the console says what to allow")
    assert not any("classic" in line for line in collector.asked)
