"""A destination's history, as its page shows it: newest first, each change of a setting in words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import ValidationError, convert, json

from milonga.destinations.http import MASK
from milonga.facts.history import history
from milonga.filters.rule import Filter
from milonga.filters.words import deed
from milonga.workspace.model import DestinationConfig
from milonga.workspace.store import Workspace

EMPTY: Final = "(empty)"
NO_FILTER: Final = "(none)"
LONGEST: Final = 300  #: characters of a value


def entries(
    workspace: Workspace, config: DestinationConfig, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """
    Newest first, and where the page before these begins; None if they are the first.

    before  only the first so many entries; all unless given
    """
    total = len(workspace.history(config.id)) if before is None else before
    found = history(workspace, config.id, before=total, limit=limit)
    for one in found:
        if one["what"] == "settings":
            one["current"] = one["version"] == config.settings_version
            one["rows"] = [row for change in one["changes"] for row in rows_of(change)]
    older = total - len(found)
    return found[::-1], older if older > 0 else None


def rows_of(change: Mapping[str, Any]) -> list[dict[str, str]]:
    """`label`, `before`, `after`, `note`; of filters one row for each that differs."""
    if change["name"] == "filters":
        return [
            {"label": label, "before": was or NO_FILTER, "after": now or NO_FILTER, "note": ""}
            for label, was, now in of_filters(change["before"] or (), change["after"] or ())
        ]
    before, after = _text(change["before"]), _text(change["after"])
    hidden = before == after
    return [
        {
            "label": change["label"],
            "before": before,
            "after": after,
            "note": ("Another secret." if before == MASK else "What differs is not shown.") if hidden else "",
        }
    ]


def of_filters(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Label, before and after of each that differs, and of their order; "" where there was, or is, none."""
    was = {one["name"]: one for one in before}
    now = {one["name"]: one for one in after}
    rows = [
        (f"Filter {name}", _filter(was.get(name)), _filter(now.get(name)))
        for name in dict.fromkeys((*was, *now))
        if was.get(name) != now.get(name)
    ]
    kept = [name for name in was if name in now]
    if kept != [name for name in now if name in was]:
        rows.append(("Order of the filters", ", ".join(was), ", ".join(now)))
    return rows


def _filter(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return ""
    try:
        rule = convert(one, Filter)
    except ValidationError:
        return _cut(json.encode(one).decode())
    return _cut(f"{deed(rule)}{f' when {rule.when}' if rule.when.strip() else ''}")


def _text(value: Any) -> str:
    match value:
        case None | "" | [] | () | {}:
            return EMPTY
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:,.10g}"
        case int():
            return f"{value:,}"
        case str():
            return _cut(value)
        case list() | tuple() if all(isinstance(one, str) for one in value):
            return _cut(", ".join(value))
        case _:
            return _cut(json.encode(value).decode())


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
