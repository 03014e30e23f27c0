"""Dead letters: found, looked at, resent, edited, thrown away, exported."""

from collections.abc import Iterator
from typing import Any, Final, cast

from starlette.responses import Response

from milonga.console.asked import wait
from milonga.console.lines import DELIVERY
from milonga.console.links import to_fix
from milonga.console.pages.problems import chosen, frame, is_number, places_of
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.delivery.editing import NotValid, pretty
from milonga.delivery.letter_list import LetterFilter, LetterMark, count_by_code, letters
from milonga.delivery.rows import DeadLetter
from milonga.destinations.contract import Skip
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.dead import as_row
from milonga.facts.exporting import MEDIA_TYPES, Format, export
from milonga.facts.facts import Facts, Place
from milonga.facts.stopped import waits_there
from milonga.outcomes.explain import shown
from milonga.outcomes.rules import apply
from milonga.outcomes.words import instant
from milonga.spec.event import EventType
from milonga.spec.read import EVENT_TYPES, read_stamped, said_for_all
from milonga.spec.stored import Stamped
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.model import DestinationConfig

ON_A_PAGE: Final = 50
FIELDS: Final = ("code", "type", "account", "user", "messageId")  #: of the filter, by their names in an address
LONGEST: Final = 600_000  #: characters of an edited event; one that arrived has 32 kB, readable some times that

# What was chosen


def wanted_of(visit: Visit) -> LetterFilter:
    given = {name: visit.text(name) or None for name in FIELDS}
    type_ = given["type"] if given["type"] in EVENT_TYPES else None
    return LetterFilter(
        code=given["code"],
        type=cast("EventType | None", type_),
        account=given["account"],
        user=given["user"],
        message_id=given["messageId"],
    )


def asked_for(visit: Visit) -> dict[str, str]:
    """The filter as it is in the address."""
    return {name: visit.text(name) for name in ("destination", *FIELDS) if visit.text(name)}


def list_address(visit: Visit) -> str:
    return address("/problems/dead", **asked_for(visit))


def mark_of(text: str) -> LetterMark | None:
    """A page's `beyond`; None if it is none."""
    parts = text.split("_")
    if len(parts) != len(LetterMark._fields) or not all(is_number(part) for part in parts):
        return None
    return LetterMark(*map(int, parts))


def place_of(facts: Facts, number: int) -> Place:
    """Of a destination that is there. UserError"""
    found = next((place for place in places_of(facts) if place.config.id == number), None)
    if found is None:
        raise NotThere("The destination was removed, and its dead letters with it.")
    return found


def letter_at(facts: Facts, text: str) -> DeadLetter:
    """`destination-partition-offset`. UserError if there is none, or not any more."""
    parts = text.split("-")
    if len(parts) != 3 or not all(is_number(part) for part in parts):
        raise NotThere("There is no such dead letter.")
    number, partition, offset = map(int, parts)
    place_of(facts, number)
    found = None if facts.delivery is None else facts.delivery.dead(number, Position(partition, offset))
    if found is None:
        raise NotThere("This dead letter is gone: somebody has resent or discarded it.")
    return found


def id_of(letter: DeadLetter) -> str:
    return f"{letter.destination}-{letter.position.partition}-{letter.position.offset}"


# Pages


def page(visit: Visit) -> Response:
    wanted = wanted_of(visit)
    with visit.facts() as facts:
        place = chosen(visit, facts)
        number = None if place is None else place.config.id
        beyond = mark_of(visit.text("beyond"))
        reader = facts.delivery
        found = None if reader is None else letters(reader, wanted, number, beyond=beyond, limit=ON_A_PAGE)
        here = {one.config.id for one in places_of(facts)}
        codes = _codes(facts, here if number is None else {number})
        rows = [_row(facts, one) for one in ([] if found is None else found.letters) if one.destination in here]
        next_ = None if found is None or found.next is None else "_".join(map(str, found.next))
        values = {
            **frame(facts, place, "/dead"),
            "rows": rows,
            "wanted": wanted,
            "filter": asked_for(visit),
            "filtered": wanted != LetterFilter(),
            "count": _count(wanted, codes),
            "all": sum(codes.values()),
            "codes": [("", "Any code"), *((code, f"{code} ({n:,})") for code, n in sorted(codes.items()))],
            "types": [("", "Any call"), *((one, one) for one in sorted(EVENT_TYPES))],
            "older": None if next_ is None else visit.here(beyond=next_),
            "newest": None if beyond is None else visit.here(beyond=None),
            "stopped": found is not None and found.stopped,
            "exports": [(one, address("/problems/dead/export", format=one, **asked_for(visit))) for one in MEDIA_TYPES],
            "off": sorted(_off(facts) & {row["destination"] for row in rows}),
            "held": waits_there(_of_rows(facts, rows), "What is resent"),
            "server_runs": facts.server_runs,
        }
    return visit.page("problems/dead.html", values)


