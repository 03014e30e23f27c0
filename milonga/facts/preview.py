"""
Trying out: what an event would become at a destination with settings that are not saved. Nothing is sent or kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct, UnsetType, to_builtins

from milonga.collector.stamp import stamp
from milonga.destinations.contract import Destination, Notice, Skip
from milonga.destinations.http import is_masked
from milonga.filters.gate import Gate
from milonga.identity.clock import parse_time
from milonga.outcomes.explain import name_of, shown
from milonga.outcomes.rules import apply
from milonga.outcomes.where import as_json, place_of
from milonga.outcomes.words import instant, named, why_skipped
from milonga.spec.arrived import Decoded, NotJson
from milonga.spec.decode import decode_mended
from milonga.spec.discards import MEANING, Rejected
from milonga.spec.event import Event
from milonga.spec.stored import Stamped
from milonga.spec.text import well_formed
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.fields import Field, fields_of
from milonga.workspace.model import DestinationConfig
from milonga.workspace.rows import kind_named
from milonga.workspace.saving import changed_delivery
from milonga.workspace.settings import MASK, by_names, changed, forced
from milonga.workspace.store import Workspace

MOST_PASTED: Final = 128 * 1024  #: bytes; an event has 32 KB at most, a batch may be pasted for its first
MENDED: Final = (
    "It was mended, as what arrives is: NaN, infinities and numbers out of range are null, half a surrogate pair is "
    "U+FFFD, control characters and unknown escapes in text are escaped."
)
OWN_ID: Final = "milonga-preview"  #: message id of an event that comes without


class Pasted(Struct, frozen=True):
    """
    stamped  the first event
    others   how many more there are, good and bad
    mended   whether it, or what its batch says for all, was no JSON as it was pasted (milonga.spec.mend)
    """

    stamped: Stamped
    others: int
    mended: bool


def pasted(text: str, source: int, now: int) -> Pasted:
    """
    What the collector would keep of it: one event, or the body of a batch, as an SDK sends them. UserError says what is
    wrong and where.

    source  id of the one that it is tried out for
    now     unix milliseconds: when it arrives
    """
    body = text.encode("utf-8", "replace")
    if not body.strip():
        raise UserError("There is no event yet. Paste one as an SDK sends it, such as a track call.")
    if len(body) > MOST_PASTED:
        raise UserError(f"This is too much: {MOST_PASTED // 1024} KB at most, and an event has 32 KB at most.")
    try:
        decoded = decode_mended(body, None)
    except NotJson as error:
        why = well_formed(str(error)).removesuffix(" - at `$`")
        raise UserError(f"This is no JSON of an event: {why}.") from None
    if not decoded.events:
        raise UserError(_why_not(decoded.rejected))
    (first,) = stamp(decoded.events[:1], source, now, lambda: OWN_ID)
    return Pasted(first, _others(decoded), not _is_as_pasted(first, body))


def _is_as_pasted(first: Stamped, body: bytes) -> bool:
    """What was not mended stands in the text as it is, and a strict reader takes it."""
    said = (first.stamp.batch_context, first.stamp.batch_integrations)
    parts = (first.body, *(bytes(one) for one in said if not isinstance(one, UnsetType)))
    try:
        for part in parts:
            msgspec.json.decode(part)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return all(part in body for part in parts)


def _others(decoded: Decoded) -> int:
    return len(decoded.events) - 1 + sum(one.count for one in decoded.rejected)


def _why_not(rejected: Sequence[Rejected]) -> str:
    """As the collector would say it, for the first."""
    one = rejected[0]
    if one.code == "empty_batch" and b'"batch"' not in one.excerpt:
        return "The event has no `type`: one of identify, group, track, page, screen, alias."
    return f"It would not be accepted: {one.code}. {MEANING[one.code]} {well_formed(one.reason)}."


class Draft(Struct, frozen=True):
    """Settings to try out. Secrets of those that are saved stand as ***."""

    kind: Destination
    settings: Struct
    delivery: DeliverySettings


def draft(workspace: Workspace, config: DestinationConfig, changes: Mapping[str, object]) -> Draft:
    """
    The settings of a destination with changes laid over them. UserError names the setting at fault.

    changes  as Workspace.set_settings takes them
    """
    kind = kind_named(workspace.kinds, config.kind, config.name)
    saved = workspace.settings_at(config.id, config.settings_version)
    own, shared = by_names(kind.settings, DeliverySettings, changes, kind.label)
    return Draft(kind, _over(saved, own, kind), changed_delivery(config.delivery, shared, kind))


def _over(saved: Struct, changes: Mapping[str, object], kind: Destination) -> Struct:
    """*** is no value that every secret may have, nor the end of an address: so it is put in last, and unchecked."""
    masked = {field.name: value for field, value in _hidden(saved)}
    plain = {
        field.name: getattr(saved, field.attribute) for field in fields_of(type(saved)) if field.name not in masked
    }
    after = changed(kind.settings(), {**plain, **changes}, kind.label)
    return forced(after, {name: mask for name, mask in masked.items() if name not in changes})


def _hidden(saved: Struct) -> Iterator[tuple[Field, str]]:
    """Settings of which *** is all, or the end, and that."""
    for field in fields_of(type(saved)):
        value = getattr(saved, field.attribute)
        if field.secret and value:
            yield field, MASK
        elif field.hides_query and value and is_masked(value):
            yield field, value


def preview(event: Event, at: Draft, name: str) -> dict[str, Any]:
    """
    The event as it would be understood, the rules it meets, the requests it would become (secrets masked) or the reason
    why none, and what the receiver would get otherwise than it was sent.

    name  of the destination
    """
    applied = apply(at.kind, event, at.settings, at.delivery.gate)
    result, requests, skip = applied.result, [], None
    if isinstance(result, Skip):
        skip = {
            "code": result.code,
            "why": why_skipped(result.code),
            "fix": named(result.fix, name),
            "fixAt": as_json(place_of(result.code)),
        }
    elif result is not None:
        requests = [shown(request) for request in result]
    return {
        "event": _understood(event),
        "rules": applied.as_json(),
        "requests": requests,
        "skip": skip,
        "notices": [to_builtins(one) for one in notices(at.kind, event, at.settings, at.delivery.gate)],
    }


def notices(kind: Destination, event: Event, settings: Struct, gate: Gate) -> list[Notice]:
    """Of the event as the filters leave it, beside what holds for every kind. Never raises."""
    admitted = gate.admit(event, kind.label, heeds_all=kind.heeds_all(settings))
    if not isinstance(admitted, Event):
        return []
    try:
        own = list(kind.notices(admitted, settings))
    except Exception:  # they only advise
        own = []
    return [*_of_time(event), *own]


def _of_time(event: Event) -> list[Notice]:
    given = event.received.get("timestamp")
    if given is None or (isinstance(given, str) and parse_time(given) is not None):
        return []
    says = "It cannot be read as a time: the time of its arrival stands in. Write it like 2024-03-05T14:22:07.123Z."
    return [Notice("odd_timestamp", "timestamp", says)]


def _understood(event: Event) -> dict[str, Any]:
    return {
        "type": event.type,
        "name": name_of(event),
        "messageId": event.message_id,
        "userId": event.user_id,
        "anonymousId": event.anonymous_id,
        "account": None if event.account is None else {"id": event.account.id, "found": event.account.found},
        "timestamp": None if event.timestamp is None else instant(event.timestamp),
    }
