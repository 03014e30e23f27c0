"""What a running server was asked to do, and whether it has."""

from typing import Any, Final

from milonga.api import shapes
from milonga.api.problem import not_found
from milonga.api.route import Asked, NoQuery, Route
from milonga.workspace.roles import Role

LONGEST: Final = 15  #: digits of a number


def show(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    number = number_of(asked.names["command"], "command")
    try:
        result = asked.workspace.commands.result(number)
    except KeyError:
        raise not_found(f"There is no command {number}, or what came of it is not kept any more.") from None
    return {"command": number, "done": result is not None, "result": result}


def number_of(text: str, what: str) -> int:
    """A Problem, 404, if it is no number that anything here could have."""
    if not text.isascii() or not text.isdigit() or len(text) > LONGEST:
        raise not_found(f"There is no {what} {text[:100]!r}.")
    return int(text)


ROUTES: Final = (
    Route(
        method="GET",
        path="/commands/{command}",
        role=Role.viewer,
        name="getCommand",
        summary="Whether a running server has done what it was asked for, and what came of it.",
        answer=shapes.Command,
        handle=show,
    ),
)
