"""What Totango gets otherwise than it was sent, for whoever tries an event out. The rules: docs/totango.md."""

import re
from collections.abc import Iterator
from typing import Any, Final

from milonga.destinations.contract import Notice, Skip
from milonga.destinations.integrations import options
from milonga.destinations.totango.attributes import account_attributes, flattened, spelled, user_attributes
from milonga.destinations.totango.gate import NAME, gate
from milonga.destinations.totango.module import DEFAULT, named_module
from milonga.destinations.totango.pages import page_activities
from milonga.destinations.totango.products import product_of
from milonga.destinations.totango.settings import Settings
from milonga.destinations.totango.values import UNDATED, value_text
from milonga.destinations.totango.wire import (
    MAX_ACCOUNT_NAME,
    MAX_ACCOUNT_VALUE,
    MAX_ACTIVITY,
    MAX_ATTRIBUTE_NAME,
    MAX_MODULE,
    MAX_USER_ID,
    MAX_USER_VALUE,
)
from milonga.spec.event import Event, Group, Identify, JsonObject, Page, Track
from milonga.spec.text import well_formed
from milonga.spec.values import id_text

MOST: Final = 50  #: notices of one event
SHOWN: Final = 60  #: characters of a value or name that is told
LATE: Final = 3_600_000  #: milliseconds after which it matters that Totango dates by arrival

_WHOLE: Final = 10**9  #: characters: longer than any event
_CREATED: Final = frozenset({"created", "createdat"})
_COMPUTED: Final = ("status_group", "contract_value")
_LIKE_A_DATE: Final = re.compile(r"[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}(?:[ T].{0,30})?")
_WRITE_IT: Final = "Write it like 2024-03-05 or 2024-03-05T14:22:07Z."


def notices(event: Event, settings: Settings) -> list[Notice]:
    """At most MOST of them."""
    if isinstance(gate(event, settings), Skip):
        return []
    found: list[Notice] = []
    for notice in _notices(event, settings):
        found.append(notice)
        if len(found) == MOST:
            break
    return found


def _notices(event: Event, settings: Settings) -> Iterator[Notice]:
    match event.call:
        case Group(traits=traits):
            yield from _of_group(event, traits, settings)
        case Identify(traits=traits):
            yield from _of_traits(traits, user_attributes(traits), "sdr_u.", MAX_USER_VALUE)
        case Track() | Page() as call:
            yield from _of_activity(event, call, settings)
        case _:
            return


# Accounts and users


def _of_group(event: Event, traits: JsonObject, settings: Settings) -> Iterator[Notice]:
    own = options(event.integrations, NAME)
    parent = own.get("parent")
    named = id_text(parent.get("id")) if isinstance(parent, dict) else None
    sent = account_attributes(traits, default_plan="", parent=named)
    if "sdr_o.Status" not in sent and settings.default_plan:
        plan = well_formed(settings.default_plan[:SHOWN])
        yield Notice(
            "default_status",
            "traits.plan",
            f"The call names neither plan nor Status: the account's Status is set to {plan}, also if it had another. "
            "Send plan with every group call, or empty Default Plan in the settings.",
        )
    if event.user_id is not None and len(event.user_id) > MAX_USER_ID:
        yield Notice("user_left_out", "userId", f"Longer than {MAX_USER_ID} characters: sent without the user.")
    ids = (("parent_id", named or id_text(traits.get("parent_id"))), ("product_id", id_text(traits.get("product_id"))))
    for name, id_ in ids:
        if id_ is not None and f"sdr_o.{name}" not in sent:
            yield Notice("id_left_out", f"traits.{name}", "Too long for Totango, and an id is never cut: left out.")
    if (
        own.get("product") is not None
        and product_of(event.integrations, event.account.id if event.account else "") is None
    ):
        yield Notice(
            "product_left_out",
            "integrations.Totango.product",
            "No product account comes of it: it has no usable id, or one that is too long.",
        )
    yield from _of_traits(traits, sent, "sdr_o.", MAX_ACCOUNT_VALUE)


