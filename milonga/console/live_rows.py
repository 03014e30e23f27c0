"""Rows of the live view as pages show them: the same template for those that are there and those that come."""

from typing import Any, Final

from milonga.console.live import Row
from milonga.console.rendering import render
from milonga.spec.discards import FIX, MEANING, excerpt_told

EXCERPT: Final = 300  #: characters of a discarded event in its row
LONGEST: Final = 200  #: characters of a name or an id there: it is whole where the event is looked at


def row_as_html(row: Row) -> bytes:
    return render("sources/live-row.html", {"row": shown(row)}).encode("utf-8", "replace")


def shown(row: Row) -> dict[str, Any]:
    """What the template reads. place: `0-17`, in addresses and as the row's id; "" of what was discarded"""
    return {
        "place": "" if row.position is None else f"{row.position.partition}-{row.position.offset}",
        "at": row.at,
        "type": row.type or "",
        "name": _cut(row.name),
        "user": _cut(row.user),
        "account": _cut(row.account),
        "code": row.code,
        "reason": "" if row.discard is None else row.discard.reason,
        "meaning": "" if row.discard is None else MEANING.get(row.discard.code, row.discard.reason),
        "fix": "" if row.discard is None else FIX.get(row.discard.code, ""),
        "excerpt": "" if row.discard is None else excerpt_told(row.discard.excerpt, EXCERPT),
    }


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST else f"{text[:LONGEST]}…"
