"""
Parked keys: why their lines do not move, how long, how many wait; to try them now, release or skip them, and to take
away what waits behind them.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from starlette.responses import Response

from milonga.console.asked import wait
from milonga.console.lines import DELIVERY
from milonga.console.links import to_parked
from milonga.console.pages.problems import chosen, frame, is_number, places_of
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.delivery.by_hand import RELEASE, RETRY, SKIP
from milonga.delivery.parked_list import ParkedKey, count_keys, parked_keys
from milonga.delivery.rows import key_of, key_text
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.exporting import MEDIA_TYPES, Format, export_parked
from milonga.facts.facts import Facts, Place
from milonga.facts.parked import as_row
from milonga.workspace.errors import NotThere, UserError

ON_A_PAGE: Final = 50
AT_ONCE: Final = 10_000  #: keys that one click on "all" is about
LONGEST_KEY: Final = 4_000  #: characters


def page(visit: Visit) -> Response:
    account, after = visit.text("account"), visit.text("after", LONGEST_KEY)
    with visit.facts() as facts:
        place = chosen(visit, facts)
        counts = {one.config.name: _count(facts, one) for one in places_of(facts)}
        if place is None:
            place = next((one for one in places_of(facts) if counts[one.config.name]), None)
        found: list[ParkedKey] = []
        if place is not None and facts.delivery is not None:
            found = parked_keys(
                facts.delivery, place.config.id, after=after, account=account or None, limit=ON_A_PAGE + 1
            )
        health = None if place is None else facts.health(place.config.id)
        values = {
            **frame(facts, place, "/parked"),
            "rows": [_row(place, one) for one in found[:ON_A_PAGE] if place is not None],
            "account": account,
            "count": 0 if place is None else counts[place.config.name],
            "counts": [(name, n, address("/problems/parked", destination=name)) for name, n in counts.items() if n],
            "older": None if len(found) <= ON_A_PAGE else visit.here(after=found[ON_A_PAGE - 1].text),
            "newest": visit.here(after=None) if after else None,
            "exports": [] if place is None else _exports(place.config.name, account),
            "at_once": AT_ONCE,
            "server_runs": facts.server_runs,
            "is": "" if place is None else place.config.state.value,
            "breaker": "" if health is None else health.breaker,
        }
    return visit.page("problems/parked.html", values)


def _count(facts: Facts, place: Place) -> int:
    return 0 if facts.delivery is None else count_keys(facts.delivery, place.config.id)


def _row(place: Place, one: ParkedKey) -> dict[str, Any]:
    line = address("/problems/parked/export", destination=place.config.name, key=one.text, format="jsonl")
    to = to_parked(place.config.id, one.first)
    return {**as_row(one), "value": _value(one), "text": one.text, "export": line, "to": to}


def _exports(destination: str, account: str) -> list[tuple[str, str]]:
    return [
        (one, address("/problems/parked/export", destination=destination, account=account or None, format=one))
        for one in MEDIA_TYPES
    ]


def _value(one: ParkedKey) -> str:
    """A key, and the first event behind it as it is seen now."""
    return f"{one.first.partition}-{one.first.offset} {one.text}"


def _read(value: str) -> tuple[str, Position] | None:
    where, _, text = value.partition(" ")
    partition, _, offset = where.partition("-")
    if not (is_number(partition) and is_number(offset)) or (key := _key(text)) is None:
        return None
    return key_text(key), Position(int(partition), int(offset))


def _key(text: str) -> Key | None:
    """None if it is none."""
    try:
        key = key_of(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return key if key and all(isinstance(part, str) for part in key) else None


def retry(visit: Visit) -> Response:
    return _carry_out(visit, RETRY)


def release(visit: Visit) -> Response:
    return _carry_out(visit, RELEASE)


def skip(visit: Visit) -> Response:
    return _carry_out(visit, SKIP)


def _carry_out(visit: Visit, kind: str) -> Response:
    whole = kind == SKIP and visit.text("whole") == "1"
    to = address("/problems/parked", destination=visit.text("destination"), account=visit.text("account") or None)
    with visit.facts() as facts:
        place = chosen(visit, facts)
        if place is None:
            raise UserError("Name a destination.")
        if visit.text("scope") == "all":
            lines = _all(facts, place, visit.text("account"))
        else:
            lines = [one for value in visit.texts("key", 1_000) if (one := _read(value)) is not None]
        if not lines:
            return visit.go(to, "No key was chosen.")
        asked, rest = [], iter(lines)
        while some := list(islice(rest, wishes.LINES)):
            asked.append(wishes.parked(facts, kind, place, some, whole=whole, by=visit.by))
    what = "event" if kind == SKIP else "key"
    return visit.go(to, wait(visit, asked).says(wishes.DEEDS[kind], what))


def _all(facts: Facts, place: Place, account: str) -> list[tuple[str, Position]]:
    """The first AT_ONCE of them."""
    if facts.delivery is None:
        return []
    found = parked_keys(facts.delivery, place.config.id, account=account or None, limit=AT_ONCE)
    return [(one.text, one.first) for one in found]


def download(visit: Visit) -> Response:
    """What waits behind all keys of a destination, or of an account, or behind one, as it is read."""
    format_: Format = "csv" if visit.text("format") == "csv" else "jsonl"
    account, text = visit.text("account"), visit.text("key", LONGEST_KEY)
    key = _key(text)
    with visit.facts() as facts:  # a mistake is told as a page, not within the file
        place = chosen(visit, facts)
    if place is None or (text and key is None):
        raise NotThere("Name a destination, and a key only as the list shows it.")

    def lines() -> Iterator[bytes]:
        with visit.facts() as facts:
            yield from export_parked(facts, place, account=account or None, key=key, format_=format_)

    return visit.download(lines(), MEDIA_TYPES[format_], f"parked-events.{format_}", "parked", place.config.name)


PAGES = [
    shows("/problems/parked", page),
    shows("/problems/parked/export", download),
    changes("/problems/parked/retry", retry, line=DELIVERY),
    changes("/problems/parked/release", release, line=DELIVERY),
    changes("/problems/parked/skip", skip, line=DELIVERY),
]
