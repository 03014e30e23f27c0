"""
Pure: from the declared settings of a Struct to the controls of a form, and from what was posted back to changes.

Whatever has declared settings (milonga.workspace.fields) has its form from here: destinations, their delivery,
sources. Two rules keep it from losing anything:

- A control that comes back as it was shown is no change. So what a form cannot show whole, such as the query of an
  address or a secret, stays as it is.
- What is not in the posted form is no change either. What is wrong comes back with its error, as it was typed.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from milonga.destinations.http import MASK, shown_address
from milonga.workspace.errors import UserError
from milonga.workspace.fields import TEXTS, YES_OR_NO, Field, called, fields_of
from milonga.workspace.settings import LONGEST, UNSET, read_value

Kind: TypeAlias = Literal["text", "area", "number", "switch", "choice", "list", "secret", "json"]
Posted: TypeAlias = Mapping[str, Sequence[str]]
"""The fields of a posted form, each with its values in order."""

CLEAR: Final = ".clear"  #: behind a secret's name: the checkbox that empties it
ON: Final = "true"  #: value of a switch's checkbox
OFF: Final = "false"  #: of the hidden field before it, so that a switch that is off is posted too

_LINES: Final = frozenset({"area", "list", "json"})  #: kinds of control that hold several lines

TYPE_AGAIN: Final = "Not saved yet, and not shown again: type it once more."


class Choice(Struct, frozen=True):
    value: str
    label: str


class Control(Struct, frozen=True, kw_only=True):
    """
    One setting in a form.

    name      of the setting and of the form's field
    kind      text: one line. area: several lines. number. switch: a checkbox. choice: one of `choices`. list: one in
              each line. secret: never filled in. json: an area whose text is JSON
    value     what stands in it, as text; of a switch ON or OFF
    standing  a secret is set, and stays so while nothing is typed
    cleared   whoever posted it wants the secret emptied
    given     whoever posted it typed a new secret
    default   in words, "" if that is nothing
    least, most  of a number, in words; "" if there is no bound
    whole     a number without a fraction
    required  nothing can be sent while it is empty
    advanced  few need it
    error     what is wrong with it, in words; "" if nothing
    warning   taken, but odd
    """

    name: str
    label: str
    help: str
    kind: Kind
    value: str
    standing: bool = False
    cleared: bool = False
    given: bool = False
    default: str = ""
    least: str = ""
    most: str = ""
    whole: bool = False
    choices: tuple[Choice, ...] = ()
    required: bool = False
    advanced: bool = False
    error: str = ""
    warning: str = ""

    @property
    def on(self) -> bool:
        return self.value == ON

    @property
    def empty(self) -> bool:
        """What only looks filled counts as empty too."""
        if self.kind == "secret":
            return not self.given and (self.cleared or not self.standing)
        return not self.value.strip()

    @property
    def bounds(self) -> str:
        """`1 to 1,000`, `at least 0`; "" if there are none."""
        if self.least and self.most:
            return f"{self.least} to {self.most}"
        return f"at least {self.least}" if self.least else f"at most {self.most}" if self.most else ""


class Form(Struct, frozen=True):
    """problem  what is wrong with the whole, in words; "" if nothing"""

    controls: tuple[Control, ...]
    problem: str = ""

    @property
    def errors(self) -> tuple[Control, ...]:
        """What is to be mended, in the form's order."""
        return tuple(one for one in self.controls if one.error)

    @property
    def lacking(self) -> tuple[Control, ...]:
        """What is still empty as it stands, and without which nothing can be sent."""
        return tuple(one for one in self.controls if one.required and one.empty)

    @property
    def good(self) -> bool:
        return not self.errors and not self.problem

    def control(self, name: str) -> Control:
        """KeyError if there is none."""
        for one in self.controls:
            if one.name == name:
                return one
        raise KeyError(name)

    def with_error(self, name: str, error: str) -> "Form":
        """The first error of a control stays. A form that has one comes back without the secrets typed into it."""
        controls = (replace(one, error=error) if one.name == name and not one.error else one for one in self.controls)
        return Form(tuple(_without_secret(one) for one in controls), self.problem)

    def refused(self, message: str) -> "Form":
        """
        With what a change was refused for, once all of it was looked at together: at the settings that the message
        begins with, else at the whole.
        """
        names, said = _names_in(message, {one.name: one.label for one in self.controls})
        if not names:
            return Form(tuple(_without_secret(one) for one in self.controls), message)
        form = self
        for name in names:
            form = form.with_error(name, said)
        return form


