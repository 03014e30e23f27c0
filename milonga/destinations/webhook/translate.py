"""From an event to one request. See docs/webhook.md."""

from hashlib import sha256
from typing import Any, Final

from milonga.destinations.contract import Json, Request, Requests, Signature, Skip
from milonga.destinations.integrations import allowed
from milonga.destinations.webhook.headers import AUTHORIZATION, secret_headers
from milonga.destinations.webhook.ordering import NAME
from milonga.destinations.webhook.settings import Settings
from milonga.destinations.whole import MAX_DEPTH, TooDeep, mended, moment
from milonga.spec.event import Event

PART: Final = "event"


def translate(event: Event, settings: Settings) -> Requests | Skip:
    """The event as it was received, with what the collector found out about it."""
    if not allowed(event.integrations, NAME):
        return _DISABLED
    if not settings.url:
        return _MISSING_URL
    try:
        value = mended(_described(event))
    except TooDeep:
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
        value["timestamp"] = moment(event.timestamp)
    if event.received_at is not None:
        value["receivedAt"] = moment(event.received_at)
    account = None if event.account is None else {"id": event.account.id, "found": event.account.found}
    value["milonga"] = {"account": account}
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
