"""Regulations: users of whom nothing more is kept, and users who are deleted."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.resources.commands import number_of
from milonga.api.route import Asked, Listed, NoQuery, PageQuery, Route
from milonga.facts.regulations import as_row
from milonga.privacy.regulation import LONGEST_USER, Kind
from milonga.workspace.roles import Role


class NewRegulation(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """users: ids, as events have them, 1 to 5,000. source: at this one only; at all, unless named."""

    kind: Kind
    users: list[str]
    source: str | None = None


class SuppressionsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one user: the ids themselves are not kept, so there is no list of them."""

    user: Annotated[str, Meta(min_length=1, max_length=LONGEST_USER)]


def list_regulations(asked: Asked[PageQuery, None]) -> Listed:
    regulations, query = asked.workspace.regulations, asked.query
    found = regulations.all(query.count + 1, before=paging.place(query.cursor, int))
    page = paging.page(found, query.count, lambda one: one.id, lambda one: as_row(asked.workspace, one))
    return Listed(page.rows, page.next, more={"suppressed": regulations.count_suppressed()})


def create(asked: Asked[NoQuery, NewRegulation]) -> dict[str, Any]:
    body = asked.body
    made = asked.workspace.regulations.create(body.kind, body.users, body.source, by=asked.caller.name)
    return as_row(asked.workspace, made)


def show(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    number = number_of(asked.names["regulation"], "regulation")
    return as_row(asked.workspace, asked.workspace.regulations.regulation(number))


def suppressions(asked: Asked[SuppressionsQuery, None]) -> list[dict[str, Any]]:
    names = asked.workspace.sources.names()
    return [
        {"source": None if source is None else names.get(source, f"#{source}"), "regulation": regulation}
        for source, regulation in asked.workspace.regulations.suppressed(asked.query.user).items()
    ]


ROUTES: Final = (
    Route(
        method="GET",
        path="/regulations",
        role=Role.viewer,
        name="listRegulations",
        summary="List regulations, the newest first.",
        query=PageQuery,
        answer=shapes.Regulation,
        listed=True,
        pagination=shapes.RegulationsPagination,
        handle=list_regulations,
    ),
    Route(
        method="POST",
        path="/regulations",
        role=Role.administrator,
        name="createRegulation",
        summary="Suppress users, let them in again, or delete them.",
        body=NewRegulation,
        answer=shapes.Regulation,
        status=201,
        handle=create,
    ),
    Route(
        method="GET",
        path="/regulations/{regulation}",
        role=Role.viewer,
        name="getRegulation",
        summary="How far a regulation is, and what it erased.",
        answer=shapes.Regulation,
        handle=show,
    ),
    Route(
        method="GET",
        path="/suppressions",
        role=Role.viewer,
        name="listSuppressions",
        summary="Whether a user is suppressed, and by which regulation.",
        query=SuppressionsQuery,
        answer=list[shapes.Suppression],
        handle=suppressions,
    ),
)
