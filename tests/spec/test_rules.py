"""Segment's validation rules, one row each: both paths of the decoder must agree with the table."""

import json
from typing import Any

import pytest

from milonga.spec.decode import decode, decode_cut
from milonga.spec.discards import CODES, FIX, MEANING
from milonga.spec.event import EventType

ID = {"userId": "u"}
CONSENT = {"event": "Segment Consent Preference Updated", **ID}

# (type, event, code or None if it is accepted)
TABLE: list[tuple[EventType, dict[str, Any], str | None]] = [
    ("identify", {"userId": "u"}, None),
    ("identify", {"anonymousId": "a", "userId": None}, None),
    ("identify", {"userId": 7}, None),
    ("identify", {"userId": 0}, None),
    ("identify", {"userId": 12.5}, None),
    ("identify", {"userId": "", "anonymousId": "a"}, None),
    ("identify", {"userId": " "}, None),
    ("identify", {}, "no_user_anon_id"),
    ("identify", {"userId": None, "anonymousId": None}, "no_user_anon_id"),
    ("identify", {"userId": ""}, "id_not_string"),
    ("identify", {"userId": None, "anonymousId": ""}, "id_not_string"),
    ("identify", {"userId": True, "anonymousId": "a"}, "id_not_string"),
    ("identify", {"userId": {"id": 1}}, "id_not_string"),
    ("identify", {"userId": "u", "anonymousId": []}, "id_not_string"),
    ("identify", {**ID, "traits": None}, None),
    ("identify", {**ID, "traits": []}, None),
    ("identify", {**ID, "traits": [1]}, "traits_not_object"),
    ("identify", {**ID, "traits": "x"}, "traits_not_object"),
    ("identify", {**ID, "properties": "x", "event": 5, "name": {}, "groupId": True}, None),
    ("track", {**ID, "event": "Paid"}, None),
    ("track", {**ID}, "event_not_defined"),
    ("track", {**ID, "event": None}, "event_not_defined"),
    ("track", {**ID, "event": ""}, "event_not_defined"),
    ("track", {**ID, "event": 5}, "event_not_string"),
    ("track", {**ID, "event": {"name": "Paid"}}, "event_not_string"),
    ("track", {**ID, "event": "Paid", "properties": None}, None),
    ("track", {**ID, "event": "Paid", "properties": []}, None),
    ("track", {**ID, "event": "Paid", "properties": ["x"]}, "properties_not_object"),
    ("track", {**ID, "event": "Paid", "properties": 5}, "properties_not_object"),
    ("track", {**ID, "event": "Paid", "traits": 5, "category": 5}, None),
    ("track", {**ID, "event": "Paid", "context": "x", "integrations": 5, "messageId": {}, "timestamp": 5}, None),
    ("page", {**ID}, None),
    ("page", {**ID, "name": None, "category": None, "properties": {}}, None),
    ("page", {**ID, "name": "", "category": ""}, None),
    ("page", {**ID, "name": 5}, "name_not_string"),
    ("page", {**ID, "category": []}, "category_not_string"),
    ("page", {**ID, "properties": "x"}, "properties_not_object"),
    ("screen", {**ID, "name": {}}, "name_not_string"),
    ("screen", {**ID, "category": True}, "category_not_string"),
    ("screen", {**ID, "name": "Home"}, None),
    ("group", {**ID, "groupId": "g"}, None),
    ("group", {**ID, "groupId": 5, "traits": []}, None),
    ("group", {**ID}, "id_required"),
    ("group", {**ID, "groupId": ""}, "id_required"),
    ("group", {**ID, "groupId": []}, "id_not_string"),
    ("group", {"groupId": "g"}, "no_user_anon_id"),
    ("group", {**ID, "groupId": "g", "traits": "x"}, "traits_not_object"),
    ("alias", {**ID, "previousId": "p"}, None),
    ("alias", {**ID, "previousId": 4}, None),
    ("alias", {**ID}, "id_required"),
    ("alias", {**ID, "previousId": {}}, "id_not_string"),
    ("alias", {"anonymousId": "a", "previousId": "p"}, "id_required"),
    ("alias", {"previousId": "p"}, "no_user_anon_id"),
    ("track", {**CONSENT, "context": {"consent": {"categoryPreferences": {"ads": True}, "version": 2}}}, None),
    ("track", {**CONSENT}, "consent_categorypreferences_should_exist"),
    ("track", {**CONSENT, "context": {"consent": []}}, "consent_categorypreferences_should_exist"),
    (
        "track",
        {**CONSENT, "context": {"consent": {"categoryPreferences": []}}},
        "consent_categorypreferences_fields_should_be_object",
    ),
    (
        "track",
        {**CONSENT, "context": {"consent": {"categoryPreferences": {"ads": "yes"}}}},
        "consent_categorypreferences_fields_should_be_bool",
    ),
    (
        "track",
        {**CONSENT, "context": {"consent": {"categoryPreferences": {}}, "device": {"advertisingId": 5}}},
        "device_advertisingid_should_be_string",
    ),
    (
        "track",
        {**CONSENT, "context": {"consent": {"categoryPreferences": {}, "version": "2"}}},
        "consent_version_should_be_number",
    ),
    ("track", {**ID, "event": "Other", "context": {"consent": {"categoryPreferences": []}}}, None),
]


@pytest.mark.parametrize(("type_", "event", "code"), TABLE)
def test_an_event_is_accepted_or_discarded_by_segments_rules(
    type_: EventType, event: dict[str, Any], code: str | None
) -> None:
    body = json.dumps({"batch": [{"type": type_, **event}]})
    strict, reference = decode(body.encode(), None), decode_cut(body, None)
    assert strict is not None
    for decoded in (strict, reference):
        assert [one.code for one in decoded.rejected] == ([] if code is None else [code])
        assert [one.type for one in decoded.events] == ([type_] if code is None else [])


def test_a_reason_names_the_place() -> None:
    decoded = decode(b'{"batch":[{"type":"track","userId":"u","event":5}]}', None)
    assert decoded is not None
    assert decoded.rejected[0].reason == "Expected text, got a number - at `$.batch[0].event`"


def test_every_code_of_the_rules_is_tested_and_has_a_meaning() -> None:
    tested = {code for _, _, code in TABLE if code is not None}
    elsewhere = {"missing_type", "invalid_type", "empty_batch", "malformed_json", "not_an_object"}
    of_sources = {"source_disabled", "origin_not_allowed", "too_many_new_accounts", "rate_limited", "user_suppressed"}
    assert tested | elsewhere | {"event_too_large", "event_too_deep", "batch_too_long"} | of_sources == CODES
    assert set(MEANING) == set(FIX) == CODES
