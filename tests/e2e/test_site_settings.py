"""
A person with a real Chromium on the sample site while a destination's settings change: pages that are open obey them
within five seconds, reloaded ones do what the new ones say.
"""

import json
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.chromium import chromium
from tests.e2e.shop import ANA, KEY, NORTE, SERVICE, SUR, Shop, Visitor, opened, request
from tests.e2e.visits import ANA_HERSELF, BUNDLE, SNIPPET, holds, signed_in
from tests.running import PATIENCE, eventually

BEAT = re.compile(r'"messageId":"(hb-[^"]+)"')


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_the_browser_says_only_what_is_switched_on_and_reloaded_pages_obey_new_settings(
    browser: Browser, tmp_path: Path
) -> None:
    with opened(tmp_path, SNIPPET) as shop, Visitor(browser, shop) as ana:
        page, milonga = ana.page, shop.milonga
        ana.signs_in()
        holds(ana, signed_in())
        assert unbundled(ana) == ["Totango"]

        milonga.say("destinations", "disable", "totango")
        until_off(shop, ana)
        until_told(shop, [])
        before = list(shop.sent().elements())
        ana.reloads()
        ana.until(lambda: shop.events()[-1]["type"] == "page", "it is kept")
        assert unbundled(ana) == []

        milonga.say("destinations", "enable", "totango")
        until_told(shop, ["Totango"])
        page.click("#rehearsals button >> nth=0")  # on a page that was opened while it was off
        holds(ana, [*before, request(a="Rehearsal Cancelled", m="Calendar")])

        old = told(shop)
        milonga.say("destinations", "set", "totango", "serviceId=SP-2-02", "trackNamedPages=false")
        shop.totango.clear()
        in_force(shop, ana)
        eventually(lambda: told(shop) != old, "pages learn that the service is another")
        shop.totango.clear()
        ana.reloads()
        # The new service knows nothing of her yet.
        holds(ana, [request(a="Viewed Calendar Page", m="Calendar"), request(**ANA_HERSELF)])
        assert {seen.params["sdr_s"] for seen in shop.activities()} == {"SP-2-02"}
        assert unbundled(ana) == ["Totango"]


def in_force(shop: Shop, visitor: Visitor) -> None:
    """Click until the new Service ID is used: it takes up to five seconds."""

    def used() -> bool:
        seen = len(shop.activities())
        visitor.page.click("text=Plan it")
        visitor.until(lambda: len(shop.activities()) > seen, "it came")
        return bool(shop.activities()[-1].params["sdr_s"] == "SP-2-02")

    visitor.until(used, "the new Service ID")


def until_off(shop: Shop, visitor: Visitor) -> None:
    """Click until nothing comes of it within a second: that takes up to five."""

    def off() -> bool:
        sent, kept = len(shop.activities()), len(shop.events())
        visitor.page.click("text=Plan it")
        visitor.until(lambda: len(shop.events()) > kept, "it is kept")
        with suppress(AssertionError):
            eventually(lambda: len(shop.activities()) > sent, "it came", 1.0)
        return len(shop.activities()) == sent

    visitor.until(off, "Totango is off")


def until_told(shop: Shop, labels: list[str]) -> None:
    """Until pages opened now learn that these are on."""

    def learned() -> bool:
        return bool(told(shop)["integrations"]["Segment.io"]["unbundledIntegrations"] == labels)

    eventually(learned, f"pages learn of {labels}")


def told(shop: Shop) -> Any:
    """What pages opened now learn."""
    with urllib.request.urlopen(f"{shop.milonga.url}/v1/projects/{KEY}/settings", timeout=PATIENCE) as answer:  # noqa: S310
        return json.load(answer)


def told_of_totango(shop: Shop) -> dict[str, Any]:
    (found,) = told(shop)["remotePlugins"][0]["settings"]["destinations"]
    return dict(found)


def unbundled(visitor: Visitor) -> list[str]:
    """What the page believes the server to deliver to."""
    return list(visitor.shop.events()[-1]["_metadata"]["unbundled"])