def _off(facts: Facts) -> set[str]:
    return {one.config.name for one in places_of(facts) if one.config.state.value == "off"}


def _of_rows(facts: Facts, rows: list[dict[str, Any]]) -> list[DestinationConfig]:
    names = {row["destination"] for row in rows}
    return [one.config for one in places_of(facts) if one.config.name in names]


def _codes(facts: Facts, numbers: set[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for number in numbers if facts.delivery is not None else ():
        for code, (n, _, _) in count_by_code(facts.delivery, number).items():  # type: ignore[arg-type]
            found[code] = found.get(code, 0) + n
    return found


def _count(wanted: LetterFilter, codes: dict[str, int]) -> int | None:
    """How many fit; None if only looking at each of them could tell."""
    if wanted.needs_a_look:
        return None
    return sum(codes.values()) if wanted.code is None else codes.get(wanted.code, 0)


def _row(facts: Facts, letter: DeadLetter) -> dict[str, Any]:
    row = as_row(facts, letter)
    edited = None if facts.delivery is None else facts.delivery.edited.of(letter.destination, letter.position)
    return {**row, "id": id_of(letter), "edited": None if edited is None else edited.by}


def one(visit: Visit) -> Response:
    with visit.facts() as facts:
        letter = letter_at(facts, visit.path["id"])
        return _one(visit, facts, letter)


def _one(visit: Visit, facts: Facts, letter: DeadLetter, *, text: str = "", wrong: str = "") -> Response:
    place = place_of(facts, letter.destination)
    edited = None if facts.delivery is None else facts.delivery.edited.of(letter.destination, letter.position)
    tries = facts.outcomes.attempts(letter.position, letter.destination)
    row = as_row(facts, letter)
    values = {
        **frame(facts, place, "/dead"),
        "row": row,
        "id": id_of(letter),
        "died_at": letter.died_at,
        "text": text or pretty(letter.event.body),
        "wrong": wrong,
        "batch": said_for_all(letter.event.stamp),
        "parts_sent": sorted(letter.parts),
        "edited": None if edited is None else {"by": edited.by, "at": instant(edited.at)},
        "tries": [
            {"at": instant(one.at), "status": one.status, "ms": one.ms, "reason": one.reason, "part": one.part}
            for one in tries[-10:]
        ],
        "answer": tries[-1].said if tries else "",
        "to": to_fix({"page": "settings", "name": ""}, place.config, facts.source(place.config.source)),
        "is_off": place.config.state.value == "off",
        "held": waits_there([place.config], "What is resent"),
    }
    return visit.page("problems/letter.html", values, status=422 if wrong else 200)


def check(visit: Visit) -> Response:
    """What an edited text would become; nothing is sent."""
    text, wrong, skip = visit.text("event", LONGEST), "", None
    requests: list[dict[str, Any]] = []
    with visit.facts() as facts:
        letter = letter_at(facts, visit.path["id"])
        place = place_of(facts, letter.destination)
        try:
            event = wishes.check_edit(facts, place, letter.position, text)
        except (NotValid, UserError) as error:
            wrong = sentence(error)
        else:
            skip, requests = becomes(facts, place, event)
    return visit.page("problems/becomes.html", {"wrong": wrong, "skip": skip, "requests": requests})


def becomes(facts: Facts, place: Place, event: Stamped) -> tuple[Skip | None, list[dict[str, Any]]]:
    """With *** for secrets."""
    config, kind = place.config, facts.workspace.kinds.get(place.config.kind)
    if kind is None:
        return None, []
    settings = facts.workspace.settings_at(config.id, config.settings_version)
    result = apply(kind, read_stamped(event), settings, config.delivery.gate).result
    if isinstance(result, Skip):
        return result, []
    return None, [shown(request) for request in result or ()]


def sentence(error: Exception) -> str:
    text = str(error)
    return text if text.endswith(".") else f"{text}."


# Changes


def resend(visit: Visit) -> Response:
    return _carry_out(visit, "resend", "resent")


def discard(visit: Visit) -> Response:
    return _carry_out(visit, "discard", "discarded")


def _carry_out(visit: Visit, kind: str, what: str) -> Response:
    """Those that were chosen, or with `scope` all, all that fit the filter."""
    ask = wishes.resend if kind == "resend" else wishes.discard
    to = list_address(visit)
    asked: list[int] = []
    at: list[DestinationConfig] = []
    refused: list[str] = []
    with visit.facts() as facts:
        if visit.text("scope") == "all":
            place = chosen(visit, facts)
            wanted = wanted_of(visit)
            for one_ in places_of(facts) if place is None else [place]:
                if not _codes(facts, {one_.config.id}):
                    continue
                try:
                    asked.append(ask(facts, one_, wanted=wanted, by=visit.by))
                    at.append(one_.config)
                except UserError as error:
                    refused.append(f"{one_.config.name}: {error}")
        else:
            for number, positions in _chosen(visit).items():
                one_ = place_of(facts, number)
                try:
                    asked.append(ask(facts, one_, positions=positions, by=visit.by))
                    at.append(one_.config)
                except UserError as error:
                    refused.append(f"{one_.config.name}: {error}")
            if not asked and not refused:
                return visit.go(to, "No dead letter was chosen.")
    found = wait(visit, asked) if asked else None
    said = [] if found is None else [found.says(what, "dead letter")]
    if found is not None and kind == "resend" and (found.done or found.waiting):
        said.append(waits_there(at, "What was resent"))
    return visit.go(to, " ".join(filter(None, [*said, *refused])))


def _chosen(visit: Visit) -> dict[int, list[Position]]:
    found: dict[int, list[Position]] = {}
    for text in visit.texts("letter"):
        parts = text.split("-")
        if len(parts) == 3 and all(is_number(part) for part in parts):
            number, partition, offset = map(int, parts)
            found.setdefault(number, []).append(Position(partition, offset))
    return found


def edit(visit: Visit) -> Response:
    """The text goes out in place of the event. If it is none, it comes back with what is wrong with it."""
    text = visit.text("event", LONGEST)
    died_at = visit.text("died_at", 20)
    with visit.facts() as facts:
        letter = letter_at(facts, visit.path["id"])
        place = place_of(facts, letter.destination)
        try:
            seen = int(died_at) if is_number(died_at) else None
            asked = wishes.edit(facts, place, letter.position, text, died_at=seen, by=visit.by)
        except (NotValid, UserError) as error:
            return _one(visit, facts, letter, text=text, wrong=sentence(error))
        to = address("/problems/dead", destination=place.config.name)
    found = wait(visit, [asked])
    held = waits_there([place.config], "It") if found.done or found.waiting else ""
    return visit.go(to, f"{found.says('edited and resent', 'dead letter')} {held}".strip())


def download(visit: Visit) -> Response:
    """All that fit, as they are read."""
    format_: Format = "csv" if visit.text("format") == "csv" else "jsonl"
    wanted = wanted_of(visit)
    with visit.facts() as facts:
        place = chosen(visit, facts)  # a mistake is told as a page, not within the file
    number = None if place is None else place.config.id

    def lines() -> Iterator[bytes]:
        with visit.facts() as facts:
            yield from export(facts, wanted, number, format_=format_)

    return visit.download(
        lines(),
        MEDIA_TYPES[format_],
        f"dead-letters.{format_}",
        "dead_letters",
        "" if place is None else place.config.name,
    )


PAGES = [
    shows("/problems/dead", page),
    shows("/problems/dead/export", download),
    shows("/problems/dead/letter/{id}", one),
    changes("/problems/dead/letter/{id}/check", check),
    changes("/problems/dead/letter/{id}/edit", edit, line=DELIVERY),
    changes("/problems/dead/resend", resend, line=DELIVERY),
    changes("/problems/dead/discard", discard, line=DELIVERY),
]
