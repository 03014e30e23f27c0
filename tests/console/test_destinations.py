"""The pages of destinations over HTTP: what they show and change, and what they refuse without losing anything."""

import html
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from milonga.destinations import registry
from milonga.destinations.totango.fake import pretend
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.harness import Answer, Console, console_of
from tests.receiving import Receiving
from tests.running import Client, eventually, track

KEY = "k-destinations"
HUSH = "hush-hush-4711"
ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused


@pytest.fixture(scope="module")
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


@pytest.fixture
def untouched() -> Iterator[Receiving]:
    """One that nothing is sent to."""
    with Receiving(pretend) as receiving:
        yield receiving
        assert receiving.received() == 0


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("destinations")) as running:
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
            workspace.sources.add("app")
        yield running


def added(console: Console, name: str, state: DestinationState = OFF, **settings: Any) -> str:
    """A Totango of this name, from the command line; the address of its pages."""
    with Workspace.open(console.data) as workspace:
        workspace.add_destination("totango", "web", name, {"serviceId": "SP-1-01", **settings}, state, {0: 0})
    return f"/destinations/{name}"


def config(console: Console, name: str) -> DestinationConfig:
    with Workspace.open(console.data) as workspace:
        return workspace.destination(name)


def destinations(console: Console) -> tuple[DestinationConfig, ...]:
    with Workspace.open(console.data) as workspace:
        return workspace.destinations()


def setting(console: Console, name: str, which: str) -> Any:
    return getattr(config(console, name).settings, which)


