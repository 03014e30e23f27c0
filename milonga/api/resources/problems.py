"""What was not delivered, by its reason."""

from typing import Any, Final, Literal

from msgspec import Struct

from milonga.api import shapes
from milonga.api.route import Asked, Route
from milonga.facts.problems import as_row, reasons
from milonga.workspace.roles import Role


class ReasonsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of so much time; of one destination, if it is named."""

    span: Literal["24h", "7d", "30d"] = "24h"
    destination: str | None = None


def list_reasons(asked: Asked[ReasonsQuery, None]) -> list[dict[str, Any]]:
    facts, query = asked.facts, asked.query
    number = None if query.destination is None else facts.workspace.destination(query.destination).id
    return [as_row(facts, one) for one in reasons(facts, query.span, number)]


ROUTES: Final = (
    Route(
        method="GET",
        path="/problems",
        role=Role.viewer,
        name="listProblems",
        summary="What was skipped, refused or expired, by its reason: how many, what to do.",
        query=ReasonsQuery,
        answer=list[shapes.ProblemReason],
        handle=list_reasons,
        slow=True,
    ),
)
