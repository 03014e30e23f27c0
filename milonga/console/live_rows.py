"""Rows of the live view as pages show them: the same template for those that are there and those that come."""

from typing import Any, Final

from milonga.console.live import Row
from milonga.console.rendering import render

EXCERPT: Final = 300  #: characters of a discarded event in its row


def row_as_html(row: Row) -> bytes:
    return render("sources/live-row.html", {"row": shown(row)}).encode("utf-8", "replace")


def shown(row: Row) -> dict[str, Any]:
    """What the template reads. place: `0-17`, in addresses and as the row's id; "" of what was discarded"""
    return {
        "place": "" if row.position is None else f"{row.position.partition}-{row.position.offset}",
        "at": row.at,
        "type": row.type or "",
        "name": row.name,
        "user": row.user,
        "account": row.account,
        "messageId": row.message_id,
        "code": row.code,
        "reason": "" if row.discard is None else row.discard.reason,
        "excerpt": "" if row.discard is None else row.discard.excerpt.decode(errors="replace")[:EXCERPT],
    }
