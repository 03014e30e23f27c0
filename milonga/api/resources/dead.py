"""Dead letters: events that a destination refused for good, and what to do with them."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from milonga.api import paging, shapes
from milonga.api.problem import Problem
from milonga.api.route import MOST, USUAL, Asked, Count, Cursor, Listed, NoQuery, Route
from milonga.delivery.rows import DeadLetter
from milonga.facts.dead import MOST as MOST_AT_ONCE
from milonga.facts.dead import as_row, count, letters
from milonga.facts.facts import Facts
from milonga.spec.read import read_stamped
from milonga.spec.text import well_formed
from milonga.workspace.errors import NotThere
from milonga.workspace.roles import Role


class LettersQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """events: each with its event as it arrived, as an export has them."""

    count: Count = USUAL
    cursor: Cursor = ""
    destination: str | None = None
    message_id: str | None = None
    events: bool = False


class LetterAt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dead letter: the name of its destination, and its position."""

    destination: str
    partition: int
    offset: int


class Letters(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which are meant: these, or all with these message ids, or all; of one destination, if it is named."""

    letters: list[LetterAt] = []
    message_ids: list[str] = []
    all: bool = False
    destination: str | None = None


def list_letters(asked: Asked[LettersQuery, None]) -> Listed:
    """The oldest death first."""
    facts, query = asked.facts, asked.query
    last = paging.place(query.cursor, tuple[int, int, int, int])
    found = [
        one
        for one in letters(facts, query.destination, MOST_AT_ONCE)
        if (last is None or _place(one) > last) and query.message_id in (None, one.event.stamp.message_id)
    ]
    found.sort(key=_place)
    there = count(facts, query.destination)

    def row(letter: DeadLetter) -> dict[str, Any]:
        event = {"event": read_stamped(letter.event).received} if query.events else {}
        return as_row(facts, letter) | event

    page = paging.page(found[: query.count + 1], query.count, _place, row)
    return Listed(page.rows, page.next, more={"total": there})


def resend(asked: Asked[NoQuery, Letters]) -> dict[str, Any]:
    return _ask(asked, "resend")


def discard(asked: Asked[NoQuery, Letters]) -> dict[str, Any]:
    return _ask(asked, "discard")


def _ask(asked: Asked[NoQuery, Letters], kind: str) -> dict[str, Any]:
    chosen = _chosen(asked.facts, asked.body)
    by_destination: dict[int, list[tuple[int, int]]] = {}
    for number, partition, offset in chosen:
        by_destination.setdefault(number, []).append((partition, offset))
    commands = asked.workspace.commands
    return {
        "asked": len(chosen),
        "commands": [
            commands.ask(kind, {"destination": number, "positions": positions}, by=asked.caller.name)
            for number, positions in by_destination.items()
        ],
    }


def _chosen(facts: Facts, body: Letters) -> list[tuple[int, int, int]]:
    if bool(body.letters) + bool(body.message_ids) + body.all != 1:
        raise Problem(422, "invalid_body", "Name one of: letters, messageIds, all.")
    if len(body.letters) > MOST_AT_ONCE or len(body.message_ids) > MOST:
        raise Problem(422, "invalid_body", f"Name {MOST:,} at once, at most.")
    if body.letters:
        numbers = {name: facts.workspace.destination(name).id for name in {one.destination for one in body.letters}}
        named = [(numbers[one.destination], one.partition, one.offset) for one in body.letters]
        if facts.delivery is None or any(abs(part) >= 2**62 for one in named for part in one[1:]):
            raise NotThere(_none(()))
        return list(dict.fromkeys(named))
    found = letters(facts, body.destination, MOST_AT_ONCE)
    wanted = set(body.message_ids)
    chosen = [one for one in found if body.all or one.event.stamp.message_id in wanted]
    if missing := wanted - {one.event.stamp.message_id for one in chosen}:
        raise NotThere(_none(sorted(missing)))
    return [(one.destination, *one.position) for one in chosen]


def _none(ids: Sequence[str]) -> str:
    called = f" with message id {', '.join(map(well_formed, ids))}" if ids else ""
    return f"There is no dead letter{called}. See `milonga dead list`."


def _place(letter: DeadLetter) -> tuple[int, int, int, int]:
    return (letter.died_at, letter.destination, *letter.position)


ROUTES: Final = (
    Route(
        method="GET",
        path="/dead-letters",
        role=Role.viewer,
        name="listDeadLetters",
        summary="List dead letters, the oldest death first.",
        query=LettersQuery,
        answer=shapes.DeadLetter,
        listed=True,
        handle=list_letters,
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
