"""What can be set, of a kind of destination or anything else: read from the Struct that declares it."""

import functools
from typing import Any, Final

import msgspec
from msgspec import Struct

YES_OR_NO: Final = "true or false"  #: what is typed for a switch; yes, no, on, off are taken too
TEXTS: Final = "texts, separated by commas"  #: or a JSON array


class Field(Struct, frozen=True, kw_only=True):
    """
    name      as written in commands and stored
    attribute of the Struct
    label     for people
    help      one or two sentences, or ""
    type      for msgspec.convert
    kind      in words: "text", "true or false", "one of us, eu1", ...
    default   of its type
    secret    kept sealed, shown as ***
    required  nothing can be sent while it is empty
    address   holds a URL to send to. Its query, where many a receiver expects a secret, is kept and shown as one
    public    an address of which everybody may see the whole, for web pages are told it
    pattern   what a value usually looks like, a regular expression; others are taken with a warning. "": anything
    hint      what the warning says
    generated made when the destination is added, unless it is given (`generated`)
    """

    name: str
    attribute: str
    label: str
    help: str
    type: Any
    kind: str
    default: Any
    secret: bool
    required: bool
    address: bool
    public: bool = False
    pattern: str = ""
    hint: str = ""
    generated: bool = False

    @property
    def hides_query(self) -> bool:
        return self.address and not self.public


@functools.cache
def fields_of(settings: type[Struct]) -> tuple[Field, ...]:
    """In the order of the Struct."""
    described = msgspec.inspect.type_info(settings)
    assert isinstance(described, msgspec.inspect.StructType)  # noqa: S101  every Struct is described so
    return tuple(
        _field(plain, told) for plain, told in zip(msgspec.structs.fields(settings), described.fields, strict=True)
    )


def _field(plain: msgspec.structs.FieldInfo, told: msgspec.inspect.Field) -> Field:
    shape = told.type
    words: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    while isinstance(shape, msgspec.inspect.Metadata):
        words = {**(shape.extra_json_schema or {}), **words}
        extra = {**(shape.extra or {}), **extra}
        shape = shape.type
    default = plain.default if plain.default is not msgspec.NODEFAULT else plain.default_factory()
    return Field(
        name=plain.encode_name,
        attribute=plain.name,
        label=str(words.get("title", plain.encode_name)),
        help=str(words.get("description", "")),
        type=plain.type,
        kind=_kind_in_words(shape),
        default=default,
        secret=bool(extra.get("secret")),
        required=bool(extra.get("required")),
        address=bool(extra.get("address")),
        public=bool(extra.get("public")),
        pattern=str(extra.get("pattern_hint", "")),
        hint=str(extra.get("hint", "")),
        generated=bool(extra.get("generated")),
    )


def _kind_in_words(shape: msgspec.inspect.Type) -> str:
    match shape:
        case msgspec.inspect.StrType():
            return "text"
        case msgspec.inspect.BoolType():
            return YES_OR_NO
        case msgspec.inspect.IntType():
            return "whole number"
        case msgspec.inspect.FloatType():
            return "number"
        case msgspec.inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values if value != "")
        case msgspec.inspect.NoneType():
            return "nothing"
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.StrType()):
            return TEXTS
        case msgspec.inspect.UnionType(types=types):
            return " or ".join(_kind_in_words(one) for one in types)
        case _:
            return "JSON"


def called(field: Field) -> str:
    """As errors call it: `copies (Copies)`."""
    return f"{field.name} ({field.label})" if field.label != field.name else field.name
