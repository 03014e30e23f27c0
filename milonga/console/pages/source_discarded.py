"""What of a source was not accepted: how many of each code, and samples to look at, with the reason."""

from collections import Counter
from typing import Any, Final

from starlette.responses import Response

from milonga.console.pages._source import frame, name_of
from milonga.console.table import shows
from milonga.console.visit import Visit
from milonga.eventlog.api import Discard
from milonga.eventlog.counters import DISCARDED
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts.events import page_of_discards
from milonga.facts.facts import Facts
from milonga.facts.over_time import SPANS, span_named
from milonga.spec.discards import FIX, MEANING, excerpt_told
from milonga.workspace.commands import milliseconds

ROWS: Final = 50


def page(visit: Visit) -> Response:
    code = visit.text("code", 100)
    before = visit.number("before", AFTER_ALL, 0, AFTER_ALL)
    span = visit.text("range") if visit.text("range") in SPANS else "24h"
    with visit.facts() as facts:
        source = facts.workspace.sources.named(name_of(visit))
        counts = _counts(facts, source.id, span)
        found = facts.log.discards(ROWS + 1, source=source.id, code=code or None, before=before)
    rows, more = page_of_discards(found, ROWS)
    values: dict[str, Any] = {
        "counts": counts,
        "meanings": MEANING,
        "fixes": FIX,
        "rows": [_row(one) for one in rows],
        "code": code,
        "span": span,
        "spans": SPANS,
        "newer": visit.here(before=None) if before != AFTER_ALL else "",
        "older": visit.here(before=more) if more else "",
    }
    return visit.page("sources/discarded.html", frame(source, "/discarded") | values)


def _counts(facts: Facts, source: int, span: str) -> list[dict[str, Any]]:
    """By code, most first."""
    chosen = span_named(span)
    since = chosen.since(milliseconds())
    total: Counter[str] = Counter()
    for (number, name), periods in facts.log.periods(since, chosen.length).items():
        if number == source and name.startswith(DISCARDED):
            total[name.removeprefix(DISCARDED)] += sum(periods.values())
    return [{"code": code, "events": n} for code, n in total.most_common()]


def _row(one: Discard) -> dict[str, Any]:
    return {"at": one.at, "code": one.code, "reason": one.reason, "excerpt": excerpt_told(one.excerpt)}


PAGES = [shows("/sources/{name}/discarded", page)]
