"""What can be done with each resource of the API, over HTTP, from its making to its end."""

from typing import Any

import msgspec
import pytest

from milonga.api import shapes
from milonga.api.resources import dead
from milonga.delivery.letter_list import LetterPage, letters
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.api.serving import Served, problem
from tests.cli.filled import EVENTS, HUSH


def test_a_source_from_its_making_to_its_end(api: Served) -> None:
    made = api.ask("POST", "/sources", {"name": "shop", "settings": {"rateLimit": 5}}, role=Role.editor)
    assert made.status == 201
    assert made.data["settings"]["rateLimit"] == 5
    key = api.ask("POST", "/sources/shop/writekey", {"writeKey": "a/b%c"}).data["writeKey"]
    assert api.ask("GET", "/sources/shop").data["writeKeys"] == [*made.data["writeKeys"], key]
    changed = api.ask("PATCH", "/sources/shop", {"settings": {"origins": ["https://a.example"], "rateLimit": None}})
    assert changed.data["settings"]["origins"] == ["https://a.example"]
    assert changed.data["settings"]["rateLimit"] == 0
    assert api.ask("DELETE", "/sources/shop/writekey/a%2Fb%25c").data == {"source": "shop", "removed": key}
    assert api.ask("DELETE", "/sources/shop").data == {"removed": "shop"}
    problem(api.ask("GET", "/sources/shop"), 404, "not_found")


def test_a_source_whose_settings_are_refused_is_not_made(api: Served) -> None:
    problem(api.ask("POST", "/sources", {"name": "half", "settings": {"origins": "no origin"}}), 422, "refused")
    problem(api.ask("GET", "/sources/half"), 404, "not_found")


def test_a_destination_from_its_making_to_its_end(api: Served) -> None:
    body: dict[str, Any] = {"kind": "totango", "source": "web", "name": "second"}
    problem(api.ask("POST", "/destinations", body), 422, "missing_setting", "$.settings.serviceId")
    off = api.ask("POST", "/destinations", {**body, "state": "off", "settings": {"sdrToken": "hidden-4711"}})
    assert (off.status, off.data["state"]) == (201, "off")
    assert any("serviceId" in note for note in off.json["notes"])
    problem(api.ask("PATCH", "/destinations/second", {"state": "on"}), 422, "missing_setting", "$.settings.serviceId")
    problem(api.ask("PATCH", "/destinations/second", {"state": "paused"}), 409, "conflict", "$.state")
    on = api.ask("PATCH", "/destinations/second", {"state": "on", "settings": {"serviceId": "SP-2"}}).data
    assert (on["state"], on["settings"]["serviceId"], on["settings"]["sdrToken"]) == ("on", "SP-2", "***")
    assert on["by"] == "token:test-administrator"
    paused = api.ask("PATCH", "/destinations/second", {"state": "paused", "reason": "why not"}).data
    assert (paused["state"], paused["reason"]) == ("paused", "why not")
    undone = api.ask("POST", "/destinations/second/undo", {"to": 2}).data
    assert undone["settings"]["serviceId"] == "SP-2"
    history = api.ask("GET", "/destinations/second/history").data
    assert [one["what"] for one in history].count("state") == 3
    assert api.ask("GET", "/destinations/second/waiting").data["exact"] is False
    assert api.ask("DELETE", "/destinations/second").data["removed"] == "second"


def test_what_an_answer_hides_is_not_taken_for_its_value(api: Served) -> None:
    """Somebody reads a destination, changes one field, and sends all of it back."""
    settings = api.ask("GET", "/destinations/totango").data["settings"]
    assert settings["sdrToken"] == "***"
    api.ask("PATCH", "/destinations/totango", {"settings": {**settings, "serviceId": "SP-9"}})
    with Workspace.open(api.data) as workspace:
        config = workspace.destination("totango")
    assert getattr(config.settings, "sdr_token", "") == HUSH
    api.ask("PATCH", "/destinations/totango", {"settings": {"serviceId": "SP-1"}})


def test_settings_that_somebody_else_changed_meanwhile_are_a_conflict(api: Served) -> None:
    now = api.ask("GET", "/destinations/totango").data["settingsVersion"]
    change = {"delivery": {"concurrency": 7}, "ifSettingsVersion": now - 1}
    problem(api.ask("PATCH", "/destinations/totango", change), 409, "conflict")


def test_filters_that_are_not_saved_are_counted_on_the_newest_events(api: Served) -> None:
    path = "/destinations/totango/filters/recent"
    rules = [{"name": "no-e7", "do": "drop", "when": 'event == "e7"'}]
    found = api.ask("POST", path, {"filters": rules}, role=Role.viewer).data
    msgspec.convert(found, shapes.RecentTrialFound)
    assert (found["events"], found["kept"], found["dropped"]) == (EVENTS, EVENTS - 1, 1)
    assert found["codes"] == [{"code": "filter:no-e7", "events": 1}]
    dropped = next(one["events"] for one in found["examples"] if one["code"])
    assert [one["position"]["offset"] for one in dropped] == [7]
    assert api.ask("POST", path, {}).data["dropped"] == 0
    problem(api.ask("POST", path, {"filters": rules * 2}), 422, "invalid_body", "$.filters")
    problem(api.ask("POST", path, {"filters": [{"name": "x", "do": "burn"}]}), 422, "invalid_body", "$.filters[0].do")


