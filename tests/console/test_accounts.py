"""Accounts and the catalogue: what a person who looks after accounts is told."""

from collections.abc import Iterator
from html import unescape
from re import findall, sub

import pytest
from playwright.sync_api import Browser, expect

from milonga.api.client import Local
from milonga.workspace.roles import Role
from tests.console.furnished import furnished
from tests.console.harness import Console, console_of
from tests.running import eventually


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with furnished(tmp_path_factory.mktemp("accounts")) as running:
        eventually(lambda: "4 events of the last 7 days" in text_of(running, "/accounts"), "the index has all of it")
        yield running


def text_of(console: Console, path: str, status: int = 200) -> str:
    """What a page says, without its tags."""
    answer = console.get(path)
    assert answer.status == status, answer.text[:500]
    return " ".join(unescape(sub(r"<[^>]*>", " ", answer.text)).split())


def test_accounts_are_listed_with_name_and_id(console: Console) -> None:
    said = text_of(console, "/accounts")
    for words in ("Acme Corporation acme", "Umbrella & Sons umbrella", "All accounts"):
        assert words in said


def test_an_account_is_found_by_any_part_of_its_name(console: Console) -> None:
    said = text_of(console, "/accounts?q=SONS")
    assert "Umbrella & Sons" in said
    assert "Acme Corporation" not in said
    assert "Neither an id nor a name has “nothing like it” in it." in text_of(console, "/accounts?q=nothing+like+it")


def test_events_that_could_have_had_an_account_are_told_with_an_example(console: Console) -> None:
    page = console.get("/accounts").text
    assert "4 events of the last 7 days could have had an account" in page
    event = page.split('For example <a href="')[1].split('"')[0]
    group = page.split('whose user <a href="')[1].split('"')[0]
    assert "Server Side Job" in text_of(console, event)
    assert "group" in text_of(console, group)


def test_every_account_has_been_named_here(console: Console) -> None:
    assert "Every account has been named" in text_of(console, "/accounts?unnamed=1")


def test_an_account_says_what_is_wrong_and_what_became_of_its_events(console: Console) -> None:
    said = text_of(console, "/account?id=acme")
    for words in (
        "Acme Corporation acme, as events call it",
        "1 event did not reach totango",
        "totango-emea is paused waits for their go-ahead. Paused at the command line since",
        "of this account wait; nothing is lost",
        "What became of its newest 19 events",
        "Viewed Billing Page",
        "acme-user-2",
        "Refused Purchase",
    ):
        assert words in said
    assert "hooli" not in said
    assert 'href="/problems/dead?destination=totango&amp;account=acme"' in console.get("/account?id=acme").text


def test_the_part_of_each_user_is_of_all_events_of_the_account(console: Console) -> None:
    """Not of the largest: of which there is one in each list, and each would be whole."""
    page = console.get("/account?id=acme").text
    rows = page.split('aria-label="User of this account"')[1].split("</table>")[0]
    parts = [float(one) for one in findall(r'class="bar" width="([0-9.]+)"', rows)]
    events = [int(one) for one in findall(r'<td class="num">([0-9]+)</td>', rows)]
    assert sum(events) == 19
    assert parts == [round(100 * one / 19, 1) for one in events]
    assert f"{parts[0]} %" in rows


def test_an_account_says_that_what_its_users_do_names_it_no_longer(console: Console) -> None:
    """Nothing of the account itself tells so: its own events stop, and those that name none belong to nobody."""
    page = console.get("/account?id=acme").text
    assert "The newest event of 1 of the 3 users heard of last names no account" in page
    assert "Server Side Job" in text_of(console, page.split('">Events of acme-user-0')[0].rsplit('href="', 1)[1])


def test_its_timeline_goes_on_behind_any_event(console: Console) -> None:
    said = text_of(console, "/account?id=acme&before=0-5")
    assert "Timeline, further back" in said
    assert said.count("acme-user-0") == 4
    assert "No older events" in text_of(console, "/account?id=acme&before=0-1")


def test_an_unknown_account_is_told_with_those_that_are_alike(console: Console) -> None:
    said = text_of(console, "/account?id=ACME", 404)
    assert "Perhaps you mean one of these: acme Acme Corporation" in said
    assert "No event has named such an account" in text_of(console, "/account?id=%3Cb%3Enobody", 404)


def test_who_searches_events_by_an_accounts_name_is_led_to_its_id(console: Console) -> None:
    said = text_of(console, "/events?account=Umbrella+%26+Sons")
    assert "Nothing fits" in said
    assert "Perhaps you mean one of these: umbrella Umbrella & Sons" in said
    assert 'href="/events?account=umbrella"' in console.get("/events?account=Umbrella+%26+Sons").text
    assert "Perhaps you mean" not in text_of(console, "/events?account=umbrella&name=Nothing+like+it")
    told = Local(console.data).ask("getSummary", query={"account": "Umbrella & Sons"})
    assert "\nPerhaps you mean 'umbrella' (Umbrella & Sons)." in told.notes


def test_the_catalogue_has_modules_and_activities_with_their_accounts(console: Console) -> None:
    said = text_of(console, "/catalogue")
    for words in (
        "These names are fine",
        "7 modules",
        "15 activities",
        "Created Report 12 12 4",
        "Server Side Job 4 4 0",
    ):
        assert words in said
    assert "No module yet" in text_of(console, "/catalogue?source=ios-app")


def test_from_the_catalogue_one_comes_to_events_and_from_there_to_an_account(
    console: Console, browser: Browser
) -> None:
    with console.visiting(browser, Role.viewer) as page:
        page.goto(f"{console.url}/catalogue")
        page.get_by_role("link", name="Exports", exact=True).click()
        expect(page.get_by_label("Module, exactly")).to_have_value("Exports")
        rows = page.get_by_role("region", name="Events, one in each row").get_by_role("row")
        expect(rows).to_have_count(4)  # three, and the head
        page.goto(f"{console.url}/accounts")
        page.get_by_label("Id or name").fill("sons")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Umbrella & Sons").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Umbrella & Sons")
        page.get_by_role("link", name="umbrella-user-1").first.click()
        expect(page.get_by_label("User id")).to_have_value("umbrella-user-1")


def test_before_anything_has_come_each_page_says_what_will_be_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    with console_of(tmp_path_factory.mktemp("empty")) as console:
        assert "No account yet" in text_of(console, "/accounts")
        assert "No activity yet" in text_of(console, "/catalogue")
        assert "No such account" in text_of(console, "/account?id=acme", 404)
        assert console.get("/account").headers["location"] == "/accounts"
