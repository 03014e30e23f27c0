"""From an event to one request. See docs/webhook.md."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from math import isfinite
from typing import Any, Final

from milonga.destinations.contract import Json, Request, Requests, Signature, Skip
from milonga.destinations.integrations import allowed
from milonga.destinations.text import well_formed
from milonga.destinations.webhook.headers import AUTHORIZATION, secret_headers
from milonga.destinations.webhook.ordering import NAME
from milonga.destinations.webhook.settings import Settings
from milonga.spec.event import Event
from milonga.spec.values import number_text

PART: Final = "event"
MAX_DEPTH: Final = 100  #: of objects and lists in one another; few JSON readers take much more
_MAX_BITS: Final = 14_000  #: of a whole number; Python's own JSON readers and writers refuse more than 4,300 digits


def translate(event: Event, settings: Settings) -> Requests | Skip:
    """The event as it was received, with what the collector found out about it."""
    if not allowed(event.integrations, NAME):
        return _DISABLED
    if not settings.url:
        return _MISSING_URL
    try:
        value = _sendable(_described(event))
    except _TooDeep:
        return _TOO_DEEP
    secret: dict[str, str] = {}
    if settings.authorization:
        secret[AUTHORIZATION] = settings.authorization
    if settings.secret_headers:
        secret.update(secret_headers(settings.secret_headers))
    secrets = tuple(settings.signing_secrets.split())
    return [
        Request(
            part=PART,
            method=settings.method,
            url=settings.url,
            headers={**settings.headers, **secret},
            body=Json(value),
            secrets=frozenset(secret),
            sign=Signature(_id_of(event), secrets) if secrets else None,
        )
    ]


def _id_of(event: Event) -> str:
    """The same at every try, and no other request's: source and messageId name the event, the part its request."""
    named = f"{event.source}\0{event.message_id}\0{PART}"
    return "msg_" + sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _described(event: Event) -> dict[str, Any]:
    value: dict[str, Any] = {**event.received, "type": event.type}
    if event.message_id is not None:
        value["messageId"] = event.message_id
    if event.context:
        value["context"] = event.context
    if event.integrations:
        value["integrations"] = event.integrations
    if event.timestamp is not None:
        if isinstance(own := event.received.get("timestamp"), str):
            value.setdefault("originalTimestamp", own)
        value["timestamp"] = _moment(event.timestamp)
    if event.received_at is not None:
        value["receivedAt"] = _moment(event.received_at)
    account = None if event.account is None else {"id": event.account.id, "found": event.account.found}
    value["milonga"] = {"account": account}
    return value


def _moment(milliseconds: int) -> str | None:
    try:
        moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


class _TooDeep(Exception):
    """More than MAX_DEPTH objects and lists in one another."""


def _sendable(value: dict[str, Any]) -> Any:
    """The value, mended where JSON in UTF-8 could not carry it: lone surrogates, NaN, infinities, endless digits."""
    return {well_formed(key): _mended(item, MAX_DEPTH) for key, item in value.items()}


def _mended(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, Mapping):
        if not depth:
            raise _TooDeep
        return {well_formed(key): _mended(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        if not depth:
            raise _TooDeep
        return [_mended(item, depth - 1) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return number_text(value)
    return value


_DISABLED: Final = Skip(
    "disabled",
    "The call's own `integrations` switches Webhook off. Send it without `Webhook: false` or `All: false`, "
    "or with `Webhook: true`.",
)
_MISSING_URL: Final = Skip(
    "missing_url",
    "Set the address of your receiver: `milonga destinations set NAME --set url=https://...`.",
)
_TOO_DEEP: Final = Skip(
    "too_deep",
    f"The event nests more than {MAX_DEPTH} objects and lists in one another: send it flatter.",
)