def _of_traits(traits: JsonObject, sent: dict[str, str], prefix: str, limit: int) -> Iterator[Notice]:
    for key, value in traits.items():
        if value is None or not key:
            continue
        field = f"traits.{well_formed(key[:SHOWN])}"
        if len(key) > MAX_ATTRIBUTE_NAME:
            yield Notice("name_too_long", field, f"A name has at most {MAX_ATTRIBUTE_NAME} characters: left out.")
        elif prefix == "sdr_o." and key in _COMPUTED:
            yield Notice("computed", field, "Totango works this out by itself: left out.")
        elif spelled(key) in _CREATED:
            yield from _of_creation(field, value, sent, prefix)
        elif isinstance(value, dict):
            for name, item in flattened(key, value):
                yield from _of_value(f"traits.{well_formed(name)}", prefix + well_formed(name), item, sent, limit)
        else:
            yield from _of_value(field, _parameter(prefix, key, sent), value, sent, _limit(prefix, key, limit))


def _parameter(prefix: str, key: str, sent: dict[str, str]) -> str:
    """Under which name a trait is sent."""
    if prefix == "sdr_o." and key in ("name", "account_name"):
        return "sdr_o.account_name"
    if prefix == "sdr_o." and key == "plan" and "sdr_o.plan" not in sent:
        return "sdr_o.Status"
    return prefix + well_formed(key)


def _limit(prefix: str, key: str, limit: int) -> int:
    return MAX_ACCOUNT_NAME if prefix == "sdr_o." and key in ("name", "account_name") else limit


def _of_creation(field: str, value: Any, sent: dict[str, str], prefix: str) -> Iterator[Notice]:
    """Null, 0 and empty text name no date; another trait may have named one."""
    if value == "" or (value == 0 and value is not False) or f"{prefix}Create Date" in sent:
        return
    yield Notice("odd_date", field, f"{_quoted(value)} cannot be read as a date: left out. {_WRITE_IT}")


def _of_value(field: str, parameter: str, value: Any, sent: dict[str, str], limit: int) -> Iterator[Notice]:
    dates = parameter.partition(".")[2] not in UNDATED
    as_sent = value_text(value, limit, dates=dates)
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        if as_sent is None and parameter not in sent:
            says = f"As JSON it has over {limit} characters, and cut JSON cannot be read: left out."
            yield Notice("left_out", field, says)
        return
    whole = value_text(value, _WHOLE, dates=dates)
    if whole is not None and len(whole) > limit and sent.get(parameter) == as_sent:
        yield _cut(field, "It", whole, limit)
    if isinstance(value, str) and dates and value == whole and _LIKE_A_DATE.fullmatch(value):
        says = f"{_quoted(value)} is sent as text: Totango does not read it as a date. {_WRITE_IT}"
        yield Notice("maybe_date", field, says)


def _cut(field: str, what: str, text: str, limit: int) -> Notice:
    return Notice("cut", field, f"{what} has {len(text):,} characters; Totango takes {limit}: the rest is cut off.")


def _quoted(value: Any) -> str:
    return f"“{well_formed(value[:SHOWN])}”" if isinstance(value, str) else "This value"


# Activities


def _of_activity(event: Event, call: Track | Page, settings: Settings) -> Iterator[Notice]:
    field, names = "event", [call.name or ""]
    if isinstance(call, Page):
        made = page_activities(call, settings)
        if isinstance(made, Skip):
            return
        field, names = "name", [name for _, name in made]
    longest = max(names, key=len)
    if len(longest) > MAX_ACTIVITY:
        yield _cut(field, "The activity", longest, MAX_ACTIVITY)
    module = named_module(call, event.context, settings)
    if not module:
        yield Notice(
            "default_module",
            "properties.category",
            "Nothing says in which part of the product this happened: it is filed under the Default Module, "
            f"{well_formed((settings.default_module or DEFAULT)[:SHOWN])}. Send properties.category.",
        )
    elif len(module) > MAX_MODULE:
        yield _cut("properties.category", "The module", module, MAX_MODULE)
    if event.timestamp is not None and event.received_at is not None and event.received_at - event.timestamp > LATE:
        yield Notice(
            "dated_by_arrival",
            "timestamp",
            "Totango dates what arrives by its arrival: this counts as done when it is sent, not when it happened.",
        )
