"""What filters do, and did to an event, in words. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from milonga.filters.chain import Dropped, Seen, fields_of
from milonga.filters.rule import Filter
from milonga.spec.event import Event


def deed(one: Filter) -> str:
    """In words."""
    fields = ", ".join(one.fields)
    match one.do:
        case "drop":
            return "drop"
        case "keep":
            return "keep, drop all others"
        case "sample":
            return f"keep {100 * (one.share or 0):g} % by {one.by or 'user'}"
        case "dropFields":
            return f"without {fields}"
        case "keepFields":
            return f"with {fields} alone"
        case "mask":
            return f"*** for {fields}"
        case "hash":
            return f"SHA-256 of {fields}"


def said(one: Seen, before: Event) -> str:
    """What it did, in words."""
    if isinstance(one.result, Dropped):
        return "dropped"
    fields = changed_fields(before, one.result)
    return f"changed {', '.join(fields)}" if fields else "nothing"


def changed_fields(before: Event, after: Event) -> list[str]:
    """Dotted paths of what is gone or has another value."""
    return list(_differing(fields_of(before), fields_of(after)))


def _differing(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in before:
            below = f"{path}.{name}" if path else name
            if name not in after:
                yield below
            elif before[name] != after[name]:
                yield from _differing(before[name], after[name], below)
    elif before != after:
        yield path
