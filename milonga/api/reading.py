"""Checking what was sent: the query and the body, against the types of the route. Pure."""

import json
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from milonga.api.problem import Problem, misfit

T = TypeVar("T")

MOST_FIELDS = 100  #: parameters of a query


def read_query(text: str, kind: type[Struct]) -> Any:
    """text  what stands after the question mark, as it came"""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Problem(422, "invalid_query", f"The query is not UTF-8, or has over {MOST_FIELDS} parameters.") from None
    return query_of(pairs, kind)


def query_of(pairs: Iterable[tuple[str, str]], kind: type[Struct]) -> Any:
    """What may come several times is a tuple in the Struct; anything else may not."""
    several = {field.encode_name for field in msgspec.structs.fields(kind) if _is_several(field.type)}
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in several:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise Problem(422, "invalid_query", f"{name[:100]}: It is given twice.", field=name[:100])
        else:
            values[name] = value
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise misfit(error, part="query") from None


def _is_several(type_: Any) -> bool:
    of = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    return get_origin(of) is tuple


def query_json(text: str, kind: type[T], field: str) -> T:
    """Of a parameter that is JSON."""
    try:
        found: T = msgspec.convert(json.loads(text), kind)
    except (ValueError, RecursionError):
        said = f"{field}: {text[:100]!r} is no JSON of what is wanted here."
        raise Problem(422, "invalid_query", said, field=field) from None
    return found


def read_body(raw: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise misfit(error, part="body") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        said = "It is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Problem(400, "invalid_json", f"The body is no JSON: {said}.") from None


def body_of(value: object, kind: Any) -> Any:
    """The same of what is no text yet."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise misfit(error, part="body") from None
