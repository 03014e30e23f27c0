"""What the API answers to whom, over HTTP: limits, refusals told kindly, pages, changes."""

import asyncio
import contextlib
import socket
import threading
from base64 import urlsafe_b64encode
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from milonga.api import app
from milonga.api.problem import Problem
from milonga.api.resources import dead
from milonga.api.table import PREFIX, ROUTES
from milonga.delivery.letter_list import LetterPage, letters
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.api.serving import Answer, Served
from tests.cli.filled import EVENTS, HUSH


def problem(answer: Answer, status: int, code: str, field: str = "") -> str:
    """Its words."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert (answer.status, told["status"], told["code"], told.get("field", "")) == (status, status, code, field), told
    assert told["title"]
    assert told["detail"]
    return str(told["detail"])


def test_a_stranger_is_told_how_to_get_a_token(api: Served) -> None:
    answer = api.ask("GET", "/sources", role=None)
    assert "milonga tokens create" in problem(answer, 401, "no_token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("given", ["Bearer nonsense", "Basic ZGVtbzo=", "Bearer", "Bearer " + "x" * 5_000, "Bearer é"])
def test_a_wrong_token_is_refused(given: str, api: Served) -> None:
    answer = api.ask("GET", "/sources", role=None, headers={"Authorization": given})
    assert answer.status == 401


def test_a_revoked_token_lets_nobody_in_any_more(api: Served) -> None:
    made = api.ask("POST", "/tokens", {"name": "short", "role": "viewer"}).data
    sent = {"Authorization": f"Bearer {made['token']}"}
    assert api.ask("GET", "/sources", role=None, headers=sent).status == 200
    assert api.ask("DELETE", "/tokens/short").data == {"revoked": "short"}
    problem(api.ask("GET", "/sources", role=None, headers=sent), 401, "unknown_token")


def test_a_cookie_lets_nobody_in_and_none_is_set(api: Served) -> None:
    token = api.tokens[Role.administrator]
    cookie = {"Cookie": f"milonga_session={token}; token={token}"}
    assert api.ask("GET", "/sources", role=None, headers=cookie).status == 401
    assert "set-cookie" not in api.ask("GET", "/sources", headers=cookie).headers


def test_no_answer_is_kept_by_anybody_or_open_to_pages_of_others(api: Served) -> None:
    for role in (None, Role.viewer):
        headers = api.ask("GET", "/sources", role=role, headers={"Origin": "https://evil.example"}).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert not [name for name in headers if name.startswith("access-control-")]
    assert api.ask("OPTIONS", "/sources").status == 405


def test_what_is_not_there_is_told_with_where_to_look(api: Served) -> None:
    assert "openapi.json" in problem(api.ask("GET", "/nothing"), 404, "not_found")
    assert "openapi.json" in problem(api.ask("GET", ""), 404, "not_found")
    problem(api.ask("GET", "/sources/nobody"), 404, "not_found")
    problem(api.ask("GET", "/destinations/nobody"), 404, "not_found")
    problem(api.ask("GET", "/events/0-99999"), 404, "not_found")
    problem(api.ask("GET", "/events/zero"), 404, "not_found")
    problem(api.ask("GET", f"/replays/{10**40}"), 404, "not_found")


def test_a_wrong_method_is_told_which_there_are(api: Served) -> None:
    answer = api.ask("DELETE", "/sources")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


def test_head_is_get_without_the_body(api: Served) -> None:
    answer = api.ask("HEAD", "/sources")
    assert (answer.status, answer.body) == (200, b"")


def test_what_is_wrong_is_named(api: Served) -> None:
    problem(api.ask("GET", "/sources?count=many"), 422, "invalid_query", "count")
    problem(api.ask("GET", "/sources?count=0"), 422, "invalid_query", "count")
    problem(api.ask("GET", "/sources?cuont=1"), 422, "invalid_query", "cuont")
    problem(api.ask("GET", "/sources?count=1&count=2"), 422, "invalid_query", "count")
    problem(api.ask("GET", "/suppressions"), 422, "invalid_query", "user")
    problem(api.ask("GET", "/counts/arrivals?from=never"), 422, "invalid_query", "from")
    problem(api.ask("POST", "/sources", {}), 422, "invalid_body", "$.name")
    problem(api.ask("POST", "/sources", {"name": 7}), 422, "invalid_body", "$.name")
    problem(api.ask("POST", "/sources", {"name": "a", "nmae": "b"}), 422, "invalid_body", "$.nmae")
    problem(api.ask("POST", "/sources", {"name": "a b"}), 422, "refused")
    problem(api.ask("POST", "/sources", raw=b"{"), 400, "invalid_json")
    problem(api.ask("PATCH", "/sources/web", {"settings": {"rateLimit": "fast"}}), 422, "refused")


def test_a_body_that_is_no_json_is_told_what_to_say(api: Served) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    problem(api.ask("POST", "/sources", raw=b"name=a", headers=form), 415, "unsupported_media_type")
    packed = {"Content-Encoding": "gzip"}
    problem(api.ask("POST", "/sources", raw=b"\x1f\x8b", headers=packed), 415, "unsupported_encoding")


def test_a_body_that_is_too_large_is_refused(api: Served) -> None:
    body = b'{"name": "' + b"x" * app.MOST_BODY + b'"}'
    problem(api.ask("POST", "/sources", raw=body), 413, "body_too_large")


def test_what_is_taken_already_is_a_conflict(api: Served) -> None:
    problem(api.ask("POST", "/sources", {"name": "web"}), 409, "conflict")
    problem(api.ask("DELETE", "/sources/web"), 409, "conflict")


def everything(api: Served, path: str, count: int) -> list[Any]:
    """All pages, one after the other."""
    found: list[Any] = []
    mark = "&" if "?" in path else "?"
    cursor = ""
    while True:
        answer = api.ask("GET", f"{path}{mark}count={count}&cursor={cursor}").json
        assert len(answer["data"]) <= count
        found += answer["data"]
        cursor = answer["pagination"]["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/events", 7),
        ("/stories?account=acme", 3),
        ("/destinations?removed=true", 1),
        ("/destinations/totango/history", 1),
        ("/dead-letters", 1),
        ("/catalog/destinations", 2),
        ("/tokens", 2),
        ("/audit", 3),
        ("/counts/arrivals?from=2d", 1),
    ],
)
def test_pages_one_after_the_other_are_the_whole_list(path: str, count: int, api: Served) -> None:
    assert everything(api, path, count) == everything(api, path, 1_000)


def test_all_events_come_by_pages_newest_first(api: Served) -> None:
    offsets = [one["position"]["offset"] for one in everything(api, "/events", 50)]
    assert offsets == list(range(EVENTS, 0, -1))


def test_a_search_that_was_cut_short_goes_on_where_it_was(api: Served) -> None:
    first = api.ask("GET", "/events?user=nobody&scan=1").json
    assert first["data"] == []
    cut = api.ask("GET", "/events?type=alias&scan=10").json
    assert cut["data"] == []
    assert cut["pagination"]["looked"] == 10
    assert cut["pagination"]["until"]
    last = api.ask("GET", f"/events?type=alias&cursor={cut['pagination']['next']}").json
    assert last["pagination"]["looked"] == EVENTS - 10
    assert last["pagination"]["next"] is None


TOO_LARGE = urlsafe_b64encode(b"[1,9223372036854775808]").rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor", ["nonsense", "MTIz", "W10", "bnVsbA", "é", "%00", "A" * 4_096, "WzEsMiwtM10", TOO_LARGE]
)
def test_a_cursor_that_no_page_gave_is_refused(cursor: str, api: Served) -> None:
    for path in ("/events", "/audit"):
        answer = api.ask("GET", f"{path}?cursor={cursor.replace('é', '%C3%A9')}")
        problem(answer, 422, "invalid_query", "cursor")


def test_a_source_from_its_making_to_its_end(api: Served) -> None:
    made = api.ask("POST", "/sources", {"name": "shop", "settings": {"rateLimit": 5}}, role=Role.editor)
    assert made.status == 201
    assert made.data["settings"]["rateLimit"] == 5
    key = api.ask("POST", "/sources/shop/write-keys", {"writeKey": "a/b%c"}).data["writeKey"]
    assert api.ask("GET", "/sources/shop").data["writeKeys"] == [*made.data["writeKeys"], key]
    changed = api.ask("PATCH", "/sources/shop", {"settings": {"origins": ["https://a.example"], "rateLimit": None}})
    assert changed.data["settings"]["origins"] == ["https://a.example"]
    assert changed.data["settings"]["rateLimit"] == 0
    assert api.ask("DELETE", "/sources/shop/write-keys/a%2Fb%25c").data == {"source": "shop", "removed": key}
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
    (trial,) = api.ask("POST", "/destinations/totango/filter-trials", {"event": event}, role=Role.viewer).data
    assert trial["skip"]["code"] == "filter:b"
    problem(api.ask("POST", "/destinations/totango/filter-trials", {"event": {"no": 1}}), 422, "refused")
    for name in ("a", "b"):
        assert api.ask("DELETE", f"{path}/{name}").data == {"removed": name}
    problem(api.ask("DELETE", f"{path}/a"), 404, "not_found")


def test_a_secret_is_in_no_answer(api: Served) -> None:
    for path in ("/destinations/totango", "/destinations/totango/history", "/audit?count=1000", "/destinations"):
        assert HUSH.encode() not in api.ask("GET", path).body


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


def test_a_body_that_never_comes_ends_by_itself(monkeypatch: pytest.MonkeyPatch, api: Served) -> None:
    monkeypatch.setattr(app, "BODY_TIME", 0.05)
    with contextlib.closing(socket.create_connection(("127.0.0.1", api.port), timeout=60)) as sender:
        token = api.tokens[Role.editor]
        head = f"POST {PREFIX}/sources HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        sender.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{".encode())
        assert sender.recv(100).startswith(b"HTTP/1.1 408 ")


def test_requests_beyond_what_one_token_may_have_under_way_are_told_to_wait(
    monkeypatch: pytest.MonkeyPatch, api: Served
) -> None:
    monkeypatch.setattr(app, "OF_ONE", 0)
    answer = api.ask("GET", "/sources")
    assert "Retry-After" in problem(answer, 429, "busy")
    assert answer.headers["retry-after"] == "1"


def test_strangers_leave_room_to_those_who_are_let_in(monkeypatch: pytest.MonkeyPatch, api: Served) -> None:
    monkeypatch.setattr(app, "UNKNOWN", 0)
    problem(api.ask("GET", "/sources", role=None), 429, "busy")


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, api: Served) -> None:
    monkeypatch.setattr(app, "ANSWER_TIME", 0.0)
    problem(api.ask("GET", "/sources"), 503, "too_slow")


def test_what_was_given_up_before_it_began_is_not_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = app.Api(tmp_path)
    route = next(one for one in ROUTES if one.slow)
    go_on = threading.Event()
    done: list[str] = []

    def long() -> bytes:
        go_on.wait(60)
        return b""

    def short() -> bytes:
        done.append("done")
        return b""

    async def ask() -> None:
        monkeypatch.setattr(app, "ANSWER_TIME", 0.05)
        long_ones = [asyncio.ensure_future(api._run(long, route)) for _ in range(app.SLOW_THREADS)]
        await asyncio.sleep(0)  # they take the threads
        with pytest.raises(Problem, match="longer than"):
            await api._run(short, route)
        await asyncio.wait(long_ones)
        assert all(isinstance(one.exception(), Problem) for one in long_ones)
        monkeypatch.setattr(app, "ANSWER_TIME", 60.0)
        go_on.set()
        await api._run(lambda: b"", route)  # behind whatever still waits

    try:
        asyncio.run(ask())
    finally:
        go_on.set()
        api.close()
    assert not done


def test_a_path_that_is_no_text_is_told_so(api: Served) -> None:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=60)
    with contextlib.closing(connection):
        sent = {"Authorization": f"Bearer {api.tokens[Role.viewer]}"}
        connection.request("GET", f"{PREFIX}/sources/%ff", headers=sent)
        assert connection.getresponse().status == 404


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
    done = api.ask("POST", "/sources/turning/write-keys/rotate", {"overlap": "1d"}, role=Role.editor).data
    assert [one["writeKey"] for one in done["ends"]] == [first]
    problem(api.ask("PATCH", f"/sources/turning/write-keys/{first}", {}), 422, "invalid_body", "$.endsIn")
    assert api.ask("PATCH", f"/sources/turning/write-keys/{first}", {"endsIn": None}).data["endsAt"] is None
    problem(
        api.ask("PATCH", f"/sources/turning/write-keys/{first}", {"endsIn": "soon"}), 422, "invalid_body", "$.endsIn"
    )
    api.ask("DELETE", "/sources/turning")
