"""Server-sent events: text in the form that EventSource reads (WHATWG HTML, "Server-sent events")."""

from typing import Final

ALIVE: Final = ": alive\n\n"
"""A comment, now and then, so that nobody between closes a connection that is silent."""


def event(data: str, name: str = "message", number: int | None = None) -> str:
    """
    data    of any lines
    number  told back by a browser that comes again (Last-Event-ID)
    """
    head = f"event: {name}\n" + (f"id: {number}\n" if number is not None else "")
    return head + "".join(f"data: {line}\n" for line in data.splitlines() or [""]) + "\n"
