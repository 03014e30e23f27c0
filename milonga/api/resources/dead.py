"""Dead letters: events that a destination refused for good, and what to do with them."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.encoding import encoded
from milonga.api.problem import Problem
from milonga.api.route import MOST, USUAL, Asked, Count, Cursor, Listed, NoQuery, Route
from milonga.delivery.editing import NotValid
from milonga.delivery.letter_list import LetterFilter, LetterMark, count_by_code, mark_of
from milonga.delivery.letter_list import letters as page_of_letters
from milonga.delivery.rows import DeadLetter
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.dead import as_row, count
from milonga.facts.facts import Facts, Place
from milonga.facts.when import moment
from milonga.spec.event import EventType
from milonga.spec.read import read_stamped
from milonga.spec.text import well_formed
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import NotThere
from milonga.workspace.roles import Role


class LettersQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    All that is named must fit, exactly. events: each with its event as it arrived, as an export has them. A page may
    hold few, or none, while there is more.
    """

    count: Count = USUAL
    cursor: Cursor = ""
    destination: str | None = None
    code: str | None = None
    type: EventType | None = None
    account: str | None = None
    user: str | None = None
    message_id: str | None = None
    events: bool = False


class LetterAt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dead letter: the name of its destination, and its position."""

    destination: str
    partition: Annotated[int, Meta(ge=0, le=2**53)]
    offset: Annotated[int, Meta(ge=0, le=2**53)]


class Letters(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    Which are meant: these; or those with these message ids; or all, or all with one code. destination: of this one
    alone.
    """

    letters: Annotated[list[LetterAt], Meta(max_length=MOST)] = []
    message_ids: Annotated[list[str], Meta(max_length=MOST)] = []
    all: bool = False
    code: str | None = None
    destination: str | None = None


