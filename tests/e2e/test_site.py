"""
A person with a real Chromium clicks through the sample site: what the pretend Totango holds afterwards, request by
request, with Segment's snippet and with the bundled SDK, over http and over TLS.
"""

import json
import os
import re
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from milonga.destinations.pretend import Seen
from tests.chromium import chromium
from tests.e2e.shop import ANA, KEY, NORTE, SERVICE, SUR, Params, Shop, Visitor, opened, request
from tests.running import PATIENCE, eventually
from tests.sdks.tls import Certificate, certificate

SNIPPET, BUNDLE = "", "/npm"
BEAT = re.compile(r'"messageId":"(hb-[^"]+)"')

ANA_HERSELF = {"u_name": "Ana Díaz", "u_email": ANA, "u_instrument": "Bandoneon"}
SUR_ITSELF = {"o_account_name": "Orquesta Sur", "o_players": "34"}
NORTE_ITSELF = {"o_account_name": "Cuarteto Norte", "o_players": "4", "o_Status": "Free"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def viewed(section: str, name: str, account: str = SUR) -> list[Params]:
    """A page call's two activities."""
    return [
        request(account, a=f"Viewed {section} Page", m=section),
        request(account, a=f"Viewed {section} {name} Page", m=section),
    ]


def signed_in() -> list[Params]:
    """Identify came before group, so its traits follow the account."""
    return [
        request(**SUR_ITSELF, o_Status="Paying"),
        request(**ANA_HERSELF),
        request(a="Signed In", m="Welcome"),
        *viewed("Calendar", "Week"),
    ]


def holds(visitor: Visitor, expected: list[Params]) -> None:
    """Totango holds exactly this, and nothing more is to come."""
    shop, wanted = visitor.shop, Counter(expected)
    with suppress(AssertionError):  # what is missing is told below, in a way that can be read
        visitor.until(lambda: not wanted - shop.sent(), "all of it")
    visitor.until(shop.settled, "an outcome for every event")
    sent = shop.sent()
    assert (list(map(sorted, (wanted - sent).elements())), list(map(sorted, (sent - wanted).elements()))) == ([], [])


@pytest.mark.parametrize("way", [SNIPPET, BUNDLE], ids=["snippet", "npm"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "TLS"])
def test_a_whole_visit_is_in_totango_and_went_to_no_other_host(
    browser: Browser, tmp_path: Path, cert: Certificate, way: str, secure: bool
) -> None:
    with opened(tmp_path, way, cert if secure else None) as shop, Visitor(browser, shop) as ana:
        page = ana.page
        ana.signs_in()
        page.fill("[name=room]", "Sala Roja")
        page.click("text=Plan it")
        page.click("#rehearsals button >> nth=0")
        ana.goes_to("Library")
        page.click("button[data-title=Libertango]")
        page.click("button[data-parts='12']")
        ana.goes_to("Members")
        page.click("text=Invite >> nth=-1")
        ana.goes_to("Billing")
        page.check("[value=Canceled]")
        page.click("text=Change plan")
        page.select_option("#account", NORTE)
        ana.goes_to("Calendar")
        ana.signs_out()
        ana.goes_to("Library")
        holds(
            ana,
            [
                *signed_in(),
                request(a="Rehearsal Planned", m="Calendar"),
                request(a="Rehearsal Cancelled", m="Calendar"),
                *viewed("Library", "Scores"),
                request(a="Score Opened", m="Library"),
                request(a="Parts Printed", m="Printing"),
                *viewed("Members", "List"),
                request(a="Member Invited", m="Members"),
                *viewed("Billing", "Plan"),
                request(**SUR_ITSELF, o_Status="Canceled"),
                request(a="Plan Changed", m="Billing"),
                request(NORTE, **NORTE_ITSELF),
                request(NORTE, **ANA_HERSELF),
                request(NORTE, a="Orchestra Switched", m="Billing"),
                *viewed("Calendar", "Week", NORTE),
                request(NORTE, a="Signed Out", m="Calendar"),
            ],
        )
        assert ana.hosts == {shop.url.split("//")[1], shop.milonga.url.split("//")[1]}
        assert ana.errors == []
        # Anonymous pages at both ends, and the identify that came before its account was named.
        ends = {"delivered": 19, "missing_group_id": 4}
        ana.until(lambda: shop.ends() == ends, f"{ends}, and no more")
        assert len(shop.events()) == 23


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


@pytest.mark.parametrize("way", [SNIPPET, BUNDLE], ids=["snippet", "npm"])
def test_a_tab_closed_in_mid_flight_loses_nothing(browser: Browser, tmp_path: Path, way: str) -> None:
    """The server hangs while it is closed. What it had taken in by then, and what the next page sends, counts once."""
    with opened(tmp_path, way) as shop, Visitor(browser, shop) as ana:
        ana.signs_in()
        ana.goes_to("Library")
        holds(ana, before := [*signed_in(), *viewed("Library", "Scores")])

        def tracks() -> int:
            return sum(url.endswith("/v1/t") for url in ana.asked)

        already = tracks()
        os.kill(shop.milonga.pid, signal.SIGSTOP)
        try:
            for title in ("La cumparsita", "Libertango"):
                ana.page.click(f"button[data-title='{title}']")
            ana.page.click("button[data-parts='8']")
            ana.until(lambda: tracks() == already + 3, "under way")
            ana.page.close(run_before_unload=True)
            ana.until_closed()
        finally:
            os.kill(shop.milonga.pid, signal.SIGCONT)
        ana.page = ana.tab()
        ana.opens("members")
        holds(
            ana,
            [
                *before,
                *[request(a="Score Opened", m="Library")] * 2,
                request(a="Parts Printed", m="Printing"),
                *viewed("Members", "List"),
            ],
        )


@pytest.mark.parametrize("way", [SNIPPET, BUNDLE], ids=["snippet", "npm"])
def test_a_killed_server_is_clicked_on_and_everything_arrives_once(browser: Browser, tmp_path: Path, way: str) -> None:
    with opened(tmp_path, way) as shop, Visitor(browser, shop) as ana:
        ana.signs_in()
        ana.goes_to("Library")
        holds(ana, before := [*signed_in(), *viewed("Library", "Scores")])
        clicks = 0
        for number in range(12):
            if number == 4:
                shop.milonga.kill_collector()
            if number == 8:
                shop.milonga.start()
            ana.page.click("button[data-parts='12']")
            clicks += 1
        holds(ana, [*before, *[request(a="Parts Printed", m="Printing")] * clicks])
        assert ana.errors == []


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


@pytest.mark.parametrize("way", [SNIPPET, BUNDLE], ids=["snippet", "npm"])
def test_a_chosen_plan_stays_that_of_its_orchestra_and_every_click_is_answered(
    browser: Browser, tmp_path: Path, way: str
) -> None:
    with opened(tmp_path, way) as shop, Visitor(browser, shop) as ana:
        page = ana.page

        def told(
            count: int,
        ) -> None:  # the order of different accounts, or of requests side by side, is nobody's promise
            ana.until(lambda: len(statuses(shop)) == count, f"{count} plans told")

        ana.opens("billing")
        page.click("text=Change plan")
        assert "Sign in first" in page.inner_text("#plan-change [role=status]")
        ana.signs_in()
        ana.goes_to("Members")
        page.click("#invite button")
        assert "Bandoneon" in page.inner_text("#invite [role=status]")
        ana.goes_to("Billing")
        page.check("[value=Canceled]")
        page.click("text=Change plan")
        assert page.inner_text("#plan-change [role=status]") == "Orquesta Sur: Canceled from now on."
        told(2)
        page.select_option("#account", NORTE)
        told(3)
        assert (page.input_value("[name=plan]:checked"), page.inner_text("[role=status]")) == ("Free", "")
        page.select_option("#account", SUR)
        told(4)
        assert page.input_value("[name=plan]:checked") == "Canceled"
        ana.signs_out()
        ana.signs_in()
        ana.until(lambda: shop.names().count("Signed In") == 2, "signed in again")
        ana.until(shop.settled, "an outcome for every event")
        plans = [(seen.params["sdr_o"], seen.params["sdr_o.Status"]) for seen in statuses(shop)]
        assert plans == [(SUR, "Paying"), (SUR, "Canceled"), (NORTE, "Free"), (SUR, "Canceled"), (SUR, "Canceled")]


def statuses(shop: Shop) -> list[Seen]:
    return [seen for seen in shop.activities() if "sdr_o.Status" in seen.params]


def test_the_header_has_room_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    with opened(tmp_path, SNIPPET) as shop, Visitor(browser, shop) as ana:
        ana.page.set_viewport_size({"width": 360, "height": 740})
        ana.signs_in(NORTE)
        tops = ana.page.evaluate(
            "[...document.querySelectorAll('.brand, nav a, #account, #sign-out')].map((one) => {"
            " const box = one.getBoundingClientRect(); return Math.round((box.top + box.bottom) / 20) })"
        )
        assert len(set(tops)) == 2, tops
        assert ana.page.evaluate("document.documentElement.scrollWidth") == 360


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
