"""Trying out: what an event would become, with settings that are not saved. Nothing is sent or kept."""

from typing import Any, Final

from msgspec import Struct

from milonga.api import shapes
from milonga.api.changes import merged
from milonga.api.encoding import encoded
from milonga.api.problem import Problem, not_found
from milonga.api.route import Asked, NoQuery, Route, Told
from milonga.eventlog.api import Position, Stored
from milonga.facts.explain import at
from milonga.facts.preview import MENDED, draft, pasted, preview
from milonga.spec.read import read_stamped
from milonga.workspace.commands import milliseconds
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.roles import Role
from milonga.workspace.rows import kind_named


class NewPreview(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    event: as an SDK would send it, as JSON or as its text; or position: where one lies in the log. settings, delivery:
    laid over those in force.
    """

    destination: str
    event: dict[str, Any] | str | None = None
    position: shapes.Position | None = None
    settings: dict[str, Any] = {}
    delivery: dict[str, Any] = {}


def try_out(asked: Asked[NoQuery, NewPreview]) -> Told:
    workspace, body = asked.workspace, asked.body
    config = workspace.destination(body.destination)
    of = kind_named(workspace.kinds, config.kind, config.name)
    notes = []
    if (body.event is None) == (body.position is None):
        raise Problem(422, "invalid_body", "Name one of: event, position.")
    if body.position is not None:
        where = Position(body.position.partition, body.position.offset)
        found = at(asked.facts, where) if 0 <= where.offset < 2**62 and 0 <= where.partition < 2**31 else None
        if not isinstance(found, Stored):
            raise not_found("No event is kept there, or not any more.")
        event = read_stamped(found.event)
    else:
        text = body.event if isinstance(body.event, str) else encoded(body.event).decode()
        given = pasted(text, config.source, milliseconds())
        event = read_stamped(given.stamped)
        notes = [f"It is the first of {given.others + 1:,} events."] if given.others else []
        notes += [f"What was sent is no JSON. {MENDED}"] if given.mended else []
    changes = merged(body.settings, of.settings) | merged(body.delivery, DeliverySettings)
    return Told(preview(event, draft(workspace, config, changes), config.name), notes)


ROUTES: Final = (
    Route(
        method="POST",
        path="/previews",
        role=Role.viewer,
        name="previewEvent",
        summary="What an event would become at a destination, with settings that are not saved; nothing is sent.",
        body=NewPreview,
        answer=shapes.Preview,
        handle=try_out,
    ),
)