class EditedLetter(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    Of which dead letter, and the event that is to go out in its place, as JSON or as its text. died_at: as it was seen;
    if it was refused once more since, nothing is done.
    """

    destination: str
    partition: Annotated[int, Meta(ge=0, le=2**53)]
    offset: Annotated[int, Meta(ge=0, le=2**53)]
    event: dict[str, Any] | str
    died_at: Annotated[str, Meta(max_length=50)] | None = None


class LetterCountsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one destination, if it is named."""

    destination: str | None = None


class Chosen(Struct, frozen=True):
    """Of one destination: those at these places, or all that fit."""

    place: Place
    count: int
    at: list[Position] | None = None
    wanted: LetterFilter | None = None


def list_letters(asked: Asked[LettersQuery, None]) -> Listed:
    """The oldest death first. Those of removed destinations are nobody's business any more."""
    facts, query = asked.facts, asked.query
    number = None if query.destination is None else facts.workspace.destination(query.destination).id
    if facts.delivery is None:
        return Listed([], more={"total": 0})
    wanted = LetterFilter(
        code=query.code, type=query.type, account=query.account, user=query.user, message_id=query.message_id
    )
    mark = paging.place(query.cursor, tuple[int, int, int, int])
    page = page_of_letters(
        facts.delivery,
        wanted,
        number,
        beyond=None if mark is None else LetterMark(*mark),
        limit=query.count,
        newest_first=False,
    )
    found, goes_on = page.letters, page.next
    if query.events and (most := paging.whole(letter.event for letter in found)) < len(found):
        found, goes_on = found[:most], mark_of(found[most - 1])
    here = {place.config.id for place in facts.places if place.removed_at is None}
    rows = [_row(facts, letter, events=query.events) for letter in found if letter.destination in here]
    next_ = None if goes_on is None else paging.cursor(goes_on)
    return Listed(rows, next_, more={"total": count(facts, query.destination)})


def count_letters(asked: Asked[LetterCountsQuery, None]) -> list[dict[str, Any]]:
    facts, name = asked.facts, asked.query.destination
    number = None if name is None else facts.workspace.destination(name).id
    return [
        {"destination": place.config.name, "code": code, "count": n}
        for place in facts.places
        if place.removed_at is None and facts.delivery is not None and number in (None, place.config.id)
        for code, (n, _, _) in sorted(count_by_code(facts.delivery, place.config.id).items())
    ]


def resend(asked: Asked[NoQuery, Letters]) -> dict[str, Any]:
    return _ask(asked, wishes.resend)


def discard(asked: Asked[NoQuery, Letters]) -> dict[str, Any]:
    return _ask(asked, wishes.discard)


def edit(asked: Asked[NoQuery, EditedLetter]) -> dict[str, Any]:
    facts, body = asked.facts, asked.body
    place = Place(facts.workspace.destination(body.destination))
    text = body.event if isinstance(body.event, str) else encoded(body.event).decode()
    died_at = None if body.died_at is None else moment_of(body.died_at, "$.diedAt")
    position = Position(body.partition, body.offset)
    if facts.delivery is None or facts.delivery.dead(place.config.id, position) is None:
        raise NotThere("There is no such dead letter any more: it was resent or discarded.")
    try:
        command = wishes.edit(facts, place, position, text, died_at=died_at, by=asked.caller.name)
    except NotValid as error:
        raise Problem(422, "invalid_body", f"{error}. Nothing was changed.", field="$.event") from None
    return {"asked": 1, "commands": [command]}


def _ask(asked: Asked[NoQuery, Letters], wish: Callable[..., int]) -> dict[str, Any]:
    facts, by = asked.facts, asked.caller.name
    chosen = _chosen(facts, asked.body)
    commands = [wish(facts, one.place, positions=one.at, wanted=one.wanted, by=by) for one in chosen]
    return {"asked": sum(one.count for one in chosen), "commands": commands}


def _chosen(facts: Facts, body: Letters) -> list[Chosen]:
    if bool(body.letters) + bool(body.message_ids) + (body.all or body.code is not None) != 1:
        raise Problem(422, "invalid_body", "Name one of: letters, messageIds, code, all.")
    places = {place.config.name: place for place in facts.places if place.removed_at is None}
    if body.destination is not None:
        name = facts.workspace.destination(body.destination).name
        places = {name: places[name]}
    if body.letters:
        return _at(facts, body.letters)
    if not body.message_ids:
        counts = [(place, _count(facts, place, body.code)) for place in places.values()]
        return [Chosen(place, n, wanted=LetterFilter(code=body.code)) for place, n in counts if n]
    found = _with_ids(facts, frozenset(body.message_ids))
    found = [letter for letter in found if any(place.config.id == letter.destination for place in places.values())]
    if missing := set(body.message_ids) - {letter.event.stamp.message_id for letter in found}:
        raise NotThere(_none(sorted(missing)))
    at = [(place, [one.position for one in found if one.destination == place.config.id]) for place in places.values()]
    return [Chosen(place, len(positions), at=positions) for place, positions in at if positions]


def moment_of(text: str, field: str) -> int:
    """Unix milliseconds. A Problem, of this field of the body"""
    try:
        return moment(text, milliseconds())
    except (ValueError, OverflowError) as error:
        raise Problem(422, "invalid_body", str(error), field=field) from None


def _at(facts: Facts, letters: Sequence[LetterAt]) -> list[Chosen]:
    by_name: dict[str, list[Position]] = {}
    for one in dict.fromkeys(letters):
        by_name.setdefault(one.destination, []).append(Position(one.partition, one.offset))
    return [
        Chosen(Place(facts.workspace.destination(name)), len(positions), at=positions)
        for name, positions in by_name.items()
    ]


def _with_ids(facts: Facts, message_ids: frozenset[str]) -> list[DeadLetter]:
    """All letters are looked at once, however many ids are asked for."""
    found: list[DeadLetter] = []
    mark: LetterMark | None = None
    while facts.delivery is not None:
        page = page_of_letters(facts.delivery, LetterFilter(), beyond=mark, limit=MOST, newest_first=False)
        found += [letter for letter in page.letters if letter.event.stamp.message_id in message_ids]
        mark = page.next
        if mark is None:
            break
    return found


def _count(facts: Facts, place: Place, code: str | None) -> int:
    by_code = {} if facts.delivery is None else count_by_code(facts.delivery, place.config.id)
    return sum(n for one, (n, _, _) in by_code.items() if code in (None, one))


def _row(facts: Facts, letter: DeadLetter, *, events: bool) -> dict[str, Any]:
    row = as_row(facts, letter)
    return row | {"event": read_stamped(letter.event).received} if events else row


def _none(ids: Sequence[str]) -> str:
    return f"There is no dead letter with message id {', '.join(map(well_formed, ids))}. See `milonga dead list`."


ROUTES: Final = (
    Route(
        method="GET",
        path="/dead-letters",
        role=Role.viewer,
        name="listDeadLetters",
        summary="Find dead letters, the oldest death first.",
        query=LettersQuery,
        answer=shapes.DeadLetter,
        listed=True,
        pagination=shapes.TotalPagination,
        handle=list_letters,
        exports="dead_letters",
    ),
    Route(
        method="GET",
        path="/dead-letters/counts",
        role=Role.viewer,
        name="countDeadLetters",
        summary="How many dead letters there are, by destination and code.",
        query=LetterCountsQuery,
        answer=list[shapes.DeadLetterCount],
        handle=count_letters,
    ),
    Route(
        method="POST",
        path="/dead-letters/resend",
        role=Role.editor,
        name="resendDeadLetters",
        summary="Send dead letters again; each joins at the end of its line.",
        body=Letters,
        answer=shapes.AskedFor,
        status=202,
        handle=resend,
    ),
    Route(
        method="POST",
        path="/dead-letters/edit",
        role=Role.editor,
        name="editDeadLetter",
        summary="Send an edited event in place of a dead letter, to its destination alone.",
        body=EditedLetter,
        answer=shapes.AskedFor,
        status=202,
        handle=edit,
    ),
    Route(
        method="POST",
        path="/dead-letters/discard",
        role=Role.editor,
        name="discardDeadLetters",
        summary="Throw dead letters away for good.",
        body=Letters,
        answer=shapes.AskedFor,
        status=202,
        handle=discard,
    ),
)
