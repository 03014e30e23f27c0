"""
Skips, and each reason with its events: narrowed, chosen, sent once more by a replay that is looked at first, and taken
away as a file.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from starlette.responses import Response

from milonga.console.dry_runs import Wanted
from milonga.console.pages.problems import HOUR, MOST, SAYS, chosen, frame, mark_of, row, span_of, state_of
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.delivery.selection import MOST_CHOSEN, Selection
from milonga.eventlog.api import Position
from milonga.facts import problems, wishes
from milonga.facts.exporting import MEDIA_TYPES, Format, export_ended
from milonga.facts.facts import Facts, Place
from milonga.facts.skipped import EVER, Ended, ended, everything, may_be_sent
from milonga.facts.when import moment
from milonga.index.catalogue import WithoutAccount
from milonga.outcomes.examples import NEWEST
from milonga.outcomes.model import State
from milonga.spec.event import EventType
from milonga.spec.read import EVENT_TYPES
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import NotThere, UserError

ON_A_PAGE: Final = 50
NO_ACCOUNT: Final = "missing_group_id"
FIELDS: Final = ("type", "account", "user", "event", "from", "to")  #: of the filter, by their names in an address
KEPT: Final = ("destination", "code", "state", *FIELDS)  #: what forms and files of this page carry along
NOTHING: Final = Ended([], None, stopped=False)


def page(visit: Visit) -> Response:
    """What was decided not to be sent, or came too late: all of it, or one reason with its events."""
    span, code = span_of(visit), visit.text("code")
    with visit.facts() as facts:
        place = chosen(visit, facts)
        if code and place is not None:
            return _one(visit, facts, place, code)
        found = problems.reasons(facts, span, None if place is None else place.config.id)
        found = [one for one in found if one.state is not State.dead and code in ("", one.code)]
        values = {
            **frame(facts, place, "/skips"),
            "span": span,
            "spans": SAYS,
            "code": code,
            "rows": [row(facts, one) for one in found[:MOST]],
            "more": max(0, len(found) - MOST),
        }
    return visit.page("problems/skips.html", values)


def _one(visit: Visit, facts: Facts, place: Place, code: str) -> Response:
    span, state = span_of(visit), state_of(visit)
    reason = problems.reason(facts, place.config.id, state, code, span)
    before, wrong = mark_of(visit.text("before")), ""
    wanted, found = everything(place), NOTHING
    try:
        wanted = wanted_of(visit, place)
        found = ended(facts, place, state, code, wanted, before=before or NEWEST, limit=ON_A_PAGE)
    except UserError as error:
        wrong = str(error)
    carried = {name: visit.text(name) for name in KEPT if visit.text(name)}
    values = {
        **frame(facts, place, "/skips"),
        "span": span,
        "spans": SAYS,
        "code": code,
        "state": state.name,
        "row": row(facts, reason),
        "source": facts.source(place.config.source),
        "rows": [_row(one) for one in found.events],
        "given": {name: visit.text(name) for name in FIELDS},
        "carried": carried,
        "filtered": wanted != everything(place) or bool(wrong),
        "wrong": wrong,
        "all": address("/problems/skips", destination=place.config.name, code=code, state=visit.text("state") or None),
        "types": [("", "Any call"), *((one, one) for one in sorted(EVENT_TYPES))],
        "older": None if found.next is None else visit.here(before="_".join(map(str, found.next))),
        "newest": visit.here(before=None) if before is not None else None,
        "stopped": found.stopped,
        "exports": [(one, address("/problems/skips/export", (), **carried, format=one)) for one in MEDIA_TYPES],
        "chart": address("/problems/trend", destination=place.config.name, code=code, state=state.name, span=span),
        "off": place.config.state.value == "off",
        "nameable": _nameable(visit, place, span) if code == NO_ACCOUNT else None,
    }
    return visit.page("problems/one.html", values, status=422 if wrong else 200)


def _nameable(visit: Visit, place: Place, span: str) -> WithoutAccount:
    """How many events without an account had a user whom an earlier group call had put into one."""
    now = milliseconds()
    return visit.services.index.without_account(now - problems.SPANS[span] * HOUR, now, place.config.source)


def wanted_of(visit: Visit, place: Place) -> Selection:
    """What is narrowed to. UserError if a moment is none."""
    given = {name: visit.text(name) or None for name in FIELDS}
    type_ = given["type"] if given["type"] in EVENT_TYPES else None
    now = milliseconds()
    return Selection(
        source=place.config.source,
        since=_moment(given["from"], now, 0),
        until=_moment(given["to"], now, EVER),
        type=cast("EventType | None", type_),
        account=given["account"],
        user=given["user"],
        name=given["event"],
    )


def _moment(text: str | None, now: int, otherwise: int) -> int:
    if text is None:
        return otherwise
    try:
        return max(0, moment(text, now))
    except (ValueError, OverflowError) as error:
        raise UserError(str(error)) from None


def _row(one: problems.Example) -> dict[str, Any]:
    at = one.outcome.position
    return {**problems.example_as_row(one), "id": f"{at.partition}-{at.offset}", "may_be_sent": may_be_sent(one)}


def resend(visit: Visit) -> Response:
    """Begins the dry run of a replay of what was chosen, or of all that fit: it has a page of its own."""
    code, to = visit.text("code"), address("/problems/skips", (), **{name: visit.text(name) or None for name in KEPT})
    with visit.facts() as facts:
        place = chosen(visit, facts)
        if place is None or place.removed_at is not None or not code:
            raise NotThere("Name a destination and a code.")
        now, wanted = milliseconds(), wanted_of(visit, place)
        positions = None if visit.text("scope") == "all" else _chosen(visit)
        kept = facts.log.since()
    if positions == ():
        return visit.go(to, "No event was chosen.")
    since = wanted.since if kept is None else max(wanted.since, kept)
    selection = Selection(
        source=wanted.source,
        since=since,
        until=max(min(wanted.until, now), since + 1),
        type=wanted.type,
        account=wanted.account,
        user=wanted.user,
        name=wanted.name,
        code=code,
        positions=positions,
        find_accounts=bool(visit.text("find_accounts")) and code == NO_ACCOUNT,
    )
    run = Wanted(
        destination=place.config.id, name=place.config.name, selection=selection, rate=wishes.RATE, overwrite=False
    )
    try:
        begun = visit.services.dry_runs.begin(run, visit.by)
    except UserError as error:
        return visit.go(to, str(error))
    return visit.go(f"/replays/dry-runs/{begun.id}")


def _chosen(visit: Visit) -> tuple[Position, ...]:
    found = (re.fullmatch(r"([0-9]{1,9})-([0-9]{1,15})", text) for text in visit.texts("event_at", MOST_CHOSEN))
    return tuple(Position(int(one[1]), int(one[2])) for one in found if one is not None)


def download(visit: Visit) -> Response:
    """All that fit, as they are read."""
    format_: Format = "csv" if visit.text("format") == "csv" else "jsonl"
    state, code = state_of(visit), visit.text("code")
    with visit.facts() as facts:  # a mistake is told as a page, not within the file
        place = chosen(visit, facts)
        if place is None or not code:
            raise NotThere("Name a destination and a code.")
        wanted = wanted_of(visit, place)

    def lines() -> Iterator[bytes]:
        with visit.facts() as facts:
            yield from export_ended(facts, place, state, code, wanted, format_=format_)

    return visit.download(lines(), MEDIA_TYPES[format_], f"{state.name}.{format_}", "skipped", place.config.name)


PAGES = [
    shows("/problems/skips", page),
    shows("/problems/skips/export", download),
    changes("/problems/skips/resend", resend),
]
