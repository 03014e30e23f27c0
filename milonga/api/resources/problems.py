"""What was not delivered, by its reason."""

from typing import Any, Final, Literal

from msgspec import Struct

from milonga.api import paging, shapes
from milonga.api.route import USUAL, Asked, Count, Cursor, Listed, Route
from milonga.facts.problems import as_row, example_as_row, newest, reasons
from milonga.outcomes.examples import NEWEST, Mark
from milonga.outcomes.model import State
from milonga.workspace.roles import Role


class ReasonsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of so much time; of one destination, if it is named."""

    span: Literal["24h", "7d", "30d"] = "24h"
    destination: str | None = None


class ExamplesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one destination and one code. A page may hold few, or none, while there is more."""

    destination: str
    code: str
    state: Literal["skipped", "dead", "expired"] = "skipped"
    count: Count = USUAL
    cursor: Cursor = ""


def list_reasons(asked: Asked[ReasonsQuery, None]) -> list[dict[str, Any]]:
    facts, query = asked.facts, asked.query
    number = None if query.destination is None else facts.workspace.destination(query.destination).id
    return [as_row(facts, one) for one in reasons(facts, query.span, number)]


def list_examples(asked: Asked[ExamplesQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    number = facts.workspace.destination(query.destination).id
    before = paging.place(query.cursor, Mark)
    found, page = newest(
        facts, number, State[query.state], query.code, before=NEWEST if before is None else before, limit=query.count
    )
    notes = ["Some older ones were perhaps not found: their outcomes have no index."] if page.stopped else []
    next_ = None if page.next is None else paging.cursor(page.next)
    return Listed([example_as_row(one) for one in found], next_, notes)


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
    Route(
        method="GET",
        path="/problems/examples",
        role=Role.viewer,
        name="listExamples",
        summary="Events that were skipped, refused or expired for one reason, those that ended last first.",
        query=ExamplesQuery,
        answer=shapes.Example,
        listed=True,
        handle=list_examples,
        exports="skipped",
        slow=True,
    ),
)