def test_a_page_in_use_sends_a_heartbeat_a_minute_until_that_is_switched_off(browser: Browser, tmp_path: Path) -> None:
    with opened(tmp_path, SNIPPET, settings={"disableHeartbeat": False}) as shop, Visitor(browser, shop) as ana:
        beats: set[str] = set()  # that the page has sent, by message id
        ana.context.on("request", lambda request: beats.update(BEAT.findall(request.post_data or "")))
        ana.context.clock.install()
        ana.signs_in()
        ana.uses_it_for_a_minute()
        ana.until(lambda: heartbeats(shop) == [(SUR, ANA, "Calendar", "POST")], "a heartbeat")
        ana.page.click("text=Plan it")
        holds(ana, [*signed_in(), request(a="Rehearsal Planned", m="Calendar")])

        shop.milonga.say("destinations", "set", "totango", "disableHeartbeat=true")

        def skipped() -> bool:
            ana.uses_it_for_a_minute()
            return "heartbeat_disabled" in shop.ends()

        ana.until(skipped, "the heartbeat of a page that was opened before is skipped")
        eventually(lambda: not told_of_totango(shop)["heartbeat"], "pages opened now are told")
        ana.until(lambda: beats <= {event["messageId"] for event in shop.events()}, "all of them have come")
        pages = [event["type"] for event in shop.events()].count("page")
        ana.reloads()
        ana.until(lambda: [event["type"] for event in shop.events()].count("page") > pages, "it is kept")
        before = len(shop.events())
        ana.uses_it_for_a_minute()
        ana.page.click("text=Plan it")
        ana.until(lambda: shop.events()[-1].get("event") == "Rehearsal Planned", "it is kept")
        assert [event.get("event") for event in shop.events()[before:]] == ["Rehearsal Planned"]


def heartbeats(shop: Shop) -> list[tuple[str, ...]]:
    """Account, user, module, and how each was sent."""
    return [
        (*(seen.params[name] for name in ("sdr_o", "sdr_u", "sdr_m")), seen.method)
        for seen in shop.totango.requests()
        if seen.params.get("sdr_a") == "__heartbeat"
    ]


@pytest.mark.parametrize("way", [SNIPPET, BUNDLE], ids=["snippet", "npm"])
def test_in_device_mode_the_page_sends_what_it_can_itself_and_nothing_counts_twice(
    browser: Browser, tmp_path: Path, way: str
) -> None:
    device = {"connectionMode": "device", "disableHeartbeat": False}
    with opened(tmp_path, way, settings=device) as shop, Visitor(browser, shop) as ana:
        page = ana.page
        page.route("**/totango.js", lambda route: route.abort())  # as an ad blocker does: the server sends for it
        ana.signs_in()
        holds(ana, before := signed_in())
        assert by_page(shop) == []

        page.unroute_all()
        ana.goes_to("Library")
        ana.until(lambda: pinged_from(shop, "/library"), "Totango's script at work")
        page.click("button[data-title=Libertango]")
        page.click("button[data-parts='12']")
        page.select_option("#account", NORTE)
        wanted = Counter(dict(one)["sdr_a"] for one in before if "sdr_a" in dict(one))
        wanted.update(("Viewed Library Page", "Viewed Library Scores Page"))
        wanted.update(("Score Opened", "Parts Printed", "Orchestra Switched"))
        ana.until(lambda: not wanted - Counter(shop.names()), "all activities")
        of_norte = {"sdr_odn": "Cuarteto Norte", "sdr_o.players": "4", "sdr_u.name": "Ana Díaz"}.items()
        ana.until(lambda: any(of_norte <= seen.params.items() for seen in shop.totango.requests()), "the new account")
        ana.until(shop.settled, "an outcome for every event")
        assert Counter(shop.names()) == wanted
        assert {name: module for name, module in by_page(shop) if not name.startswith("Viewed")} == {
            "Score Opened": "Library",
            "Parts Printed": "Printing",
            "Orchestra Switched": "Library",
        }
        assert {seen.params["sdr_s"] for seen in shop.totango.requests()} == {SERVICE}
        assert {seen.method for seen in shop.totango.requests() if seen.params["sdr_o"] == NORTE} == {"GET"}
        bundled = [event for event in shop.events() if "Totango" in event["_metadata"]["bundled"]]
        assert shop.ends()["sent_by_browser"] == len(bundled) >= 4
        assert ana.hosts == {url.split("//")[1] for url in (shop.url, shop.milonga.url, shop.totango.url)}


def by_page(shop: Shop) -> list[tuple[str, str]]:
    """Activities that Totango's script sent from the page, with their modules."""
    return [(seen.params["sdr_a"], seen.params["sdr_m"]) for seen in shop.activities() if seen.method == "GET"]


def pinged_from(shop: Shop, path: str) -> bool:
    """Whether the page that is there has told Totango's script who uses it."""
    return any(seen.params.get("sdrurl", "").endswith(path) for seen in shop.totango.requests())
