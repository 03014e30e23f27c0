"""
What makes an object an event: Segment's own validation rules, each with Segment's own code (milonga.spec.discards).

Kinder than the letter where Segment's SDKs break it: null is absent, ids may be numbers (Ruby), `[]` is an empty
object (PHP), an empty id beside a usable one and an empty name are absent (Kotlin writes them so).
"""

from typing import Any, Final, cast

from msgspec import Struct

from milonga.spec.discards import Code
from milonga.spec.event import EventType, JsonObject
from milonga.spec.read import EVENT_TYPES
from milonga.spec.values import id_text

CONSENT_EVENT: Final = "Segment Consent Preference Updated"
"""A track event with rules of its own. Source: Segment docs, Consent in Unify, "... Preference Updated event"."""


class Fault(Struct, frozen=True):
    """
    code   see MEANING in milonga.spec.discards
    path   of the field within the event: ".event"
    words  what was expected there
    """

    code: Code
    path: str
    words: str


def type_or_fault(received: JsonObject) -> EventType | Fault:
    """The event's own type."""
    type_ = received.get("type")
    if type_ is None:
        return Fault("missing_type", ".type", "Expected a type")
    if not isinstance(type_, str) or type_ not in EVENT_TYPES:
        return Fault("invalid_type", ".type", f"Expected one of {', '.join(sorted(EVENT_TYPES))}")
    return cast("EventType", type_)


def fault_of(type_: EventType, received: JsonObject) -> Fault | None:
    """What is wrong with an event of this type; None if nothing is."""
    return _fault_of_ids(type_, received) or _fault_of_fields(type_, received)


def _fault_of_ids(type_: EventType, received: JsonObject) -> Fault | None:
    empty = None
    for key in ("userId", "anonymousId"):
        value = received.get(key)
        if value == "":
            empty = Fault("id_not_string", f".{key}", "Expected text that is not empty")
        elif not _may_be_id(value):
            return Fault("id_not_string", f".{key}", f"Expected text, got {kind(value)}")
    user = id_text(received.get("userId"))
    if user is None and id_text(received.get("anonymousId")) is None:
        return empty or Fault("no_user_anon_id", ".userId", "Expected a userId or an anonymousId")
    if type_ == "alias" and user is None:
        return Fault("id_required", ".userId", "Expected the new user id")
    if type_ not in ("group", "alias"):
        return None
    key = "groupId" if type_ == "group" else "previousId"
    value = received.get(key)
    if not _may_be_id(value):
        return Fault("id_not_string", f".{key}", f"Expected text, got {kind(value)}")
    if id_text(value) is None:
        return Fault("id_required", f".{key}", f"Expected a {key}")
    return None


def _fault_of_fields(type_: EventType, received: JsonObject) -> Fault | None:
    match type_:
        case "identify" | "group":
            return _not_object(received, "traits", "traits_not_object")
        case "track":
            return (
                _fault_of_event_name(received.get("event"))
                or _not_object(received, "properties", "properties_not_object")
                or _fault_of_consent(received)
            )
        case "page" | "screen":
            return (
                _not_text(received, "name", "name_not_string")
                or _not_text(received, "category", "category_not_string")
                or _not_object(received, "properties", "properties_not_object")
            )
        case "alias":
            return None


def _fault_of_event_name(value: Any) -> Fault | None:
    if value is None or value == "":
        return Fault("event_not_defined", ".event", "Expected the name of the event")
    if not isinstance(value, str):
        return Fault("event_not_string", ".event", f"Expected text, got {kind(value)}")
    return None


def _fault_of_consent(received: JsonObject) -> Fault | None:
    """Source: Segment docs, Delivery Overview, "Failed on Ingest": the consent event only."""
    if received.get("event") != CONSENT_EVENT:
        return None
    preferences = _at(received, "context", "consent", "categoryPreferences")
    place = ".context.consent.categoryPreferences"
    if preferences is None:
        return Fault("consent_categorypreferences_should_exist", place, "Expected an object")
    if not isinstance(preferences, dict):
        words = f"Expected an object, got {kind(preferences)}"
        return Fault("consent_categorypreferences_fields_should_be_object", place, words)
    if not all(isinstance(value, bool) for value in preferences.values()):
        return Fault("consent_categorypreferences_fields_should_be_bool", place, "Expected true or false in each")
    advertising = _at(received, "context", "device", "advertisingId")
    if advertising is not None and not isinstance(advertising, str):
        words = f"Expected text, got {kind(advertising)}"
        return Fault("device_advertisingid_should_be_string", ".context.device.advertisingId", words)
    version = _at(received, "context", "consent", "version")
    if version is not None and (isinstance(version, bool) or not isinstance(version, int | float)):
        words = f"Expected a number, got {kind(version)}"
        return Fault("consent_version_should_be_number", ".context.consent.version", words)
    return None


def _at(received: JsonObject, *keys: str) -> Any:
    value: Any = received
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _not_object(received: JsonObject, key: str, code: Code) -> Fault | None:
    value = received.get(key)
    if value is None or value == [] or isinstance(value, dict):
        return None
    return Fault(code, f".{key}", f"Expected an object, got {kind(value)}")


def _not_text(received: JsonObject, key: str, code: Code) -> Fault | None:
    value = received.get(key)
    return (
        None if value is None or isinstance(value, str) else Fault(code, f".{key}", f"Expected text, got {kind(value)}")
    )


def _may_be_id(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    names: dict[type, str] = {dict: "an object", list: "a list", str: "text", type(None): "null"}
    return names[type(value)]
