"""Settings as a person types them, as they are stored and as they are shown, by what a kind declares (fields.py)."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from secrets import token_hex
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from milonga.destinations.http import MASK as MASK
from milonga.destinations.http import address_problem, is_masked, shown_address
from milonga.workspace.errors import UserError
from milonga.workspace.fields import TEXTS, YES_OR_NO, Field, called, fields_of

LONGEST = 10_000  #: characters of one text setting


class Unset:
    """Given as a setting's new value: back to its default."""


UNSET: Final = Unset()
_BOUNDS: Final = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}


def by_name(kind: type[Struct], changes: Mapping[str, object], label: str) -> dict[str, object]:
    """
    The changes under the settings' own names; a Struct's attribute name is taken too. UserError lists what there is.

    label  of the kind, for the error
    """
    own, _ = by_names(kind, None, changes, label)
    return own


def by_names(
    kind: type[Struct], shared: type[Struct] | None, changes: Mapping[str, object], label: str
) -> tuple[dict[str, object], dict[str, object]]:
    """The same for the settings of a kind and those that all kinds share: each Struct's own changes."""
    fields = fields_of(kind)
    common = () if shared is None else fields_of(shared)
    own, others = _names(fields), _names(common)
    for name in changes:
        if name not in own and name not in others:
            raise UserError(_unknown(name, fields, common, label))
    return (
        {own[name]: given for name, given in changes.items() if name in own},
        {others[name]: given for name, given in changes.items() if name not in own},
    )


def _names(fields: tuple[Field, ...]) -> dict[str, str]:
    return {field.attribute: field.name for field in fields} | {field.name: field.name for field in fields}


