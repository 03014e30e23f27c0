"""Whether an event goes to Totango at all, and under which ids. See docs/totango.md, "What is sent"."""

from typing import Final, NamedTuple

from milonga.destinations.contract import Skip
from milonga.destinations.integrations import allowed
from milonga.destinations.totango.heartbeat import is_heartbeat
from milonga.destinations.totango.settings import Settings
from milonga.destinations.totango.wire import MAX_ACCOUNT_ID, MAX_USER_ID
from milonga.spec.event import Event, EventType, Track
from milonga.spec.read import object_at
from milonga.spec.text import well_formed

NAME: Final = "Totango"  #: in `integrations`, exactly
TYPES: Final = frozenset({"identify", "group", "track", "page"})


class Ids(NamedTuple):
    """
    account  `sdr_o`
    user     `sdr_u`; None only on a group call
    """

    account: str
    user: str | None


def gate(event: Event, settings: Settings) -> Ids | Skip:
    """The ids to send under, or the first reason not to send. Whether a page makes an activity is asked elsewhere."""
    if not allowed(event.integrations, NAME):
        return _DISABLED
    if event.type not in TYPES:
        return unsupported(event.type)
    if settings.connection_mode == "device" and in_browser(event):
        return _SENT_BY_BROWSER
    if settings.disable_heartbeat and is_heartbeat(event.call):
        return _HEARTBEAT_DISABLED
    if not settings.service_id.strip():
        return _MISSING_SERVICE_ID
    if event.account is None:
        return _MISSING_GROUP_ID_OF_GROUP if event.type == "group" else _MISSING_GROUP_ID
    account, user = event.account.id, event.user_id
    if user is None and event.type != "group":
        return _MISSING_USER_ID
    if len(account) > MAX_ACCOUNT_ID:
        return _too_long("account", "groupId", len(account), MAX_ACCOUNT_ID)
    if user is not None and len(user) > MAX_USER_ID:
        if event.type != "group":
            return _too_long("user", "userId", len(user), MAX_USER_ID)
        user = None  # an account can be described without naming who did it
    if isinstance(event.call, Track) and event.call.name is None:
        return _MISSING_EVENT
    return Ids(well_formed(account), None if user is None else well_formed(user))


def in_browser(event: Event) -> bool:
    """
    Whether the browser has handed it to Totango's own collector.
    Source: analytics-next 1.84.3, which lists in `_metadata.bundled` what the browser itself handles.
    """
    bundled = object_at(event.received, "_metadata").get("bundled")
    return isinstance(bundled, list) and NAME in bundled


def unsupported(type_: EventType) -> Skip:
    return Skip(
        "unsupported_type",
        f"Totango knows identify, group, track and page calls, no {type_}. "
        "If it should count as an activity, send a track call as well.",
    )


def _too_long(what: str, field: str, length: int, limit: int) -> Skip:
    return Skip(
        "id_too_long",
        f"The {what} id ({field}) has {length:,} characters, Totango takes {limit}. It is never shortened, since that "
        f"would name another {what}: send a shorter one.",
    )


_DISABLED: Final = Skip(
    "disabled",
    "The call's own `integrations` switches Totango off. Send it without `Totango: false` or `All: false`, "
    "or with `Totango: true`.",
)
_SENT_BY_BROWSER: Final = Skip(
    "sent_by_browser",
    "Nothing is to be done: in connection mode device the page gives it to Totango's own script. To send it from here "
    "instead: `milonga destinations set NAME --set connectionMode=cloud`.",
)
_HEARTBEAT_DISABLED: Final = Skip(
    "heartbeat_disabled",
    "Disable the Totango Heartbeat is on, and a page that was opened before still sent one. It ends with the next "
    "page load.",
)
_MISSING_SERVICE_ID: Final = Skip(
    "missing_service_id",
    "Set the service id, which Totango shows under Settings, Developer Console: "
    "`milonga destinations set NAME --set serviceId=SP-...`.",
)
_MISSING_GROUP_ID: Final = Skip(
    "missing_group_id",
    "Totango needs to know the account: send `context.groupId` with the call; in a browser, call group() first. "
    "A `groupId` beside `userId` is read on group calls only.",
)
_MISSING_GROUP_ID_OF_GROUP: Final = Skip(
    "missing_group_id",
    "A group call names its account in `groupId`, as non-empty text or a number.",
)
_MISSING_USER_ID: Final = Skip(
    "missing_user_id",
    "Totango counts known users only: send `userId`; in a browser, call identify() first. An anonymousId does not "
    "stand in for it.",
)
_MISSING_EVENT: Final = Skip(
    "missing_event",
    "A track call names what was done in `event`, as non-empty text or a number.",
)
