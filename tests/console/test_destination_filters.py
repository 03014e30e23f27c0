"""The filters of a destination on its pages: added, tried, moved, removed, and what is wrong with one."""

import re

from milonga.workspace.roles import Role
from tests.console.conftest import KEY
from tests.console.destinations import added, config
from tests.console.harness import Console
from tests.console.reading import form, words
from tests.running import Client, track


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
    shown = words(console.get(at).text)
    assert 'no-checks event.startsWith("Check") drop' in shown
    assert "keep 10 % by accountId" in shown
    assert console.post(f"{at}/remove", {"filter": "some"}).status == 303
    assert console.post(f"{at}/remove", {"filter": "some"}).status == 404
    history = words(console.get("/destinations/filtered/history").text)
    assert "Filter some keep 10 % by accountId → (none)" in history


def test_what_is_wrong_with_a_filter_is_told_where_it_is(console: Console) -> None:
    at = f"{added(console, 'misfiltered')}/filters"
    answer = console.post(f"{at}/new", {"name": "My Filter", "when": "event = 1", "do": "sample", "share": "200"})
    shown = words(answer.text)
    assert answer.status == 422
    assert "at character 7" in shown
    assert "is a percentage between 0 and 100" in shown
    assert "event = 1" in answer.text
    answer = console.post(f"{at}/new", {"name": "My Filter", "when": "", "do": "drop"})
    assert "is no name for a filter" in words(answer.text)
    part = console.post(f"{at}/check", {"when": "event = 1"}, headers={"HX-Request": "true"})
    assert "<mark>=</mark>" in part.text
    part = console.post(f"{at}/check", {"when": "a" * 5_000}, headers={"HX-Request": "true"})
    assert "5,000 characters, 1,000 at most" in words(part.text)
    part = console.post(f"{at}/check", {"when": 'properties.plan == "x"'}, headers={"HX-Request": "true"})
    assert "It asks for properties.plan" in words(part.text)
    assert config(console, "misfiltered").delivery.filters == ()


def test_a_filter_is_tried_on_recent_events_before_it_holds(console: Console) -> None:
    at = f"{added(console, 'tried')}/filters"
    with Client(console.milonga.port, KEY) as client:
        client.send([track(1000 + n, f"user-{n}", "acme", event="Tried it") for n in range(4)])
    rule = {"name": "no-tries", "when": 'event == "Tried it"', "do": "drop", "editing": ""}
    answer = console.post(f"{at}/try", rule, headers={"HX-Request": "true"})
    assert answer.status == 200
    row = re.search(r"no-tries.*?</tr>", answer.text, re.DOTALL)
    assert row is not None
    assert re.findall(r">(\d+)<", row[0])[:2] == ["4", "4"]
    assert "would be sent" in words(answer.text)
    assert config(console, "tried").delivery.filters == ()
    assert console.get(f"{at}/tried").status == 200


def test_consent_categories_are_saved_on_their_own(console: Console) -> None:
    at = added(console, "consented")
    sent = form(console.get(f"{at}/filters", Role.editor).text, f"{at}/filters/consent")
    done = console.post(f"{at}/filters/consent", {**sent, "consentCategories": "ads\r\nanalytics"})
    assert done.status == 303
    assert config(console, "consented").delivery.consent_categories == ("ads", "analytics")