def changed(current: Struct, changes: Mapping[str, object], label: str) -> Struct:
    """
    New settings with `changes` (name -> what was typed, a value of the right type, or UNSET) laid over `current`.

    label  of the kind, for errors
    UserError names the setting at fault; it never repeats a secret.
    """
    kind = type(current)
    values: dict[str, Any] = {}
    for field in fields_of(kind):
        if field.name not in changes:
            values[field.name] = getattr(current, field.attribute)
        else:
            given = changes[field.name]
            values[field.name] = field.default if isinstance(given, Unset) else read_value(field, given)
    try:
        return msgspec.convert(msgspec.to_builtins(values), kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{label}: {error}") from None


def generated(settings: type[Struct], others: Iterable[Struct]) -> dict[str, object]:
    """
    By name, what a new destination has from the start in settings that say so: the value of the others of its kind, for
    it stands for this Milonga, or else 16 random hexadecimal digits.
    """
    there = [other for other in others if isinstance(other, settings)]
    found: dict[str, object] = {}
    for field in fields_of(settings):
        if field.generated:
            values = (getattr(other, field.attribute) for other in there)
            found[field.name] = next((value for value in values if value), None) or token_hex(8)
    return found


def differences(before: Struct, after: Struct) -> tuple[str, ...]:
    """Names of the settings that differ."""
    return tuple(
        field.name
        for field in fields_of(type(after))
        if getattr(before, field.attribute) != getattr(after, field.attribute)
    )


def led_elsewhere(before: Struct, after: Struct, given: Collection[str]) -> tuple[Field, ...]:
    """
    Secrets that would go to another host than before, or no longer by https, although nobody typed them anew: whoever
    may change an address must not learn by that what nobody is shown.

    given  names of the settings that are given
    """
    fields = fields_of(type(after))
    addresses = [field.attribute for field in fields if field.address]
    if all(_host(getattr(before, name)) == _host(getattr(after, name)) for name in addresses):
        return ()
    return tuple(
        field for field in fields if field.secret and getattr(after, field.attribute) and field.name not in given
    )


def _host(address: str | None) -> tuple[str, str]:
    """And how it is spoken to: what went by https must not go in the clear."""
    split = urlsplit((address or "").lower())
    return split.scheme, split.netloc.rpartition("@")[2]


def missing(settings: Struct) -> tuple[Field, ...]:
    """Required ones that are still empty."""
    return tuple(
        field
        for field in fields_of(type(settings))
        if field.required and getattr(settings, field.attribute) in ("", None, (), [])
    )


def shown(settings: Struct) -> dict[str, Any]:
    """
    Name -> value for people and JSON, secrets as ***; an empty secret stays empty. The query of an address is hidden.
    """
    return {field.name: _shown(field, getattr(settings, field.attribute)) for field in fields_of(type(settings))}


def _shown(field: Field, value: object) -> Any:
    if field.secret and value:
        return MASK
    if field.hides_query and isinstance(value, str) and value:
        return shown_address(value)
    return msgspec.to_builtins(value)


def split(settings: Struct) -> tuple[dict[str, Any], dict[str, str]]:
    """
    What may be stored as it is, and the secrets that are not empty, both by name. An address with a query is a secret
    as a whole, so that nobody leads it elsewhere who can only write the file; what is shown of it stands beside it.
    """
    plain: dict[str, Any] = {}
    secret: dict[str, str] = {}
    for field in fields_of(type(settings)):
        value = getattr(settings, field.attribute)
        if field.secret:
            if value:
                secret[field.name] = value
            continue
        plain[field.name] = msgspec.to_builtins(value)
        if field.hides_query and value and (shown := shown_address(value)) != value:
            plain[field.name], secret[field.name] = shown, value
    return plain, secret


def masks(kind: type[Struct], sealed: Iterable[str]) -> dict[str, str]:
    """
    Name -> *** of the secrets among what is sealed. An address stands beside its seal already, without its query.

    sealed  names
    """
    secret = {field.name for field in fields_of(kind) if field.secret}
    return dict.fromkeys(secret.intersection(sealed), MASK)


def own_choice(settings: Struct) -> str:
    """
    What differs from the defaults, as JSON: only that is kept of settings that belong to Milonga itself, so that a
    better default reaches those who never chose.
    """
    plain, _ = split(settings)
    return msgspec.json.encode({name: plain[name] for name in differences(type(settings)(), settings)}).decode()


def joined(
    kind: type[Struct], plain: Mapping[str, Any], secret: Mapping[str, str] = MappingProxyType({})
) -> tuple[Struct, str]:
    """
    The other way round: the settings, and "" or what was wrong with them, in words.

    Stored names that the kind has no more are passed by, new ones get their default. What the kind no longer takes gets
    its default too, and is told.
    """
    usable, wrong = usable_of(kind, {**plain, **secret})
    trouble = f"what is stored for {', '.join(wrong)} is no longer a possible value" if wrong else ""
    try:
        return msgspec.convert(msgspec.to_builtins(usable), kind), trouble
    except msgspec.ValidationError as error:
        trouble = f"the stored settings do not fit together any more: {error}"
    return forced(kind(), usable), trouble


def usable_of(kind: type[Struct], stored: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Of stored settings, by name: what the kind takes, each for itself, and the names of what it does not."""
    usable: dict[str, Any] = {}
    wrong: list[str] = []
    for field in fields_of(kind):
        if field.name in stored:
            try:
                usable[field.name] = msgspec.convert(stored[field.name], field.type)
            except msgspec.ValidationError:
                wrong.append(field.name)
    return usable, wrong


def forced(settings: Struct, values: Mapping[str, Any]) -> Struct:
    """
    `settings`, which nobody else may hold yet, with `values` (by name) put in unchecked: to be shown, or to explain
    the past with, but not to be sent with.
    """
    for field in fields_of(type(settings)):
        if field.name in values:
            msgspec.structs.force_setattr(settings, field.attribute, values[field.name])
    return settings


def read_value(field: Field, given: object) -> Any:
    """One setting, as typed or of its type, as a value of its type; no other is asked. UserError as `changed`."""
    text = given if isinstance(given, str) else None
    if text is not None:
        if len(text) > LONGEST:
            raise UserError(f"{called(field)} is too long: at most {LONGEST:,} characters.")
        if (field.secret or field.address) and any(not sign.isprintable() for sign in text):
            raise UserError(f"{called(field)} must not contain line breaks or other control characters.")
        if field.kind == YES_OR_NO:
            given = {"yes": True, "on": True, "no": False, "off": False}.get(text.lower(), text)
        if field.kind == TEXTS and not text.lstrip().startswith("["):
            given = tuple(one.strip() for one in text.split(",") if one.strip())
    try:
        value = _convert(field, given)
    except msgspec.ValidationError as error:
        # msgspec repeats the value only where it calls it invalid; a secret must not be repeated.
        plain = field.secret or field.kind == YES_OR_NO or str(error).startswith("Invalid")
        detail = "" if plain else f" ({error})"
        got = "" if field.secret or text is None else f", not {text[:100]!r}"
        wanted = field.kind
        if field.kind.startswith(("whole number", "number")):
            wanted, detail = f"a {field.kind}{_bound(str(error))}", ""
        raise UserError(f"{called(field)} must be {wanted}{got}.{detail}") from None
    if field.address and value:
        _check_address(field, value)
    return value


def _bound(error: str) -> str:
    """Of what msgspec says of a number that is too small or too large, in words; else nothing."""
    found = re.search(r"(>=|<=|>|<) (-?[0-9.]+)", error)
    return f" {_BOUNDS[found[1]]} {float(found[2]):,g}" if found else ""


def _convert(field: Field, given: object) -> Any:
    try:
        return msgspec.convert(given, field.type, strict=False)
    except msgspec.ValidationError:
        if not isinstance(given, str) or (field.kind not in ("JSON", TEXTS) and "nothing" not in field.kind):
            raise
        if not given and "nothing" in field.kind:
            return None
        try:
            return msgspec.json.decode(given, type=field.type)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            raise msgspec.ValidationError("not JSON") from None


def _check_address(field: Field, address: str) -> None:
    """The address is not repeated: what makes it unusable may be a password within it."""
    problem = address_problem(address)
    if problem is None and "\\" in address:
        problem = "The address holds a backslash"
    if problem is None and is_masked(address):
        problem = f"The address ends with ?{MASK}, which only stands for what is not shown: give the whole of it"
    if problem is None and "#" in address:
        problem = "The address has a # part, which would never be sent"
    if problem is not None:
        raise UserError(f"{called(field)}: {problem}. Write it like https://example.com/path.")


def _unknown(name: str, own: tuple[Field, ...], common: tuple[Field, ...], label: str) -> str:
    fields = (*own, *common)
    if not fields:
        return f"{label} has no settings, so none called {name}."
    near = difflib.get_close_matches(name.lower(), [field.name.lower() for field in fields], n=1)
    guess = next((f" Did you mean {field.name}?" for field in fields if near and field.name.lower() == near[0]), "")
    known = "\n".join(f"  {field.name}  {field.label}" for field in own)
    shared = "\n".join(f"  {field.name}  {field.label}" for field in common)
    listed = " It has:\n" + known if known else ""
    listed += "\nAnd as every destination:\n" + shared if shared else ""
    return f"{label} has no setting called {name}.{guess}{listed}"
