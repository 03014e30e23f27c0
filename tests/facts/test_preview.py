"""Trying out: what an event would become, without sending it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milonga.destinations.registry import kind
from milonga.facts.preview import MOST_PASTED, Draft, draft, pasted, preview
from milonga.spec.read import read_stamped
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

AT = 1_709_648_527_123  #: 2024-03-05T14:22:07.123Z
TRACK: dict[str, Any] = {
    "type": "track",
    "messageId": "m-1",
    "userId": "ada",
    "event": "Saved",
    "properties": {"category": "Reports"},
    "context": {"Group Id": "acme"},
}
HUSH = "hush-hush"


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    with Workspace.open(tmp_path / "data") as opened:
        opened.sources.add("web", "demo")
        opened.add_destination(
            "totango", "web", "prod", {"serviceId": "SP-1-1", "sdrToken": HUSH}, DestinationState.on, {}
        )
        secrets = {"url": "https://x.example/", "secretHeaders": f'{{"X-Key": "{HUSH}"}}', "authorization": HUSH}
        opened.add_destination("webhook", "web", "hook", secrets, DestinationState.on, {})
        yield opened


def tried(workspace: Workspace, name: str, changes: dict[str, object], text: str | None = None) -> dict[str, Any]:
    one = pasted(json.dumps(TRACK) if text is None else text, 1, AT)
    return preview(read_stamped(one.stamped), draft(workspace, workspace.destination(name), changes), name)


def test_a_pasted_event_is_understood_as_the_collector_would(workspace: Workspace) -> None:
    told = tried(workspace, "prod", {})
    assert told["event"] == {
        "type": "track",
        "name": "Saved",
        "messageId": "m-1",
        "userId": "ada",
        "anonymousId": None,
        "account": {"id": "acme", "found": "context.groupId"},
        "timestamp": "2024-03-05T14:22:07.123Z",
    }
    assert [rule["result"] for rule in told["rules"]] == ["passed", "passed", "passed"]
    (request,) = told["requests"]
    assert request["body"]["sdr_a"] == "Saved"
    assert request["body"]["api-token"] == "***"
    assert (told["skip"], told["notices"]) == (None, [])


def test_settings_are_tried_out_and_not_saved(workspace: Workspace) -> None:
    before = workspace.destination("prod")
    filters = [{"name": "no-saves", "do": "drop", "when": 'event == "Saved"'}]
    assert tried(workspace, "prod", {"region": "eu1"})["requests"][0]["url"].startswith("https://sdr-eu1.")
    assert tried(workspace, "prod", {"serviceId": ""})["skip"]["code"] == "missing_service_id"
    dropped = tried(workspace, "prod", {"filters": filters})["skip"]
    assert dropped["code"] == "filter:no-saves"
    assert dropped["fixAt"] == {"page": "filters", "name": "no-saves"}
    assert "milonga destinations filters prod" in dropped["fix"]
    assert workspace.destination("prod") == before
    with pytest.raises(UserError, match="serviceIdd"):
        tried(workspace, "prod", {"serviceIdd": "SP-2"})
    with pytest.raises(UserError, match="The condition of no-saves"):
        tried(workspace, "prod", {"filters": [{"name": "no-saves", "do": "drop", "when": "event =="}]})


def test_secrets_saved_or_typed_are_never_shown(workspace: Workspace) -> None:
    for name, changes in (("prod", {}), ("prod", {"sdrToken": "typed-now"}), ("hook", {}), ("hook", {"method": "PUT"})):
        told = tried(workspace, name, dict(changes))
        assert told["requests"]
        assert HUSH not in json.dumps(told)
        assert "typed-now" not in json.dumps(told)
        assert "***" in json.dumps(told["requests"])


@pytest.mark.parametrize(
    ("name", "setting", "shown"),
    [
        ("hook", "url", "https://y.example/in?***"),
        ("prod", "endpoint", "https://y.example/in?***"),
    ],
)
def test_an_address_whose_query_is_hidden_is_tried_without_it(
    workspace: Workspace, name: str, setting: str, shown: str
) -> None:
    given = {setting: f"https://y.example/in?token={HUSH}", "authorization": "", "secretHeaders": ""}
    own = {field for field in given if name == "hook" or field == setting}
    workspace.set_settings(name, {field: given[field] for field in own})
    changes: tuple[dict[str, object], ...] = ({}, {"concurrency": 3}, {setting: f"{given[setting]}-2"})
    for change in changes:
        (request,) = tried(workspace, name, change)["requests"]
        assert request["url"] == shown
        assert HUSH not in str(request["url"])
    with pytest.raises(UserError, match="give the whole of it"):
        tried(workspace, name, {setting: "https://y.example/other?***"})


def test_the_first_of_a_batch_is_tried_with_what_the_batch_says_for_all() -> None:
    bad = {"type": "track"}
    body = {"batch": [{**TRACK, "context": {}}, TRACK, bad], "context": {"groupId": "initech"}}
    one = pasted(json.dumps(body), 1, AT)
    assert (one.stamped.stamp.account, one.others) == ("initech", 2)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ('{"type": "track", "userId": "a", "event": "é", "properties": {"n": 1e3}}', False),
        ('{"batch": [{"type": "page", "userId": "a"}, {"n": NaN}], "context": {"os": 1}}', False),  # not the first
        ('\ufeff {"type": "page", "userId": "a"} ', False),
        ('{"type": "page", "userId": "a", "properties": {"n": NaN}}', True),
        ('{"type": "page", "userId": "a", "properties": {"n": 1e999}}', True),
        (r'{"type": "page", "userId": "a", "name": "\ud83d"}', True),
        ('{"type": "page", "userId": "a", "name": "a\tb"}', True),
        ('{"batch": [{"type": "page", "userId": "a"}], "context": {"n": -Infinity}}', True),
    ],
)
def test_what_was_mended_is_told_from_what_was_json(text: str, mended: bool) -> None:
    assert pasted(text, 1, AT).mended is mended


def test_what_is_told_of_an_event_is_told_of_it_as_the_filters_leave_it(workspace: Workspace) -> None:
    long = json.dumps({**TRACK, "event": "x" * 200, "timestamp": "yesterday"})
    assert [one["code"] for one in tried(workspace, "prod", {}, long)["notices"]] == ["odd_timestamp", "cut"]
    dropped = tried(workspace, "prod", {"filters": [{"name": "none", "do": "drop"}]}, long)
    assert dropped["notices"] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" \n", "There is no event yet"),
        ("hello", r"This is no JSON of an event: .*[^`]\.$"),
        ('{"type": "tra', r"This is no JSON of an event: .* \(char [0-9]+\)\.$"),
        ("{}", "The event has no `type`"),
        ('{"event": "Saved"}', "The event has no `type`"),
        ('{"type": "tracks", "userId": "a"}', "It would not be accepted: invalid_type"),
        ('{"type": "track", "userId": "a"}', "It would not be accepted: event_not_defined"),
        ('{"type": "track", "event": "Saved"}', "It would not be accepted: no_user_anon_id"),
        ('{"batch": []}', "It would not be accepted: empty_batch"),
        ("[" * 70 + "]" * 70, "It would not be accepted"),
        ('{"type":"track","userId":"a","event":"' + "x" * 33_000 + '"}', "event_too_large"),
        ("x" * (MOST_PASTED + 1), "This is too much"),
    ],
)
def test_what_is_no_event_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(UserError, match=f"^.*{said}"):
        pasted(text, 1, AT)


@given(text=st.text(max_size=200) | st.from_regex(r'\{"type": ?"(track|page)", ?"userId": ?"a", ?"event": ?.{0,40}\}?'))
@settings(max_examples=100, deadline=None)
def test_whatever_is_pasted_is_an_event_or_an_error_in_words(text: str) -> None:
    totango = kind("totango")
    said = ""
    try:
        one = pasted(text, 1, AT)
    except UserError as error:
        said = str(error)
    else:
        at = Draft(totango, totango.settings(), DeliverySettings())
        said = preview(read_stamped(one.stamped), at, "prod")["skip"]["fix"]
    assert said.encode().endswith(b".")
