"""Replays: events of the past to a destination once more; first, what that would send."""

import asyncio
import time
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.problem import Problem
from milonga.api.resources.commands import number_of
from milonga.api.route import USUAL, Asked, Count, Cursor, Listed, NoQuery, Route
from milonga.delivery.replay_rows import KEPT, Replay, ReplayState
from milonga.delivery.selection import MOST_CHOSEN, Selection
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.facts import Facts, Place
from milonga.facts.rehearsal import Rehearsal, as_json
from milonga.facts.replays import as_row
from milonga.facts.when import HELP, moment
from milonga.outcomes.words import instant
from milonga.spec.event import EventType
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import Clash, NotThere
from milonga.workspace.model import DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.rows import kind_named

PATIENCE: Final = 50.0  #: seconds that a dry run may take
Moment = Annotated[str, Meta(max_length=50, description=HELP)]


class ReplaysQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Newest first; of one destination, if it is named."""

    count: Count = USUAL
    cursor: Cursor = ""
    destination: str | None = None


class At(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place of the log."""

    partition: Annotated[int, Meta(ge=0, le=2**53)]
    offset: Annotated[int, Meta(ge=0, le=2**53)]


class NewReplay(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    Which events: those that arrived from a moment on and before another (now, unless told); of one type, account, user,
    name. code: those that ended with it, such as missing_group_id, and of which nothing was delivered since. positions:
    these alone. find_accounts: what names no account is filed under the one that earlier group calls of its user name,
    if there is just one. overwrite: also what newer events have set since. rate: events a second.
    """

    destination: str
    from_: Moment
    to: Moment = "now"
    type: EventType | None = None
    account: str | None = None
    user: str | None = None
    event: str | None = None
    code: Annotated[str, Meta(min_length=1)] | None = None
    positions: Annotated[list[At], Meta(min_length=1, max_length=MOST_CHOSEN)] | None = None
    find_accounts: bool = False
    overwrite: bool = False
    rate: Annotated[float, Meta(ge=wishes.RATES[0], le=wishes.RATES[1])] = wishes.RATE


class ReplayChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """paused holds it, stopped ends it for good; what is on its way arrives."""

    state: Literal["running", "paused", "stopped"]


class Begun(Struct, frozen=True, kw_only=True, rename="camel"):
    """Its number, and the command that asks for it."""

    replay: int
    destination: str
    from_: shapes.Moment
    to: shapes.Moment
    kept_since: shapes.Moment | None
    commands: list[int]


def list_replays(asked: Asked[ReplaysQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    of = None if query.destination is None else facts.workspace.destination(query.destination).id
    last = paging.place(query.cursor, int)
    replays = [] if facts.delivery is None else facts.delivery.replays.all(of, KEPT + 100)
    found = [one for one in replays if last is None or one.id < last]
    pending = sum(command.kind == "replay" for command in facts.workspace.commands.pending())
    notes = [f"{pending:,} asked for that no server has begun."] if pending else []
    return paging.page(found[: query.count + 1], query.count, lambda one: one.id, lambda one: as_row(facts, one), notes)


def show(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    return as_row(asked.facts, _one(asked))


def rehearse(asked: Asked[NoQuery, NewReplay]) -> dict[str, Any]:
    facts, body = asked.facts, asked.body
    now = milliseconds()
    place, wanted = _wanted(facts, body, now)
    kind = kind_named(facts.workspace.kinds, place.config.kind, place.config.name)
    rehearsal = Rehearsal(facts, asked.reading.path, place, kind, wanted)
    deadline = time.monotonic() + PATIENCE

    def tell(what: str, looked: int, of: int) -> None:
        if time.monotonic() > deadline:
            raise Problem(
                422,
                "too_much",
                f"{what}: {looked:,} of {of:,} events within {PATIENCE:g} seconds. Take less time, or use "
                "`milonga replay --dry-run` where the data directory is.",
            )

    found = asyncio.run(rehearsal.run(now, overwrite=body.overwrite, tell=asked.reading.tell or tell))
    return _about(facts, place, wanted) | as_json(found)


def begin(asked: Asked[NoQuery, NewReplay]) -> dict[str, Any]:
    facts, body, by = asked.facts, asked.body, asked.caller.name
    place, wanted = _wanted(facts, body, milliseconds())
    if place.config.state is DestinationState.off:
        name = place.config.name
        raise Clash(f"{name} is off: `milonga destinations enable {name}`, or pause it, first.")
    number = wishes.replay(facts, place, wanted, rate=body.rate, overwrite=body.overwrite, by=by)
    return _about(facts, place, wanted) | {"replay": number, "commands": [number]}


def change(asked: Asked[NoQuery, ReplayChange]) -> dict[str, Any]:
    replay = _one(asked)
    if replay.ended_at is not None:
        raise Clash(f"Replay {replay.id} has ended already: {replay.state.value}.")
    command = wishes.set_replay(asked.facts, replay.id, ReplayState(asked.body.state), by=asked.caller.name)
    return {"asked": 1, "commands": [command]}


def _one(asked: Asked[Any, Any]) -> Replay:
    number, delivery = number_of(asked.names["replay"], "replay"), asked.facts.delivery
    found = None if delivery is None else delivery.replays.one(number)
    if found is None:
        raise NotThere(f"There is no replay {number}. See `milonga replays list`.")
    return found


def _wanted(facts: Facts, body: NewReplay, now: int) -> tuple[Place, Selection]:
    place = Place(facts.workspace.destination(body.destination))
    since, until = _moment(body.from_, now, "from"), _moment(body.to, now, "to")
    if since >= until:
        said = f"from {instant(since)} is not before to {instant(until)}."
        raise Problem(422, "invalid_body", said, field="$.from")
    wanted = Selection(
        source=place.config.source,
        since=since,
        until=until,
        type=body.type,
        account=body.account,
        user=body.user,
        name=body.event,
        code=body.code,
        positions=None if body.positions is None else tuple(Position(at.partition, at.offset) for at in body.positions),
        find_accounts=body.find_accounts,
    )
    return place, wanted


def _moment(text: str, now: int, field: str) -> int:
    try:
        found = moment(text, now)
    except (ValueError, OverflowError) as error:
        raise Problem(422, "invalid_body", f"{field}: {error}", field=f"$.{field}") from None
    return max(0, found)


def _about(facts: Facts, place: Place, wanted: Selection) -> dict[str, Any]:
    kept = facts.log.since()
    return {
        "destination": place.config.name,
        "from": instant(wanted.since),
        "to": instant(wanted.until),
        "keptSince": None if kept is None else instant(kept),
    }


ROUTES: Final = (
    Route(
        method="GET",
        path="/replays",
        role=Role.viewer,
        name="listReplays",
        summary="List replays, newest first.",
        query=ReplaysQuery,
        answer=shapes.Replay,
        listed=True,
        handle=list_replays,
    ),
    Route(
        method="POST",
        path="/replays",
        role=Role.editor,
        name="startReplay",
        summary="Send events that arrived earlier to a destination once more, as its settings are now.",
        body=NewReplay,
        answer=Begun,
        status=202,
        handle=begin,
    ),
    Route(
        method="POST",
        path="/replays/dry-run",
        role=Role.viewer,
        name="rehearseReplay",
        summary="What a replay would send; nothing is sent.",
        body=NewReplay,
        answer=shapes.Rehearsal,
        handle=rehearse,
        slow=True,
    ),
    Route(
        method="GET",
        path="/replays/{replay}",
        role=Role.viewer,
        name="getReplay",
        summary="What a replay was asked for, how far it is, and what became of its events.",
        answer=shapes.Replay,
        handle=show,
    ),
    Route(
        method="PATCH",
        path="/replays/{replay}",
        role=Role.editor,
        name="updateReplay",
        summary="Hold a replay, let it go on, or stop it for good.",
        body=ReplayChange,
        answer=shapes.AskedFor,
        status=202,
        handle=change,
    ),
)
