"""Parked keys: why their lines do not move, how long, how many wait; and to try them now, release or skip them."""

from itertools import islice
from typing import Final

from starlette.responses import Response

from milonga.console.asked import wait
from milonga.console.lines import DELIVERY
from milonga.console.pages.problems import chosen, frame, is_number, places_of
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.delivery.by_hand import RELEASE, RETRY, SKIP
from milonga.delivery.parked_list import ParkedKey, count_keys, parked_keys
from milonga.delivery.rows import key_of, key_text
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.facts import Facts, Place
from milonga.facts.parked import as_row
from milonga.workspace.errors import UserError

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
            "rows": [{**as_row(one), "value": _value(one), "text": one.text} for one in found[:ON_A_PAGE]],
            "account": account,
            "count": 0 if place is None else counts[place.config.name],
            "counts": [(name, n, address("/problems/parked", destination=name)) for name, n in counts.items() if n],
            "older": None if len(found) <= ON_A_PAGE else visit.here(after=found[ON_A_PAGE - 1].text),
            "newest": visit.here(after=None) if after else None,
            "at_once": AT_ONCE,
            "server_runs": facts.server_runs,
            "is": "" if place is None else place.config.state.value,
            "breaker": "" if health is None else health.breaker,
        }
    return visit.page("problems/parked.html", values)


def _count(facts: Facts, place: Place) -> int:
    return 0 if facts.delivery is None else count_keys(facts.delivery, place.config.id)


def _value(one: ParkedKey) -> str:
    """A key, and the first event behind it as it is seen now."""
    return f"{one.first.partition}-{one.first.offset} {one.text}"


def _read(value: str) -> tuple[str, Position] | None:
    where, _, text = value.partition(" ")
    partition, _, offset = where.partition("-")
    if not (is_number(partition) and is_number(offset)):
        return None
    try:
        key = key_of(text)
    except ValueError:
        return None
    if not key or not all(isinstance(part, str) for part in key):
        return None
    return key_text(key), Position(int(partition), int(offset))


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


PAGES = [
    shows("/problems/parked", page),
    changes("/problems/parked/retry", retry, line=DELIVERY),
    changes("/problems/parked/release", release, line=DELIVERY),
    changes("/problems/parked/skip", skip, line=DELIVERY),
]
