"""Destinations: their settings, their state, their history."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.changes import merged
from milonga.api.problem import Problem
from milonga.api.route import USUAL, Asked, Count, Cursor, Listed, NoQuery, PageQuery, Route, Told
from milonga.destinations.contract import Destination
from milonga.facts.destinations import as_row, details, lacks, place_called
from milonga.facts.directory import log_end
from milonga.facts.facts import Facts, waiting_events
from milonga.facts.history import history
from milonga.facts.probing import tested
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.fields import Field, fields_of
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.rows import kind_named
from milonga.workspace.settings import UNSET, by_names, changed, missing
from milonga.workspace.store import Workspace

BY_HAND: Final = "paused by hand"


class DestinationsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """removed: those, too."""

    count: Count = USUAL
    cursor: Cursor = ""
    removed: bool = False


class NewDestination(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """name: its kind, unless given. settings: the kind's own and delivery settings; what is absent has its default."""

    kind: str
    source: str
    name: str | None = None
    settings: dict[str, Any] = {}
    state: Literal["on", "off"] = "on"
    new_key: Annotated[bool, Meta(description="The key that sealed the secrets is lost: seal with another.")] = False


class DestinationChange(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    What changes. settings, delivery: null puts back a default. if_settings_version: only if these are still in force.
    """

    state: DestinationState | None = None
    reason: Annotated[str, Meta(max_length=1_000, description="Why, for whoever wonders later.")] = ""
    settings: dict[str, Any] = {}
    delivery: dict[str, Any] = {}
    if_settings_version: int | None = None
    new_key: bool = False


class Undo(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """to: an earlier version; the one before now, unless given."""

    to: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class ConnectionTest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """settings, delivery: laid over those in force; they are not stored."""

    settings: dict[str, Any] = {}
    delivery: dict[str, Any] = {}


class Waiting(Struct, frozen=True, kw_only=True):
    """exact: a server runs, which counts. state: on, off or paused."""

    state: str
    waiting: int
    exact: bool


def list_destinations(asked: Asked[DestinationsQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    removed = sum(place.removed_at is not None for place in facts.places)
    notes = [f"{removed:,} removed: --all shows them too."] if removed and not query.removed else []
    return paging.of_all(
        [place for place in facts.places if query.removed or place.removed_at is None],
        lambda place: (int(place.removed_at is not None), place.config.id),  # those that are there come first
        query.cursor,
        query.count,
        lambda place: as_row(facts, place),
        notes,
    )


def create(asked: Asked[NoQuery, NewDestination]) -> Told:
    workspace, body = asked.workspace, asked.body
    of = kind_named(workspace.kinds, body.kind)
    name = body.name or body.kind
    given = merged(body.settings, of.settings)
    if body.state == "on" and _could_be_added(workspace, of, body.source, name, given):
        _refuse_without(of, given, all_=True)
    workspace.add_destination(
        body.kind,
        body.source,
        name,
        given,
        DestinationState(body.state),
        log_end(asked.reading.path),
        by=asked.caller.name,
        new_key=body.new_key,
    )
    return _as_it_is(asked, name, odd(of, given))


def show(asked: Asked[NoQuery, None]) -> Told:
    facts, name = asked.facts, asked.names["destination"]
    place = place_called(facts, name)
    notes = [
        f"A destination of this name was removed: milonga destinations show {other.config.id}"
        for other in facts.places
        if other.removed_at is not None and other.config.name == name and other is not place
    ]
    return Told(details(facts, place), notes)


def change(asked: Asked[NoQuery, DestinationChange]) -> Told:
    """Settings first: what they lack may keep it from being switched on."""
    workspace, body, by = asked.workspace, asked.body, asked.caller.name
    config = workspace.destination(asked.names["destination"])
    end = log_end(asked.reading.path)
    of = kind_named(workspace.kinds, config.kind, config.name)
    changes = merged(body.settings, of.settings) | merged(body.delivery, DeliverySettings)
    stays_off = config.state is DestinationState.off and body.state in (None, DestinationState.off)
    if changes:
        if not stays_off:
            _refuse_without(of, changes, all_=False)
        config = workspace.set_settings(
            config.id, changes, end, by=by, new_key=body.new_key, if_settings_version=body.if_settings_version
        )
    if body.state is not None:
        _move(workspace, config, body.state, body.reason, end, by)
    return _as_it_is(asked, config.name, odd(of, changes))


def undo(asked: Asked[NoQuery, Undo]) -> Told:
    workspace, to = asked.workspace, asked.body.to
    before = workspace.destination(asked.names["destination"])
    version = before.settings_version - 1 if to is None else to
    if before.state is not DestinationState.off and 0 < version <= before.settings_version:
        for field in missing(workspace.settings_at(before.id, version)):
            raise without(field)
    undone = workspace.revert_settings(before.id, to, log_end(asked.reading.path), by=asked.caller.name)
    notes = [
        f"{lost} of that version cannot be read any more and is as before. If it was another, give it again: "
        f"milonga destinations set {before.name} --set {lost}=..."
        for lost in undone.lost
    ]
    return _as_it_is(asked, before.name, notes)


def test(asked: Asked[NoQuery, ConnectionTest]) -> dict[str, Any]:
    workspace, body = asked.workspace, asked.body
    config = workspace.destination(asked.names["destination"])
    of = kind_named(workspace.kinds, config.kind, config.name)
    changes = merged(body.settings, of.settings) | merged(body.delivery, DeliverySettings)
    return tested(workspace, config, changes, allow_private=asked.reading.allow_private)


def list_history(asked: Asked[PageQuery, None]) -> Listed:
    """The newest first."""
    facts, query = asked.facts, asked.query
    number = place_called(facts, asked.names["destination"]).config.id
    total = len(facts.workspace.history(number))
    upto = paging.place(query.cursor, int)
    upto = total if upto is None else max(0, min(total, upto))
    rows = history(facts.workspace, number, before=upto, limit=query.count) if upto else []
    left = upto - len(rows)
    return Listed(rows[::-1], paging.cursor(left) if left else None)


def remove(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    facts = asked.facts
    config = facts.workspace.destination(asked.names["destination"])
    letters = 0 if facts.delivery is None else facts.delivery.dead_count(config.id)
    facts.workspace.remove_destination(config.id, log_end(asked.reading.path), by=asked.caller.name)
    return {"removed": config.name, "id": config.id, "deadLetters": letters}


def waiting(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    facts = asked.facts
    config = facts.workspace.destination(asked.names["destination"])
    count, exact = waiting_events(facts, config, log_end(asked.reading.path))
    return {"state": config.state.value, "waiting": count, "exact": exact}


# Rules of a change


def _move(
    workspace: Workspace, config: DestinationConfig, state: DestinationState, reason: str, end: dict[int, int], by: str
) -> None:
    if state is not DestinationState.off and config.state is DestinationState.off:
        if state is DestinationState.paused:
            raise Problem(
                409,
                "conflict",
                f"{config.name} is off, so nothing waits for it. Switch it on first: milonga destinations enable "
                f"{config.name}",
                field="$.state",
            )
        for field in lacks(workspace, config):
            raise without(field)
    said = reason or _usual_reason(config.state, state)
    workspace.change_state(config.id, state, by, said, end)


def _usual_reason(before: DestinationState, state: DestinationState) -> str:
    match state:
        case DestinationState.paused:
            return BY_HAND
        case DestinationState.on if before is DestinationState.paused:
            return "resumed"
        case _:
            return f"switched {state.value}"


def without(field: Field) -> Problem:
    """Every event would be skipped, and gone: better said now."""
    said = f"Without {field.label} ({field.name}) nothing can be sent."
    return Problem(422, "missing_setting", f"{said}\n{field.help}".rstrip(), field=f"$.settings.{field.name}")


def _refuse_without(kind: Destination, given: Mapping[str, object], *, all_: bool) -> None:
    """
    Required settings that would be empty.

    all_  those not given too: they have their defaults
    """
    for field in fields_of(kind.settings):
        value = given.get(field.name, given.get(field.attribute, field.default if all_ else 0))
        if field.required and (value is UNSET or value is None or (isinstance(value, str) and not value.strip())):
            raise without(field)


def odd(kind: Destination, given: Mapping[str, object]) -> list[str]:
    """Values that do not look as they usually do: taken, but told of."""
    notes = []
    for field in fields_of(kind.settings):
        value = given.get(field.name, given.get(field.attribute))
        if field.pattern and isinstance(value, str) and value and not re.search(field.pattern, value):
            shown = repr(value[:100])
            notes.append(f"Is this right? {field.label} ({field.name}) is {shown}. {field.hint}")
    return notes


def _could_be_added(
    workspace: Workspace, kind: Destination, source: str, name: str, given: Mapping[str, object]
) -> bool:
    """But for what is missing. If not, adding it says why; UserError if it is the settings."""
    own, shared = by_names(kind.settings, DeliverySettings, given, kind.label)
    changed(kind.settings(), own, kind.label)
    changed(DeliverySettings(), shared, kind.label)
    there = any(one.name == source for one in workspace.sources.all())
    return there and all(one.name != name for one in workspace.destinations())


def _as_it_is(asked: Asked[Any, Any], name: str, notes: list[str]) -> Told:
    """After a change."""
    facts = Facts(asked.reading.path, asked.workspace)
    try:
        found = details(facts, place_called(facts, name))
        lacking = lacks(asked.workspace, asked.workspace.destination(name))
    finally:
        facts.close()
    notes += [
        f"{field.label} ({field.name}) is not set: until then nothing can be sent. milonga destinations set {name} "
        f"--set {field.name}=..."
        for field in lacking
    ]
    return Told(found, notes)


ROUTES: Final = (
    Route(
        method="GET",
        path="/destinations",
        role=Role.viewer,
        name="listDestinations",
        summary="List the destinations and how they stand.",
        query=DestinationsQuery,
        answer=shapes.Destination,
        listed=True,
        handle=list_destinations,
    ),
    Route(
        method="POST",
        path="/destinations",
        role=Role.editor,
        name="createDestination",
        summary="Add a destination; it gets the events that arrive from now on.",
        body=NewDestination,
        answer=shapes.DestinationDetails,
        status=201,
        handle=create,
    ),
    Route(
        method="GET",
        path="/destinations/{destination}",
        role=Role.viewer,
        name="getDestination",
        summary="One destination, by name or id: how it stands, its settings (secrets as ***), its history.",
        answer=shapes.DestinationDetails,
        handle=show,
    ),
    Route(
        method="PATCH",
        path="/destinations/{destination}",
        role=Role.editor,
        name="updateDestination",
        summary="Change settings or state of a destination: on, off, paused.",
        body=DestinationChange,
        answer=shapes.DestinationDetails,
        handle=change,
    ),
    Route(
        method="DELETE",
        path="/destinations/{destination}",
        role=Role.editor,
        name="removeDestination",
        summary="Remove a destination, its secrets and its dead letters; what waits for it is not sent.",
        answer=shapes.RemovedDestination,
        handle=remove,
    ),
    Route(
        method="GET",
        path="/destinations/{destination}/waiting",
        role=Role.viewer,
        name="countWaiting",
        summary="How many events wait for a destination: what switching it off, or removing it, would lose.",
        answer=Waiting,
        handle=waiting,
    ),
    Route(
        method="GET",
        path="/destinations/{destination}/history",
        role=Role.viewer,
        name="listHistory",
        summary="A destination's history, newest first: its states and settings, who changed what.",
        query=PageQuery,
        answer=shapes.HistoryEntry,
        listed=True,
        handle=list_history,
    ),
    Route(
        method="POST",
        path="/destinations/{destination}/undo",
        role=Role.editor,
        name="undoSettings",
        summary="Go back to earlier settings, secrets included, as a new version.",
        body=Undo,
        answer=shapes.DestinationDetails,
        handle=undo,
    ),
    Route(
        method="POST",
        path="/destinations/{destination}/connection-tests",
        role=Role.editor,
        name="testConnection",
        summary="Test the connection: address, TLS, certificate; nothing is sent.",
        body=ConnectionTest,
        answer=shapes.Connection,
        handle=test,
        slow=True,
    ),
)
