"""What an event waits its turn for on its way to a webhook. Source: docs/webhook.md, "Order"."""

from collections.abc import Mapping
from functools import reduce
from hashlib import sha256
from typing import Any, Final

from milonga.destinations.contract import Key
from milonga.destinations.integrations import allowed
from milonga.destinations.webhook.settings import Settings
from milonga.spec.event import Event
from milonga.spec.text import well_formed
from milonga.spec.values import id_text

NAME: Final = "Webhook"  #: in `integrations`, exactly
LONGEST: Final = 200  #: characters of a value within a key; of a longer one its hash stands there


def keys(event: Event, settings: Settings) -> tuple[Key, ...]:
    """
    One or two, beginning with the account, else the user id, else the anonymous id; none for an event of nobody, or
    one that is not sent. Where nothing must wait for anything an event has a line of its own, of its account still: no
    account may take the place of others.
    """
    owner = event.account.id if event.account is not None else event.user_id or event.anonymous_id
    if owner is None or not allowed(event.integrations, NAME):
        return ()
    account: Key = (well_formed(owner),)
    user = event.user_id or event.anonymous_id
    match settings.ordering:
        case "account":
            return (account,)
        case "user" | "accountAndUser" if user is None:
            return (account,)
        case "accountAndUser" if event.type == "group":
            return (account, (*account, well_formed(user or "")))
        case "user" | "accountAndUser":
            return ((*account, well_formed(user or "")),)
        case "none":
            return () if event.message_id is None else ((*account, "", well_formed(event.message_id)),)
        case path:
            value = id_text(_at(event, path))
            return (account,) if value is None else ((*account, path, _short(well_formed(value))),)


def _at(event: Event, path: str) -> Any:
    """What stands there in the body that is sent; None if nothing does."""
    first, *others = path.split(".")
    start: Any = event.context if first == "context" else event.received.get(first)
    return reduce(lambda value, name: value.get(name) if isinstance(value, Mapping) else None, others, start)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else sha256(text.encode()).hexdigest()