def test_filters_from_their_making_to_their_end(api: Served) -> None:
    path = "/destinations/totango/filters"
    assert api.ask("POST", path, {"name": "b", "do": "drop", "when": 'event == "Test"'}).status == 201
    assert api.ask("POST", path, {"name": "a", "do": "sample", "share": 0.5, "place": 1}).status == 201
    assert [one["name"] for one in api.ask("GET", path).data] == ["a", "b"]
    problem(api.ask("POST", path, {"name": "b", "do": "drop"}), 409, "conflict")
    problem(api.ask("POST", path, {"name": "c", "do": "drop", "when": "event =="}), 422, "invalid_body", "$.when")
    problem(api.ask("POST", path, {"name": "c", "do": "burn"}), 422, "invalid_body", "$.do")
    assert api.ask("PATCH", f"{path}/b", {"place": 1}).status == 200
    assert [one["name"] for one in api.ask("GET", path).data] == ["b", "a"]
    event = {"type": "track", "event": "Test", "userId": "ada", "context": {"groupId": "acme"}}
    (trial,) = api.ask("POST", "/destinations/totango/filters/preview", {"event": event}, role=Role.viewer).data
    assert trial["skip"]["code"] == "filter:b"
    problem(api.ask("POST", "/destinations/totango/filters/preview", {"event": {"no": 1}}), 422, "refused")
    assert api.ask("GET", f"{path}/a", role=Role.viewer).data["share"] == 0.5
    problem(api.ask("GET", f"{path}/c"), 404, "not_found")
    for name in ("a", "b"):
        assert api.ask("DELETE", f"{path}/{name}").data == {"removed": name}
    problem(api.ask("DELETE", f"{path}/a"), 404, "not_found")


def test_every_change_is_in_the_audit_log_under_the_name_of_the_token(api: Served) -> None:
    api.ask("POST", "/sources", {"name": "audited"}, role=Role.editor)
    api.ask("DELETE", "/sources/audited", role=Role.editor)
    rows = api.ask("GET", "/audit?name=audited").data
    assert [(one["by"], one["what"]) for one in rows] == [
        ("token:test-editor", "source.removed"),
        ("token:test-editor", "source.added"),
    ]


def test_dead_letters_are_asked_to_be_resent_and_a_command_tells_of_it(api: Served) -> None:
    letters = api.ask("GET", "/dead-letters").data
    problem(api.ask("POST", "/dead-letters/resend", {"messageIds": ["nobody"]}), 404, "not_found")
    problem(api.ask("POST", "/dead-letters/resend", {}), 422, "invalid_body")
    chosen = {"messageIds": [letters[0]["messageId"]]}
    asked = api.ask("POST", "/dead-letters/resend", chosen, role=Role.editor)
    assert asked.status == 202
    (command,) = asked.data["commands"]
    assert api.ask("GET", f"/commands/{command}").data == {"command": command, "done": False, "result": None}
    with Workspace.open(api.data) as workspace:
        (found,) = [one for one in workspace.commands.pending() if one.id == command]
        workspace.commands.finish(command, {"done": 1})
    assert found.args["positions"] == [[0, letters[0]["position"]["offset"]]]
    assert api.ask("GET", f"/commands/{command}").data["result"] == {"done": 1}


def test_dead_letters_are_looked_through_once_however_many_are_named(
    monkeypatch: pytest.MonkeyPatch, api: Served
) -> None:
    ids = [one["messageId"] for one in api.ask("GET", "/dead-letters").data]
    looks: list[str] = []

    def look(*args: Any, **more: Any) -> LetterPage:
        looks.append("a page")
        return letters(*args, **more)

    monkeypatch.setattr(dead, "page_of_letters", look)
    asked = api.ask("POST", "/dead-letters/resend", {"messageIds": ids}, role=Role.editor)
    assert (asked.status, asked.data["asked"]) == (202, len(ids))
    assert len(ids) > len(looks) == 1


def test_a_replay_is_rehearsed_and_asked_for(api: Served) -> None:
    body = {"destination": "totango", "from": "1970-01-01"}
    rehearsed = api.ask("POST", "/replays/dry-run", body, role=Role.viewer).data
    assert rehearsed["events"] == EVENTS
    problem(api.ask("POST", "/replays", {**body, "to": "1960-01-01"}), 422, "invalid_body", "$.from")
    problem(api.ask("POST", "/replays", {**body, "from": "tomorrow"}), 422, "invalid_body", "$.from")
    begun = api.ask("POST", "/replays", body, role=Role.editor)
    assert begun.status == 202
    assert begun.data["commands"] == [begun.data["replay"]]


