"""What a user can set, and what is refused."""

import re
from typing import Any

import msgspec
import pytest

from milonga.destinations.registry import kind

SEGMENTS_OWN: dict[str, tuple[str, Any]] = {
    "serviceId": ("Service ID", ""),
    "region": ("Region", ""),
    "disableHeartbeat": ("Disable the Totango Heartbeat", False),
    "trackCategorizedPages": ("Track Categorized Pages to Totango", True),
    "trackNamedPages": ("Track Named Pages to Totango", True),
}
OURS: dict[str, Any] = {
    "connectionMode": "cloud",
    "sdrToken": "",
    "defaultPlan": "Free",
    "defaultModule": "Application",
    "moduleFromUrl": True,
    "endpoint": "",
    "collector": "https://tracker.totango.com/totango4.0.3.js",
}


def declared(name: str) -> dict[str, tuple[str, Any, dict[str, Any]]]:
    """Name to (label, default, extra)."""
    described = msgspec.inspect.type_info(kind(name).settings)
    assert isinstance(described, msgspec.inspect.StructType)
    found = {}
    for field in described.fields:
        assert isinstance(field.type, msgspec.inspect.Metadata)
        words = field.type.extra_json_schema or {}
        found[field.encode_name] = (words["title"], field.default, field.type.extra or {})
    return found


def test_segments_settings_for_totango_keep_their_keys_labels_and_defaults() -> None:
    settings = declared("totango")
    assert {name: settings[name][:2] for name in SEGMENTS_OWN} == SEGMENTS_OWN


def test_our_own_settings_for_totango_have_their_names_and_defaults() -> None:
    settings = declared("totango")
    assert {name: settings[name][1] for name in settings if name not in SEGMENTS_OWN} == OURS


def test_secrets_required_settings_and_addresses_are_marked() -> None:
    for name, secrets, required, addresses in (
        ("totango", ["sdrToken"], "serviceId", ["endpoint", "collector"]),
        ("webhook", ["signingSecrets", "authorization", "secretHeaders"], "url", ["url"]),
        ("segment", ["writeKey"], "writeKey", ["endpoint"]),
    ):
        settings = declared(name)
        assert [key for key, (_, _, extra) in settings.items() if extra.get("secret")] == secrets
        assert [key for key, (_, _, extra) in settings.items() if extra.get("required")] == [required]
        assert [key for key, (_, _, extra) in settings.items() if extra.get("address")] == addresses


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("totango", {"region": "mars"}, "region"),
        ("totango", {"serviceID": "SP-1-01"}, "serviceID"),
        ("totango", {"trackNamedPages": "yes"}, "trackNamedPages"),
        ("totango", {"connectionMode": "both"}, "connectionMode"),
        ("totango", {"collector": "javascript:alert(1)"}, "collector: The address must begin with https://"),
        ("totango", {"endpoint": "sdr.example.com"}, "endpoint: The address must begin with https://"),
        ("webhook", {"url": "ftp://hooks.example.com"}, "url: The address must begin with https://"),
        ("webhook", {"authorization": "Bearer a\r\nX: y"}, "authorization"),
        ("segment", {"endpoint": "events.example.com"}, "endpoint: The address must begin with https://"),
        ("segment", {"endpoint": ""}, "endpoint: Write an address, such as https://api.segment.io/v1"),
        ("segment", {"writeKey": "two words"}, "writeKey"),
        ("segment", {"writeKey": "user:password"}, "writeKey"),
        ("segment", {"instance": "a b"}, "instance"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_in_words(name: str, settings: dict[str, Any], word: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=word):
        msgspec.convert(settings, kind(name).settings)


def test_a_service_id_that_looks_odd_can_be_noticed() -> None:
    extra = declared("totango")["serviceId"][2]
    assert re.fullmatch(extra["pattern_hint"], "SP-12345-01")
    assert not re.fullmatch(extra["pattern_hint"], "12345")
    assert "SP-12345-01" in extra["hint"]
