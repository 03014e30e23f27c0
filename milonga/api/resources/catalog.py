"""The kinds of destination there are, with the settings that each declares."""

from typing import Any, Final

from milonga.api import paging, shapes
from milonga.api.problem import not_found
from milonga.api.route import Asked, Listed, NoQuery, PageQuery, Route
from milonga.destinations.contract import Destination
from milonga.facts.destinations import declared
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.fields import fields_of
from milonga.workspace.roles import Role
from milonga.workspace.store import registered


def list_kinds(asked: Asked[PageQuery, None]) -> Listed:
    kinds = sorted(registered().values(), key=lambda kind: kind.kind)
    last = paging.place(asked.query.cursor, str) or ""
    found = [kind for kind in kinds if kind.kind > last]
    return paging.page(found, asked.query.count, lambda kind: kind.kind, _row)


def show(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    there = registered()
    kind = asked.names["kind"]
    if kind not in there:
        raise not_found(f"A kind {kind[:100]!r} does not exist. Kinds: {', '.join(there)}.")
    return _row(there[kind])


def _row(kind: Destination) -> dict[str, Any]:
    own, shared = fields_of(kind.settings), fields_of(DeliverySettings)
    return {
        "kind": kind.kind,
        "label": kind.label,
        "summary": kind.summary,
        "beforeReplay": kind.before_replay,
        "settings": [
            *(declared(field, "settings") for field in own),
            *(declared(field, "delivery") for field in shared),
        ],
    }


ROUTES: Final = (
    Route(
        method="GET",
        path="/catalog/destinations",
        role=Role.viewer,
        name="listDestinationKinds",
        summary="The kinds of destination there are, with their settings.",
        query=PageQuery,
        answer=shapes.DestinationKind,
        listed=True,
        handle=list_kinds,
    ),
    Route(
        method="GET",
        path="/catalog/destinations/{kind}",
        role=Role.viewer,
        name="getDestinationKind",
        summary="One kind of destination, with its settings.",
        answer=shapes.DestinationKind,
        handle=show,
    ),
)