def test_a_regulation_is_made_by_an_administrator(api: Served) -> None:
    body = {"kind": "SUPPRESS_ONLY", "users": ["grace"]}
    assert api.ask("POST", "/regulations", body, role=Role.editor).status == 403
    made = api.ask("POST", "/regulations", body)
    assert (made.status, made.data["users"]) == (201, 1)
    assert api.ask("GET", f"/regulations/{made.data['id']}").data == made.data
    assert api.ask("GET", "/suppressions?user=grace").data == [{"source": None, "regulation": made.data["id"]}]


def test_users_from_their_making_to_their_end(api: Served) -> None:
    made = api.ask("POST", "/users", {"name": "ada", "role": "viewer"})
    assert made.data["path"].startswith("/setup/")
    assert made.data["state"] == "invited"
    assert api.ask("PATCH", "/users/ada", {"role": "editor"}).data["role"] == "editor"
    assert api.ask("PATCH", "/users/ada", {"disabled": True}).data["state"] == "disabled"
    problem(api.ask("PATCH", "/users/ada", {}), 422, "invalid_body")
    problem(api.ask("POST", "/users/ada/links"), 409, "conflict")
    assert api.ask("DELETE", "/users/ada").data == {"removed": "ada"}


def test_a_story_tells_what_became_of_an_event(api: Served) -> None:
    story = api.ask("GET", f"/events/0-{EVENTS}/story").data
    (at,) = [one for one in story["destinations"] if one["destination"] == "totango"]
    assert (at["state"], at["code"]) == ("dead", "http_400")
    (same,) = api.ask("GET", f"/stories?messageId={story['messageId']}").data
    assert same["position"] == story["position"]


def test_an_event_that_is_not_kept_is_told_why_that_may_be(api: Served) -> None:
    answer = api.ask("GET", "/stories?messageId=nobody").json
    assert answer["data"] == []
    assert "Ids are case-sensitive." in " ".join(answer["notes"])


def test_an_event_is_tried_out_with_settings_that_are_not_saved(api: Served) -> None:
    event = {"type": "track", "userId": "ada", "event": "Paid", "context": {"groupId": "acme"}}
    body = {"destination": "totango", "event": event, "settings": {"serviceId": "SP-7"}}
    told = api.ask("POST", "/previews", body, role=Role.viewer).data
    assert told["skip"] is None
    assert "SP-7" in str(told["requests"])
    assert HUSH not in str(told)
    kept = api.ask("POST", "/previews", {"destination": "totango", "position": {"partition": 0, "offset": 7}}).data
    assert kept["event"]["messageId"] == "m7"
    problem(api.ask("POST", "/previews", {"destination": "totango"}), 422, "invalid_body")
    problem(api.ask("POST", "/previews", {"destination": "totango", "event": "{"}), 422, "refused")


def test_an_edited_dead_letter_is_asked_to_go_out_in_its_place(api: Served) -> None:
    letter = api.ask("GET", "/dead-letters?events=true").data[-1]
    where = {"destination": letter["destination"], **letter["position"]}
    edited = {**where, "event": {**letter["event"], "event": "Mended"}, "diedAt": letter["diedAt"]}
    assert api.ask("POST", "/dead-letters/edit", edited, role=Role.editor).data["asked"] == 1
    problem(api.ask("POST", "/dead-letters/edit", {**where, "event": {"type": 7}}), 422, "invalid_body", "$.event")
    problem(api.ask("POST", "/dead-letters/edit", {**edited, "offset": 1}), 404, "not_found")


def test_write_keys_are_exchanged_with_an_overlap(api: Served) -> None:
    first = api.ask("POST", "/sources", {"name": "turning"}).data["writeKeys"][0]
    done = api.ask("POST", "/sources/turning/writekey/rotate", {"overlap": "1d"}, role=Role.editor).data
    assert [one["writeKey"] for one in done["ends"]] == [first]
    problem(api.ask("PATCH", f"/sources/turning/writekey/{first}", {}), 422, "invalid_body", "$.endsIn")
    assert api.ask("PATCH", f"/sources/turning/writekey/{first}", {"endsIn": None}).data["endsAt"] is None
    problem(api.ask("PATCH", f"/sources/turning/writekey/{first}", {"endsIn": "soon"}), 422, "invalid_body", "$.endsIn")
    api.ask("DELETE", "/sources/turning")


def test_viewers_see_of_write_keys_how_they_begin(api: Served) -> None:
    key = "a-write-key-of-a-server"
    api.ask("POST", "/sources", {"name": "serving", "writeKey": key}, role=Role.editor)
    setup = "/sources/serving/setup?host=https://e.example"
    for path in ("/sources", "/sources/serving", "/sources/serving/writekey", setup):
        told = api.ask("GET", path, role=Role.viewer).body.decode()
        assert (key in told, "a-wr…" in told) == (False, True), path
        assert key in api.ask("GET", path, role=Role.editor).body.decode(), path
    api.ask("DELETE", "/sources/serving")