def words(answer: Answer) -> str:
    """What a reader sees of a page, in one line."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", text).split()))


def form(answer: Answer, action: str) -> dict[str, Any]:
    """What a browser sends of this form, untouched. Lists for names that come twice."""
    found = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', answer.text, re.DOTALL)
    assert found is not None, action
    sent: dict[str, list[str]] = {}
    for tag in re.findall(r"<input\b[^>]*>|<select\b.*?</select>|<textarea\b.*?</textarea>", found[1], re.DOTALL):
        name = re.search(r'\bname="([^"]*)"', tag)
        if name is None or (('type="checkbox"' in tag or 'type="radio"' in tag) and " checked" not in tag):
            continue
        if tag.startswith("<input"):
            value = re.search(r'\bvalue="([^"]*)"', tag)
            text = value[1] if value else ""
        elif tag.startswith("<select"):
            chosen = re.search(r'<option value="([^"]*)" selected>', tag) or re.search(r'<option value="([^"]*)"', tag)
            text = chosen[1] if chosen else ""
        else:
            text = re.sub(r"^<textarea[^>]*>\n?|</textarea>$", "", tag).replace("\n", "\r\n")
        sent.setdefault(html.unescape(name[1]), []).append(html.unescape(text))
    sent.pop("csrf", None)
    return dict(sent)


def saved(console: Console, at: str, tab: str, **typed: Any) -> Answer:
    """The form of this tab, with these fields typed over."""
    return console.post(at + tab, {**form(console.get(at + tab, Role.editor), at + tab), **typed})


def in_force(console: Console, at: str) -> str:
    """What the page says once its settings and its state are."""

    def told() -> str:
        return console.get(f"{at}/in-force", headers={"HX-Request": "true"}).text

    eventually(lambda: "In force since" in told(), "it is in force")
    return told()


# -- the list, and adding


def test_the_catalogue_has_a_sentence_for_every_kind(console: Console) -> None:
    shown = words(console.get("/destinations/new"))
    for kind in registry.kinds().values():
        assert kind.label in shown
        assert kind.summary in shown


def test_the_form_of_a_new_one_is_made_from_what_its_kind_declares(console: Console) -> None:
    shown = words(console.get("/destinations/new/totango", Role.editor))
    for label in ("Service ID", "Track Categorized Pages to Totango", "Disable the Totango Heartbeat", "SDR Token"):
        assert label in shown
    assert "Totango shows it under Settings, Developer Console." in shown
    assert console.get("/destinations/new/nothing", Role.editor).status == 404


def test_one_is_added_switched_on_by_its_form(console: Console, totango: Receiving) -> None:
    at = "/destinations/new/totango"
    sent = form(console.get(at, Role.editor), at)
    assert sent["name"] == ["totango"]
    typed = {"name": "by-form", "source": "web", "serviceId": "SP-1-01", "sdrToken": HUSH, "endpoint": totango.url}
    done = console.post(at, {**sent, **typed})
    assert (done.status, done.headers["location"]) == (303, "/destinations/by-form")
    made = config(console, "by-form")
    assert made.state is ON
    assert (setting(console, "by-form", "service_id"), setting(console, "by-form", "sdr_token")) == ("SP-1-01", HUSH)
    assert made.changes[0].by == "user:the-editor"
    page = console.get("/destinations/by-form/settings")
    assert HUSH not in page.text
    assert "set; leave empty to keep it" in page.text
    assert "by-form" in words(console.get("/destinations"))


def test_what_was_typed_comes_back_with_what_is_wrong_and_never_a_secret(console: Console) -> None:
    at = "/destinations/new/totango"
    typed = {"name": "no good", "source": "web", "serviceId": " ", "defaultPlan": "My own", "sdrToken": HUSH}
    answer = console.post(at, {**form(console.get(at, Role.editor), at), **typed})
    shown = words(answer)
    assert answer.status == 422
    assert "A name has 1 to 64 characters" in shown
    assert "Without it nothing can be sent." in shown
    assert "type it once more" in shown
    assert HUSH not in answer.text
    again = form(answer, at)
    assert (again["name"], again["defaultPlan"], again["source"]) == (["no good"], ["My own"], ["web"])
    done = console.post(at, {**again, "name": "unfinished", "state": "off", "sdrToken": ""})
    assert done.status == 303
    assert (config(console, "unfinished").state, setting(console, "unfinished", "default_plan")) == (OFF, "My own")


def test_a_connection_can_be_tested_before_there_is_a_destination(console: Console, untouched: Receiving) -> None:
    at = "/destinations/new/totango"
    sent = form(console.get(at, Role.editor), at)
    for headers in ({"HX-Request": "true"}, {}):
        answer = console.post(f"{at}/test", {**sent, "name": "nowhere", "endpoint": untouched.url}, headers=headers)
        assert "is reachable, at 127.0.0.1" in words(answer)
    assert form(answer, at)["name"] == ["nowhere"]
    assert "Not tested" in words(console.post(f"{at}/test", {"region": "mars"}, headers={"HX-Request": "true"}))
    assert all(one.name != "nowhere" for one in destinations(console))


def test_a_name_that_is_taken_and_a_source_that_is_none_are_told(console: Console) -> None:
    added(console, "taken")
    at = "/destinations/new/totango"
    answer = console.post(at, {"name": "taken", "source": "none", "serviceId": "SP-1-01"})
    assert answer.status == 422
    assert "There is a destination called taken already" in words(answer)
    assert "Choose the source" in words(answer)


# -- switches


def test_each_switch_says_beforehand_what_it_does_to_what_waits(console: Console, totango: Receiving) -> None:
    at = added(console, "switched", ON, endpoint=totango.url)
    console.post(f"{at}/state", {"state": "paused", "reason": "while they move"})
    assert config(console, "switched").changes[-1].reason == "while they move"
    in_force(console, at)
    with Client(console.milonga.port, KEY) as client:
        client.send([track(n, f"user-{n}", "acme") for n in range(3)])
    eventually(lambda: "The 3 waiting events go out first" in words(console.get(at, Role.editor)), "three wait")
    shown = words(console.get(at, Role.editor))
    assert "Paused by the-editor while they move" in shown
    assert "The 3 waiting events are recorded as skipped (destination_off) and not sent." in shown
    console.post(f"{at}/state", {"state": "on"})
    eventually(lambda: totango.received() >= 3, "they are sent")
    eventually(lambda: "Nothing waits." in words(console.get(at, Role.editor)), "nothing waits")
    console.post(f"{at}/state", {"state": "off"})
    assert config(console, "switched").state is OFF
    shown = words(console.get(at, Role.editor))
    assert "What arrived while it was off is not sent" in shown
    assert console.post(f"{at}/state", {"state": "paused"}).status == 422


def test_what_cannot_send_is_not_switched_on(console: Console) -> None:
    at = added(console, "empty", serviceId="")
    answer = console.post(f"{at}/state", {"state": "on"})
    assert (answer.status, answer.headers["location"]) == (303, f"{at}/settings")
    assert config(console, "empty").state is OFF
    assert "Until Service ID is set nothing can be sent" in words(console.get(at))


def test_a_change_says_when_it_is_in_force(console: Console, totango: Receiving) -> None:
    at = added(console, "forced", ON, endpoint=totango.url)
    assert saved(console, at, "/settings", region="eu1").status == 303
    told = in_force(console, at)
    assert "settings version 2" in told
    assert "hx-trigger" not in told, "nobody asks any more"


# -- settings


def test_only_what_was_touched_becomes_a_new_version(console: Console) -> None:
    at = added(console, "touched", sdrToken=HUSH)
    answer = saved(console, at, "/settings")
    assert answer.status == 303
    assert config(console, "touched").settings_version == 1
    assert saved(console, at, "/settings", defaultPlan="", trackNamedPages="false").status == 303
    assert config(console, "touched").settings_version == 2
    assert (setting(console, "touched", "default_plan"), setting(console, "touched", "sdr_token")) == ("", HUSH)
    assert setting(console, "touched", "track_named_pages") is False


def test_a_secret_is_kept_changed_or_emptied_and_never_shown(console: Console) -> None:
    at = added(console, "secretive")
    assert saved(console, at, "/settings", sdrToken=HUSH).status == 303
    assert setting(console, "secretive", "sdr_token") == HUSH
    for page in ("/settings", "/history", ""):
        assert HUSH not in console.get(at + page, Role.administrator).text
    assert saved(console, at, "/settings", **{"sdrToken.clear": "true"}).status == 303
    assert setting(console, "secretive", "sdr_token") == ""


def test_what_is_wrong_with_a_setting_is_told_beside_it_and_nothing_is_saved(console: Console) -> None:
    at = added(console, "wrong")
    answer = saved(
        console, at, "/settings", region="mars", endpoint="ftp://x.example", defaultPlan="Kept", sdrToken=HUSH
    )
    assert answer.status == 422
    assert "Must be one of eu, eu1, us" in words(answer)
    assert "The address must begin with https://" in words(answer)
    assert HUSH not in answer.text
    assert form(answer, f"{at}/settings")["defaultPlan"] == ["Kept"]
    assert config(console, "wrong").settings_version == 1
    answer = saved(console, at, "/delivery", concurrency="many", timeout="0")
    assert answer.status == 422
    assert "Must be a whole number, not 'many'." in words(answer)
    assert form(answer, f"{at}/delivery")["concurrency"] == ["many"]


def test_what_is_on_keeps_what_it_cannot_do_without(console: Console, totango: Receiving) -> None:
    at = added(console, "needy", ON, endpoint=totango.url)
    answer = saved(console, at, "/settings", serviceId="")
    assert answer.status == 422
    assert "Without it nothing can be sent." in words(answer)
    assert setting(console, "needy", "service_id") == "SP-1-01"


def test_two_who_edit_at_once_take_nothing_back_from_each_other(console: Console) -> None:
    at = added(console, "shared")
    first = form(console.get(f"{at}/settings", Role.editor), f"{at}/settings")
    console.post(f"{at}/settings", {**first, "region": "eu1", "defaultModule": "Shop"}, Role.administrator)
    done = console.post(f"{at}/settings", {**first, "defaultPlan": "Trial"})
    assert done.status == 303
    assert (setting(console, "shared", "region"), setting(console, "shared", "default_plan")) == ("eu1", "Trial")
    clash = console.post(f"{at}/settings", {**first, "region": "us", "moduleFromUrl": "false"})
    assert clash.status == 422
    assert "the-administrator has changed it since this page was loaded" in words(clash)
    again = form(clash, f"{at}/settings")
    assert (again["region"], again["defaultModule"]) == (["us"], ["Shop"]), "theirs is shown, mine is kept"
    assert console.post(f"{at}/settings", again).status == 303
    assert (setting(console, "shared", "region"), setting(console, "shared", "default_module")) == ("us", "Shop")


def test_delivery_settings_have_a_form_with_their_bounds(console: Console) -> None:
    at = added(console, "delivered")
    assert "1 to 1,000" in words(console.get(f"{at}/delivery"))
    assert saved(console, at, "/delivery", concurrency="8", rateLimit="0.5", maxAge="").status == 303
    delivery = config(console, "delivered").delivery
    assert (delivery.concurrency, delivery.rate_limit, delivery.max_age) == (8, 0.5, 86_400)


def test_a_connection_is_tested_with_what_is_typed_and_nothing_is_sent_or_stored(
    console: Console, untouched: Receiving
) -> None:
    at = added(console, "tested")
    typed = form(console.get(f"{at}/settings", Role.editor), f"{at}/settings") | {"endpoint": untouched.url}
    for headers in ({"HX-Request": "true"}, {}):
        answer = console.post(f"{at}/settings/test", typed, headers=headers)
        assert answer.status == 200
        assert "is reachable, at 127.0.0.1" in words(answer)
        assert "confirms neither" in words(answer)
    assert form(answer, f"{at}/settings")["endpoint"] == [untouched.url], "what was typed is still there"
    assert setting(console, "tested", "endpoint") == ""
    answer = console.post(f"{at}/settings/test", {**typed, "endpoint": "http://127.0.0.1:1/"})
    assert "Not reachable" in words(answer)
    assert "does a firewall let this machine through?" in words(answer)
    answer = console.post(f"{at}/settings/test", {**typed, "region": "mars"}, headers={"HX-Request": "true"})
    assert "Not tested" in words(answer)


# -- history


def test_the_history_tells_who_changed_what_and_one_click_takes_it_back(console: Console) -> None:
    at = added(console, "undone", sdrToken=HUSH)
    saved(console, at, "/settings", region="eu1", sdrToken="another", trackNamedPages="false")
    shown = words(console.get(f"{at}/history", Role.editor))
    assert "by the-editor" in shown
    assert "Region (empty) → eu1" in shown
    assert "SDR Token Another secret." in shown
    assert "Track Named Pages to Totango on → off" in shown
    undo = form(console.get(f"{at}/history", Role.editor), f"{at}/undo")
    assert undo == {"version": ["1"]}
    done = console.post(f"{at}/undo", undo)
    assert (done.status, done.headers["location"]) == (303, f"{at}/history")
    assert (setting(console, "undone", "region"), setting(console, "undone", "sdr_token")) == ("", HUSH)
    assert config(console, "undone").settings_version == 3
    assert console.post(f"{at}/undo", {"version": "99"}).status == 404


def test_a_long_history_goes_page_by_page(console: Console) -> None:
    at = added(console, "long")
    with Workspace.open(console.data) as workspace:
        for number in range(60):
            workspace.set_settings("long", {"defaultPlan": f"plan-{number}"})
    first = console.get(f"{at}/history")
    assert "plan-59" in first.text
    assert "plan-5 " not in words(first)
    older = re.search(r'href="([^"]*before=\d+)"', first.text)
    assert older is not None
    rest = words(console.get(html.unescape(older[1])))
    assert "Default Plan Free → plan-0" in rest
    assert "Settings, version 1" in rest
    assert "Older" not in rest


# -- filters


def test_filters_are_added_edited_reordered_and_removed(console: Console) -> None:
    at = f"{added(console, 'filtered')}/filters"
    rule = {"name": "no-tests", "when": 'event.startsWith("Test")', "do": "drop"}
    assert console.post(f"{at}/new", rule).status == 303
    sample = {"name": "some", "when": "", "do": "sample", "share": "10", "by": "accountId", "fields": "ignored"}
    assert console.post(f"{at}/new", sample).status == 303
    mask = {"name": "mails", "when": "", "do": "mask", "fields": "properties.email\r\ntraits.email", "share": "x"}
    assert console.post(f"{at}/new", mask).status == 303
    assert console.post(f"{at}/move", {"filter": "mails", "way": "up"}).status == 303
    changed = {**rule, "name": "no-checks", "when": 'event.startsWith("Check")'}
    assert console.post(f"{at}/edit/no-tests", changed).status == 303
    rules = config(console, "filtered").delivery.filters
    assert [one.name for one in rules] == ["no-checks", "mails", "some"]
    assert (rules[1].fields, rules[2].share, rules[2].by) == (("properties.email", "traits.email"), 0.1, "accountId")
    shown = words(console.get(at))
    assert 'no-checks event.startsWith("Check") drop' in shown
    assert "keep 10 % by accountId" in shown
    assert console.post(f"{at}/remove", {"filter": "some"}).status == 303
    assert console.post(f"{at}/remove", {"filter": "some"}).status == 404
    history = words(console.get("/destinations/filtered/history"))
    assert "Filter some keep 10 % by accountId → (none)" in history


def test_what_is_wrong_with_a_filter_is_told_where_it_is(console: Console) -> None:
    at = f"{added(console, 'misfiltered')}/filters"
    answer = console.post(f"{at}/new", {"name": "My Filter", "when": "event = 1", "do": "sample", "share": "200"})
    shown = words(answer)
    assert answer.status == 422
    assert "at character 7" in shown
    assert "is a percentage between 0 and 100" in shown
    assert "event = 1" in answer.text
    answer = console.post(f"{at}/new", {"name": "My Filter", "when": "", "do": "drop"})
    assert "is no name for a filter" in words(answer)
    part = console.post(f"{at}/check", {"when": "event = 1"}, headers={"HX-Request": "true"})
    assert "<mark>=</mark>" in part.text
    part = console.post(f"{at}/check", {"when": "a" * 5_000}, headers={"HX-Request": "true"})
    assert "5,000 characters, 1,000 at most" in words(part)
    part = console.post(f"{at}/check", {"when": 'properties.plan == "x"'}, headers={"HX-Request": "true"})
    assert "It asks for properties.plan" in words(part)
    assert config(console, "misfiltered").delivery.filters == ()


def test_a_filter_is_tried_on_recent_events_before_it_holds(console: Console, totango: Receiving) -> None:
    at = f"{added(console, 'tried', OFF)}/filters"
    with Client(console.milonga.port, KEY) as client:
        client.send([track(1000 + n, f"user-{n}", "acme", event="Tried it") for n in range(4)])
    rule = {"name": "no-tries", "when": 'event == "Tried it"', "do": "drop", "editing": ""}
    answer = console.post(f"{at}/try", rule, headers={"HX-Request": "true"})
    assert answer.status == 200
    row = re.search(r"no-tries.*?</tr>", answer.text, re.DOTALL)
    assert row is not None
    assert re.findall(r">(\d+)<", row[0])[:2] == ["4", "4"]
    assert "would be sent" in words(answer)
    assert config(console, "tried").delivery.filters == ()
    assert console.get(f"{at}/tried").status == 200


def test_consent_categories_are_saved_on_their_own(console: Console) -> None:
    at = added(console, "consented")
    sent = form(console.get(f"{at}/filters", Role.editor), f"{at}/filters/consent")
    done = console.post(f"{at}/filters/consent", {**sent, "consentCategories": "ads\r\nanalytics"})
    assert done.status == 303
    assert config(console, "consented").delivery.consent_categories == ("ads", "analytics")


# -- removing, and who may


def test_removing_asks_for_the_name_and_leaves_the_history(console: Console) -> None:
    at = added(console, "going")
    number = config(console, "going").id
    answer = console.post(f"{at}/remove", {"typed": "goin"})
    assert answer.status == 422
    assert "Nothing was removed" in words(answer)
    assert console.post(f"{at}/remove", {"typed": "going"}).status == 303
    assert console.get(at).status == 404
    assert "going" in words(console.get("/destinations?removed=1"))
    assert "Removed" in words(console.get(f"/destinations/~{number}"))
    assert "Service ID (empty) → SP-1-01" in words(console.get(f"/destinations/~{number}/history"))
    assert console.get(f"/destinations/~{number}/settings").status == 404


def test_a_name_that_leads_elsewhere_in_an_address_has_its_pages_by_its_number(console: Console) -> None:
    added(console, "new")
    number = config(console, "new").id
    assert f'href="/destinations/~{number}"' in console.get("/destinations").text
    assert console.get(f"/destinations/~{number}/settings").status == 200


def test_one_of_a_kind_that_is_gone_can_still_be_looked_at_and_switched_off(console: Console) -> None:
    at = added(console, "orphan")
    with closing(sqlite3.connect(console.data / "workspace.db")) as db, db:
        db.execute("UPDATE destination SET kind = 'gone' WHERE name = 'orphan'")
    assert console.get(at, Role.editor).status == 200
    assert console.get(f"{at}/history", Role.editor).status == 200
    for tab in ("/settings", "/delivery", "/filters"):
        answer = console.get(at + tab, Role.editor)
        assert answer.status == 422
        assert "is of kind gone, which this Milonga does not have" in words(answer)
    assert console.post(f"{at}/remove", {"typed": "orphan"}).status == 303


def test_a_viewer_sees_all_of_it_and_is_offered_no_change(console: Console) -> None:
    at = added(console, "viewed")
    for tab in ("", "/settings", "/delivery", "/filters", "/history"):
        answer = console.get(at + tab, Role.viewer)
        assert answer.status == 200
        main = answer.text.partition("<main")[2]
        assert ">Save<" not in main
        assert "/undo" not in main
        assert "/state" not in main
    assert '<fieldset class="all" disabled>' in console.get(f"{at}/settings", Role.viewer).text
    assert console.post(f"{at}/settings", {"region": "eu1"}, Role.viewer).status == 403
    assert setting(console, "viewed", "region") == ""


@pytest.mark.parametrize("name", ["none", "~0", "~4711", "~x", "%3Cscript%3E"])
def test_a_destination_that_is_none_is_not_found(console: Console, name: str) -> None:
    for tab in ("", "/settings", "/filters", "/history", "/in-force"):
        answer = console.get(f"/destinations/{name}{tab}")
        assert answer.status == 404
        assert "<script>" not in answer.text
