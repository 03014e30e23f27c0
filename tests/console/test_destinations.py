"""The pages of destinations over HTTP: the list, adding, switching, removing; what is refused, losing nothing."""

import sqlite3
from contextlib import closing

import pytest

from milonga.destinations import registry
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.conftest import KEY
from tests.console.destinations import HUSH, OFF, ON, added, config, in_force, saved, setting
from tests.console.harness import Console
from tests.console.reading import form, words
from tests.receiving import Receiving
from tests.running import Client, eventually, track

# -- the list, and adding


def test_the_catalogue_has_a_sentence_for_every_kind(console: Console) -> None:
    shown = words(console.get("/destinations/new").text)
    for kind in registry.kinds().values():
        assert kind.label in shown
        assert kind.summary in shown


def test_the_form_of_a_new_one_is_made_from_what_its_kind_declares(console: Console) -> None:
    shown = words(console.get("/destinations/new/totango", Role.editor).text)
    for label in ("Service ID", "Track Categorized Pages to Totango", "Disable the Totango Heartbeat", "SDR Token"):
        assert label in shown
    assert "Totango shows it under Settings, Developer Console." in shown
    assert console.get("/destinations/new/nothing", Role.editor).status == 404


def test_one_that_there_is_not_is_no_deed_that_failed(console: Console) -> None:
    looked, done = console.get("/destinations/nobody"), console.post("/destinations/nobody/remove", {"typed": "nobody"})
    assert (looked.status, done.status) == (404, 404)
    assert "There is nothing here" in looked.text
    assert "Nothing was changed" not in looked.text
    assert "That could not be done" in done.text
    assert "Nothing was changed" in done.text


def test_one_is_added_switched_on_by_its_form(console: Console, totango: Receiving) -> None:
    at = "/destinations/new/totango"
    sent = form(console.get(at, Role.editor).text, at)
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
    assert "by-form" in words(console.get("/destinations").text)


def test_what_was_typed_comes_back_with_what_is_wrong_and_never_a_secret(console: Console) -> None:
    at = "/destinations/new/totango"
    typed = {"name": "no good", "source": "web", "serviceId": " ", "defaultPlan": "My own", "sdrToken": HUSH}
    answer = console.post(at, {**form(console.get(at, Role.editor).text, at), **typed})
    shown = words(answer.text)
    assert answer.status == 422
    assert "A name has 1 to 64 characters" in shown
    assert "Without it nothing can be sent." in shown
    assert "type it once more" in shown
    assert HUSH not in answer.text
    again = form(answer.text, at)
    assert (again["name"], again["defaultPlan"], again["source"]) == (["no good"], ["My own"], ["web"])
    done = console.post(at, {**again, "name": "unfinished", "state": "off", "sdrToken": ""})
    assert done.status == 303
    assert (config(console, "unfinished").state, setting(console, "unfinished", "default_plan")) == (OFF, "My own")


def test_a_connection_can_be_tested_before_there_is_a_destination(console: Console, untouched: Receiving) -> None:
    at = "/destinations/new/totango"
    sent = form(console.get(at, Role.editor).text, at)
    for headers in ({"HX-Request": "true"}, {}):
        answer = console.post(f"{at}/test", {**sent, "name": "nowhere", "endpoint": untouched.url}, headers=headers)
        assert "is reachable, at 127.0.0.1" in words(answer.text)
    assert form(answer.text, at)["name"] == ["nowhere"]
    assert "Not tested" in words(console.post(f"{at}/test", {"region": "mars"}, headers={"HX-Request": "true"}).text)
    with Workspace.open(console.data) as workspace:
        assert all(one.name != "nowhere" for one in workspace.destinations())


def test_a_name_that_is_taken_and_a_source_that_is_none_are_told(console: Console) -> None:
    added(console, "taken")
    at = "/destinations/new/totango"
    answer = console.post(at, {"name": "taken", "source": "none", "serviceId": "SP-1-01"})
    assert answer.status == 422
    assert "There is a destination called taken already" in words(answer.text)
    assert "Choose the source" in words(answer.text)


# -- switches


def test_each_switch_says_beforehand_what_it_does_to_what_waits(console: Console, totango: Receiving) -> None:
    at = added(console, "switched", ON, endpoint=totango.url)
    console.post(f"{at}/state", {"state": "paused", "reason": "while they move"})
    assert config(console, "switched").changes[-1].reason == "while they move"
    in_force(console, at)
    with Client(console.milonga.port, KEY) as client:
        client.send([track(n, f"user-{n}", "acme") for n in range(3)])
    eventually(lambda: "The 3 waiting events go out first" in words(console.get(at, Role.editor).text), "three wait")
    shown = words(console.get(at, Role.editor).text)
    assert "Paused by the-editor while they move" in shown
    assert "The 3 waiting events are recorded as skipped (destination_off) and not sent." in shown
    console.post(f"{at}/state", {"state": "on"})
    eventually(lambda: totango.received() >= 3, "they are sent")
    eventually(lambda: "Nothing waits." in words(console.get(at, Role.editor).text), "nothing waits")
    console.post(f"{at}/state", {"state": "off"})
    assert config(console, "switched").state is OFF
    shown = words(console.get(at, Role.editor).text)
    assert "What arrived while it was off is not sent" in shown
    assert console.post(f"{at}/state", {"state": "paused"}).status == 422


def test_what_cannot_send_is_not_switched_on(console: Console) -> None:
    at = added(console, "empty", serviceId="")
    answer = console.post(f"{at}/state", {"state": "on"})
    assert (answer.status, answer.headers["location"]) == (303, f"{at}/settings")
    assert config(console, "empty").state is OFF
    assert "Until Service ID is set nothing can be sent" in words(console.get(at).text)


def test_a_change_says_when_it_is_in_force(console: Console, totango: Receiving) -> None:
    at = added(console, "forced", ON, endpoint=totango.url)
    assert saved(console, at, "/settings", region="eu1").status == 303
    told = in_force(console, at)
    assert "settings version 2" in told
    assert "hx-trigger" not in told, "nobody asks any more"


# -- removing, and who may


def test_removing_asks_for_the_name_and_leaves_the_history(console: Console) -> None:
    at = added(console, "going")
    number = config(console, "going").id
    answer = console.post(f"{at}/remove", {"typed": "goin"})
    assert answer.status == 422
    assert "Nothing was removed" in words(answer.text)
    assert console.post(f"{at}/remove", {"typed": "going"}).status == 303
    assert console.get(at).status == 404
    assert "going" in words(console.get("/destinations?removed=1").text)
    assert "Removed" in words(console.get(f"/destinations/~{number}").text)
    assert "Service ID (empty) → SP-1-01" in words(console.get(f"/destinations/~{number}/history").text)
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
        assert "is of kind gone, which this Milonga does not have" in words(answer.text)
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
