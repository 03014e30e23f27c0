"""Traits as attributes of an account or a user. See docs/totango.md, "Account attributes" and "User attributes"."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from milonga.destinations.totango.dates import creation_date
from milonga.destinations.totango.values import UNDATED, cut, value_text
from milonga.destinations.totango.wire import (
    MAX_ACCOUNT_ID,
    MAX_ACCOUNT_NAME,
    MAX_ACCOUNT_VALUE,
    MAX_ATTRIBUTE_NAME,
    MAX_PRODUCT_ID,
    MAX_USER_VALUE,
)
from milonga.spec.event import JsonObject
from milonga.spec.names import fold
from milonga.spec.text import well_formed
from milonga.spec.values import id_text

# Traits that are never attributes: what travels as `sdr_o` and `sdr_u`, and what Totango computes by itself.
_DROPPED: Final = frozenset({"", "id", "account_id", "status_group", "contract_value"})
# Of an account, these too are taken care of one by one, as is every trait below unless it is an object.
_ACCOUNT_DROPPED: Final = _DROPPED | {"plan", "parent_id", "product_id"}
_ACCOUNT_PLACED: Final = frozenset({"name", "account_name", "Create Date", "Status"})
_USER_PLACED: Final = frozenset({"name", "Create Date"})

_NEVER_FLATTENED_TO: Final = frozenset({"parent_id", "product_id", "account_id", "account_name"})
_YES_OR_NO: Final = frozenset({"Contact", "Key Contact"})

_NAMES: Final = frozenset({"firstname", "lastname"})
_MATCHED: Final = _NAMES | {"created", "createdat"}


def account_attributes(traits: JsonObject, *, default_plan: str, parent: str | None = None) -> dict[str, str]:
    """
    The `sdr_o.*` parameters.

    default_plan  status of an account whose traits name none; empty: send none
    parent        parent account as given beside the traits; it wins over the trait `parent_id`
    """
    found: dict[str, str] = {}
    name = value_text(traits.get("account_name"), MAX_ACCOUNT_NAME) or value_text(traits.get("name"), MAX_ACCOUNT_NAME)
    if name:
        found["sdr_o.account_name"] = name
    _put_status(found, traits, default_plan)
    _put_id(found, "sdr_o.parent_id", parent or id_text(traits.get("parent_id")), MAX_ACCOUNT_ID)
    _put_id(found, "sdr_o.product_id", id_text(traits.get("product_id")), MAX_PRODUCT_ID)
    matched = _put_others(found, "sdr_o.", traits, _ACCOUNT_DROPPED, _ACCOUNT_PLACED, MAX_ACCOUNT_VALUE)
    if date := _create_date(traits, matched, ("createdat", "created"), MAX_ACCOUNT_VALUE):
        found["sdr_o.Create Date"] = date
    return found


def user_attributes(traits: JsonObject) -> dict[str, str]:
    """The `sdr_u.*` parameters."""
    found: dict[str, str] = {}
    matched = _put_others(found, "sdr_u.", traits, _DROPPED, _USER_PLACED, MAX_USER_VALUE)
    if name := value_text(traits.get("name"), MAX_USER_VALUE, dates=False) or _composed_name(matched):
        found["sdr_u.name"] = name
    if date := _create_date(traits, matched, ("created", "createdat"), MAX_USER_VALUE):
        found["sdr_u.Create Date"] = date
    return found


def _create_date(traits: JsonObject, matched: JsonObject, order: tuple[str, str], limit: int) -> str | None:
    """Totango's own `Create Date`, else the first of Segment's two traits that says anything."""
    if own := value_text(traits.get("Create Date"), limit):
        return own
    for trait in order:
        if trait in matched:
            return creation_date(matched[trait])
    return None


def _composed_name(matched: JsonObject) -> str | None:
    """First and last name, if both are given as text."""
    if "firstname" not in matched or "lastname" not in matched:
        return None
    return cut(f"{matched['firstname'].strip()} {matched['lastname'].strip()}", MAX_USER_VALUE)


def _usable(trait: str, value: Any) -> bool:
    """Whether a trait that is found in any spelling says something; if not, the next spelling is asked."""
    if trait in _NAMES:
        return isinstance(value, str) and bool(value.strip())
    # Null, 0 and empty text: no date was given. Anything else is an answer, if perhaps a useless one.
    return value is not None and value != "" and (value != 0 or value is False)


def _put_status(found: dict[str, str], traits: JsonObject, default_plan: str) -> None:
    """Totango's own `Status`, else `plan`, else the default. Beside a Status, `plan` is an attribute like others."""
    plan = traits.get("plan")
    plan_text = None if isinstance(plan, list) else value_text(plan, MAX_ACCOUNT_VALUE, dates=False)
    if status := value_text(traits.get("Status"), MAX_ACCOUNT_VALUE, dates=False):
        found["sdr_o.Status"] = status
        if plan_text:
            found["sdr_o.plan"] = plan_text
    elif status := plan_text or cut(default_plan, MAX_ACCOUNT_VALUE):
        found["sdr_o.Status"] = status


def _put_id(found: dict[str, str], name: str, id_: str | None, limit: int) -> None:
    """An id is sent whole or not at all: a part of it would be another's."""
    if id_ is not None and len(id_) <= limit:
        found[name] = well_formed(id_)


def _put_others(
    found: dict[str, str], prefix: str, traits: JsonObject, dropped: frozenset[str], placed: frozenset[str], limit: int
) -> dict[str, Any]:
    """
    Every other trait under its own name, an object as one attribute for each value in it. Returns, of the traits that
    are found in any spelling, the first usable value of each.

    dropped  traits not to be sent from here
    placed   traits not to be sent from here unless they are objects, which no named attribute can hold
    """
    matched: dict[str, Any] = {}
    for key, value in traits.items():
        if value is None or key in dropped or len(key) > MAX_ATTRIBUTE_NAME:
            continue
        if (trait := spelled(key)) is not None:
            if _usable(trait, value):
                matched.setdefault(trait, value)
            if trait not in _NAMES:
                continue
        if isinstance(value, dict):
            for name, item in flattened(key, value):
                parameter = prefix + well_formed(name)
                # A trait that already has this name wins, unless it is null; of two objects, the first.
                if name in _NEVER_FLATTENED_TO or traits.get(name) is not None or parameter in found:
                    continue
                if (text := value_text(item, limit)) is not None:
                    found[parameter] = text
        elif key not in placed:
            if isinstance(value, bool) and key in _YES_OR_NO and prefix == "sdr_u.":
                text = "yes" if value else "no"
            else:
                text = value_text(value, limit, dates=key not in UNDATED)
            if text is not None:
                found[prefix + well_formed(key)] = text
    return matched


def flattened(name: str, value: JsonObject) -> Iterator[tuple[str, Any]]:
    """
    (name, value) of each value in an object, names joined by `_`. A name beyond the limit is left out with all below
    it, which also bounds the depth.
    """
    for key, item in value.items():
        inner = f"{name}_{key}"
        if not key or item is None or len(inner) > MAX_ATTRIBUTE_NAME:
            continue
        if isinstance(item, dict):
            yield from flattened(inner, item)
        else:
            yield inner, item


@lru_cache(maxsize=4096)
def spelled(key: str) -> str | None:
    """
    Which trait this is, of those that are found whatever their spelling; None for every other. Keys are mostly the
    same few, and folding one takes longer than all the rest that is done with it.
    """
    folded = fold(key)
    return folded if folded in _MATCHED else None
