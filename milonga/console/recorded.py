"""
What an audit row says was changed, in the words of the forms: labels of declared settings, names of kinds, times. The
API and the command line tell the same row as it is stored. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from milonga.console.agents import in_words
from milonga.console.changes import of_filters
from milonga.console.diffing import Difference, difference
from milonga.destinations.contract import Destination
from milonga.outcomes.words import instant
from milonga.privacy.regulation import Kind
from milonga.workspace.audit import BEGUN, Entry
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.fields import fields_of
from milonga.workspace.model import SourceSettings

FIELDS: Final = {
    "account": "Account",
    "address": "Address",
    "attempts": "Attempts",
    "browser": "Browser",
    "code": "Ended as",
    "days": "Good for days",
    "disabled": "Disabled",
    "endsAt": "Ends",
    "event": "Event at",
    "events": "Events",
    "exchanged": "In place of",
    "files": "Files",
    "find_accounts": "Filed by group calls",
    "keys": "Keys",
    "kind": "Kind",
    "message_id": "Message id",
    "name": "Event",
    "overwrite": "Overwrite",
    "rate": "Events a second",
    "reason": "Why",
    "replay": "Replay",
    "role": "Role",
    "sessions": "Sessions",
    "since": "From",
    "source": "Source",
    "state": "State",
    "type": "Call",
    "until": "To",
    "user": "User",
    "users": "Users",
    "whole": "The whole line",
    "writeKey": "Write key",
}
"""What is told of things but their settings, by the name that the audit log has for it."""
REGULATIONS: Final = {
    Kind.suppress_only.value: "Suppress",
    Kind.delete_internal.value: "Delete",
    Kind.suppress_with_delete_internal.value: "Suppress and delete",
    Kind.unsuppress.value: "Unsuppress",
}
TIMES: Final = frozenset({"endsAt", "since", "until"})  #: unix milliseconds, or as an API would write them


class Declared(Struct, frozen=True):
    """
    kinds  of destinations, by their names
    named  name of a destination -> its kind, and those of others that were called so before it
    """

    kinds: Mapping[str, Destination]
    named: Mapping[str, Sequence[str]] = {}


def told(entry: Entry, declared: Declared) -> list[Difference]:
    return [one for name, both in entry.changes.items() for one in _told(entry, name, both, declared)]


def _told(entry: Entry, name: str, both: tuple[Any, Any], declared: Declared) -> Iterator[Difference]:
    labels = _labels(entry, declared)
    label = labels.get(name) or FIELDS.get(name, name)
    is_setting = name in labels
    if is_setting and name == "filters" and all(map(_is_of_filters, both)):
        for filter_, was, now in of_filters(both[0] or (), both[1] or ()):
            yield Difference(field=filter_, name=name, before=was, after=now)
        return
    if name in TIMES and not is_setting:
        before, after = (_moment(value) for value in both)
        yield Difference(field=label, name=name, before=before, after=after, time=True)
        return
    before, after = (_said(entry, name, value, declared, is_setting=is_setting) for value in both)
    yield difference(label, before, after, name=name)


def _labels(entry: Entry, declared: Declared) -> dict[str, str]:
    """Of settings, if it is about some: name -> label."""
    if entry.what == "source.settings":
        return _of_fields([SourceSettings])
    if entry.what not in ("destination.added", "destination.settings"):
        return {}
    named = declared.named.get(entry.name, ())
    if entry.what == "destination.added" and "kind" in entry.changes:
        named = [str(entry.changes["kind"][1])]
    return _of_fields([DeliverySettings, *(declared.kinds[kind].settings for kind in named if kind in declared.kinds)])


def _of_fields(structs: Iterable[type[Struct]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in structs:
        found = {field.name: field.label for field in fields_of(one)} | found
    return found


def _is_of_filters(value: object) -> bool:
    """Or of none. A value that was too long is kept as the beginning of its text."""
    return value is None or (isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value))


def _said(entry: Entry, name: str, value: Any, declared: Declared, *, is_setting: bool) -> Any:
    match value:
        case bool():
            return ("on" if value else "off") if is_setting else ("yes" if value else "no")
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.10g}"
        case str() if is_setting:
            return value
        case str() if name == "kind" and entry.what.startswith("destination."):
            return declared.kinds[value].label if value in declared.kinds else value
        case str() if name == "kind" and entry.what.startswith("regulation."):
            return REGULATIONS.get(value, value)
        case str() if name == "browser" and entry.what == BEGUN:
            return in_words(value)
        case _:
            return value


def _moment(value: Any) -> str:
    return "" if value is None else instant(value) if isinstance(value, int) else str(value)
