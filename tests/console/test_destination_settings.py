"""The settings of a destination on its pages: forms, tests of the connection, history and the way back."""

import html
import re

from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.destinations import HUSH, ON, added, config, saved, setting
from tests.console.harness import Console
from tests.console.reading import form, words
from tests.receiving import Receiving


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
    assert "Must be one of eu, eu1, us" in words(answer.text)
    assert "The address must begin with https://" in words(answer.text)
    assert HUSH not in answer.text
    assert form(answer.text, f"{at}/settings")["defaultPlan"] == ["Kept"]
    assert config(console, "wrong").settings_version == 1
    answer = saved(console, at, "/delivery", concurrency="many", timeout="0")
    assert answer.status == 422
    assert "Must be a whole number, not 'many'." in words(answer.text)
    assert form(answer.text, f"{at}/delivery")["concurrency"] == ["many"]


def test_what_is_on_keeps_what_it_cannot_do_without(console: Console, totango: Receiving) -> None:
    at = added(console, "needy", ON, endpoint=totango.url)
    answer = saved(console, at, "/settings", serviceId="")
    assert answer.status == 422
    assert "Without it nothing can be sent." in words(answer.text)
    assert setting(console, "needy", "service_id") == "SP-1-01"


def test_two_who_edit_at_once_take_nothing_back_from_each_other(console: Console) -> None:
    at = added(console, "shared")
    first = form(console.get(f"{at}/settings", Role.editor).text, f"{at}/settings")
    console.post(f"{at}/settings", {**first, "region": "eu1", "defaultModule": "Shop"}, Role.administrator)
    done = console.post(f"{at}/settings", {**first, "defaultPlan": "Trial"})
    assert done.status == 303
    assert (setting(console, "shared", "region"), setting(console, "shared", "default_plan")) == ("eu1", "Trial")
    clash = console.post(f"{at}/settings", {**first, "region": "us", "moduleFromUrl": "false"})
    assert clash.status == 422
    assert "the-administrator has changed it since this page was loaded" in words(clash.text)
    again = form(clash.text, f"{at}/settings")
    assert (again["region"], again["defaultModule"]) == (["us"], ["Shop"]), "theirs is shown, mine is kept"
    assert console.post(f"{at}/settings", again).status == 303
    assert (setting(console, "shared", "region"), setting(console, "shared", "default_module")) == ("us", "Shop")


def test_delivery_settings_have_a_form_with_their_bounds(console: Console) -> None:
    at = added(console, "delivered")
    assert "1 to 1,000" in words(console.get(f"{at}/delivery").text)
    assert saved(console, at, "/delivery", concurrency="8", rateLimit="0.5", maxAge="").status == 303
    delivery = config(console, "delivered").delivery
    assert (delivery.concurrency, delivery.rate_limit, delivery.max_age) == (8, 0.5, 86_400)


def test_a_connection_is_tested_with_what_is_typed_and_nothing_is_sent_or_stored(
    console: Console, untouched: Receiving
) -> None:
    at = added(console, "tested")
    typed = form(console.get(f"{at}/settings", Role.editor).text, f"{at}/settings") | {"endpoint": untouched.url}
    for headers in ({"HX-Request": "true"}, {}):
        answer = console.post(f"{at}/settings/test", typed, headers=headers)
        assert answer.status == 200
        assert "is reachable, at 127.0.0.1" in words(answer.text)
        assert "confirms neither" in words(answer.text)
    assert form(answer.text, f"{at}/settings")["endpoint"] == [untouched.url], "what was typed is still there"
    assert setting(console, "tested", "endpoint") == ""
    answer = console.post(f"{at}/settings/test", {**typed, "endpoint": "http://127.0.0.1:1/"})
    assert "Not reachable" in words(answer.text)
    assert "does a firewall let this machine through?" in words(answer.text)
    answer = console.post(f"{at}/settings/test", {**typed, "region": "mars"}, headers={"HX-Request": "true"})
    assert "Not tested" in words(answer.text)


# -- history


def test_the_history_tells_who_changed_what_and_one_click_takes_it_back(console: Console) -> None:
    at = added(console, "undone", sdrToken=HUSH)
    saved(console, at, "/settings", region="eu1", sdrToken="another", trackNamedPages="false")
    shown = words(console.get(f"{at}/history", Role.editor).text)
    assert "by the-editor" in shown
    assert "Region (empty) → eu1" in shown
    assert "SDR Token Another secret." in shown
    assert "Track Named Pages to Totango on → off" in shown
    undo = form(console.get(f"{at}/history", Role.editor).text, f"{at}/undo")
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
    assert "plan-5 " not in words(first.text)
    older = re.search(r'href="([^"]*before=\d+)"', first.text)
    assert older is not None
    rest = words(console.get(html.unescape(older[1])).text)
    assert "Default Plan Free → plan-0" in rest
    assert "Settings, version 1" in rest
    assert "Older" not in rest