def form_of(settings: Struct, leave_out: Collection[str] = ()) -> Form:
    """
    settings   those in force; a secret that is set may stand as *** (Workspace.settings_at)
    leave_out  names of settings that have a page of their own
    """
    return Form(tuple(_control(field, settings) for field in fields_of(type(settings)) if field.name not in leave_out))


def read(posted: Posted, shown: Struct, leave_out: Collection[str] = ()) -> tuple[dict[str, object], Form]:
    """
    The changes (name -> value, or UNSET), for Workspace.set_settings and the like, and the form as it was typed, with
    its errors. Where there are errors, the changes hold only what is good.

    shown  the settings that the form was made of
    """
    changes: dict[str, object] = {}
    controls: list[Control] = []
    for field in fields_of(type(shown)):
        if field.name in leave_out:
            continue
        control = _control(field, shown)
        try:
            control, change = _typed(field, control, posted)
            if change is not None:
                changes[field.name] = change
        except UserError as error:
            control = replace(_as_typed(control, posted), error=_without_name(field, str(error)))
        controls.append(control)
    form = Form(tuple(controls))
    return changes, form if form.good else Form(tuple(_without_secret(one) for one in form.controls))


def _typed(field: Field, control: Control, posted: Posted) -> tuple[Control, object | None]:
    """And the change, None if there is none. UserError."""
    typed = _as_typed(control, posted)
    if control.kind == "secret":
        text = _last(posted, field.name)
        if typed.cleared and text:
            raise UserError("Either type a new one, or empty it: not both.")
        return typed, UNSET if typed.cleared else read_value(field, text) if text else None
    if field.name not in posted or _plain(control.kind, typed.value) == _plain(control.kind, control.value):
        return control, None
    if control.kind == "number" and not typed.value:
        return replace(typed, value=control.default), UNSET
    value = read_value(field, _items(typed.value) if control.kind == "list" else typed.value)
    return replace(typed, warning=_odd(field, typed.value)), value


def _as_typed(control: Control, posted: Posted) -> Control:
    """A secret alone is never put back."""
    if control.kind == "secret":
        given = bool(_last(posted, control.name))
        return replace(control, cleared=bool(_last(posted, control.name + CLEAR)), given=given)
    if control.name not in posted:
        return control
    return replace(control, value=_last(posted, control.name).replace("\r\n", "\n"), warning="")


def _plain(kind: Kind, text: str) -> str:
    """What a browser leaves of it: of ends of lines an area keeps but one kind, and a line of text none."""
    text = re.sub(r"\r\n?", "\n", text)
    return text if kind in _LINES else text.replace("\n", "")


def _without_secret(control: Control) -> Control:
    """Of a form that comes back: a secret that was typed into it is not put into a page."""
    return replace(control, error=TYPE_AGAIN) if control.given and not control.error else control


def _last(posted: Posted, name: str) -> str:
    values = posted.get(name) or ("",)
    return values[-1]


def _items(text: str) -> object:
    """Of a list: its lines, also parted by commas as on the command line, or a JSON array. UserError if too long."""
    if len(text) > LONGEST:
        raise UserError(f"This is too long: at most {LONGEST:,} characters.")
    if text.lstrip().startswith("["):
        return text
    return tuple(one.strip() for one in re.split(r"[\n,]", text) if one.strip())


# From a setting to its control


