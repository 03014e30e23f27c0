"""
A person with a real Chromium clicks through the sample site: what the pretend Totango holds afterwards, request by
request, with Segment's snippet and with the bundled SDK, over http and over TLS.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from milonga.destinations.pretend import Seen
from tests.chromium import chromium
from tests.e2e.shop import NORTE, SUR, Shop, Visitor, opened, request
from tests.e2e.visits import ANA_HERSELF, BUNDLE, NORTE_ITSELF, SNIPPET, SUR_ITSELF, holds, signed_in, viewed
from tests.sdks.tls import Certificate, certificate


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("way", [SNIPPET, BUNDLE], ids=["snippet", "npm"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "TLS"])
def test_a_whole_visit_is_in_totango_and_went_to_no_other_host(
    browser: Browser, tmp_path: Path, cert: Certificate, way: str, secure: bool
) -> None:
    with opened(tmp_path, way, cert if secure else None) as shop, Visitor(browser, shop) as ana:
        page = ana.page
        ana.signs_in()
        until_known(ana, SUR)
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
        until_known(ana, NORTE)
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
        again = sum(event["messageId"].startswith("again-") for event in shop.events())
        ends = {"delivered": 17 + again, "missing_group_id": 4}
        ana.until(lambda: shop.ends() == ends, f"{ends}, and no more")
        assert len(shop.events()) == 21 + again


def until_known(visitor: Visitor, account: str) -> None:
    """
    Totango knows who she is in this account. A page that is left before that owes it to the next one, which tells it
    two seconds after it has loaded: nobody here stays so long.
    """
    visitor.until(lambda: request(account, **ANA_HERSELF) in visitor.shop.sent(), f"{account} knows who she is")


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