def _control(field: Field, settings: Struct) -> Control:
    told, extra = _described(field.type)
    value = getattr(settings, field.attribute)
    kind = _kind(field, told, value)
    text = "" if kind == "secret" else _text(field, kind, value)
    return Control(
        name=field.name,
        label=field.label,
        help=field.help,
        kind=kind,
        value=text,
        standing=kind == "secret" and bool(value),
        default="" if field.secret else _in_words(_text(field, kind, field.default)),
        least=_bound(told, "ge", "gt"),
        most=_bound(told, "le", "lt"),
        whole=isinstance(told, msgspec.inspect.IntType),
        choices=_choices(field.type) if kind == "choice" else (),
        required=field.required,
        advanced=bool(extra.get("advanced")),
        warning="" if kind == "secret" else _odd(field, text),
    )


def _described(type_: Any) -> tuple[msgspec.inspect.Type, dict[str, Any]]:
    """Its type without what is said about it and without None, and what is said beside label and help."""
    shape = msgspec.inspect.type_info(type_)
    extra: dict[str, Any] = {}
    while isinstance(shape, msgspec.inspect.Metadata):
        extra = {**(shape.extra or {}), **extra}
        shape = shape.type
    if isinstance(shape, msgspec.inspect.UnionType):
        some = [one for one in shape.types if not isinstance(one, msgspec.inspect.NoneType)]
        shape = some[0] if len(some) == 1 else shape
    return shape, extra


def _kind(field: Field, told: msgspec.inspect.Type, value: object) -> Kind:
    if field.secret:
        return "secret"
    if field.kind == YES_OR_NO:
        return "switch"
    if field.kind == TEXTS:
        return "list"
    match told:
        case msgspec.inspect.StrType():
            return "area" if isinstance(value, str) and "\n" in value else "text"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return "number"
        case msgspec.inspect.LiteralType():
            return "choice"
        case _:
            return "json"


def _text(field: Field, kind: Kind, value: object) -> str:
    """As it stands in the control."""
    if kind == "json":
        return "" if value is None else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    match value:
        case None:
            return ""
        case bool():
            return ON if value else OFF
        case float():
            return f"{value:.0f}" if value.is_integer() else repr(value)
        case tuple() | list():
            parted = any(re.search(r"[\n,]", str(one)) for one in value)
            return msgspec.json.encode(value).decode() if parted else "\n".join(str(one) for one in value)
        case str() if field.hides_query and value:
            return shown_address(value)
        case _:
            return str(value)


def _in_words(default: str) -> str:
    return {ON: "on", OFF: "off", "{}": "", "[]": ""}.get(default, default.replace("\n", ", "))


def _choices(type_: Any) -> tuple[Choice, ...]:
    """Of a Literal, in the order in which it is declared; None is no choice of its own."""
    if get_origin(type_) is Literal:
        return tuple(Choice(str(value), str(value) or "(empty)") for value in get_args(type_))
    inner = get_args(type_)[:1] if get_origin(type_) is Annotated else get_args(type_)
    return tuple(choice for one in inner for choice in _choices(one))


def _bound(told: msgspec.inspect.Type, *names: str) -> str:
    if not isinstance(told, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        return ""
    found = next((bound for name in names if (bound := getattr(told, name)) is not None), None)
    return "" if found is None else f"{found:,.10g}"


def _odd(field: Field, text: str) -> str:
    return field.hint if field.pattern and text and text != MASK and not re.search(field.pattern, text) else ""


# Errors


def _without_name(field: Field, message: str) -> str:
    """An error stands beside its control, so it need not name it."""
    name = called(field)
    if message.startswith(name):
        message = message[len(name) :].lstrip(": ")
    return message[:1].upper() + message[1:]


def _names_in(message: str, labels: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Names of settings that a message begins with, after what the kind is called at most, and the rest of it."""
    for name, label in labels.items():
        if message.startswith(whole := f"{name} ({label})"):
            return (name,), _capital(message[len(whole) :].lstrip(": "))
    parts = message.split(": ")
    for place in range(min(2, len(parts) - 1)):
        names = tuple(parts[place].split(", "))
        if all(name in labels for name in names):
            return names, _capital(": ".join(parts[place + 1 :]))
    return (), message


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
