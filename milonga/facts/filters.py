"""What filters would make of the newest events of a destination's source: counted, with examples. Sends nothing."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from milonga.eventlog.api import Stored
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts.facts import Facts
from milonga.filters.chain import Dropped
from milonga.filters.gate import Gate
from milonga.filters.rule import Filter
from milonga.outcomes.explain import name_of
from milonga.outcomes.words import instant
from milonga.spec.event import Event
from milonga.spec.read import read_stamped
from milonga.workspace.model import DestinationConfig
from milonga.workspace.rows import kind_named

EVENTS: Final = 500  #: tried at most
LOOKED_AT: Final = 5_000  #: newest events among which those of the source are looked for
PAGE: Final = 250
SECONDS: Final = 2.0  #: then what was tried until now is told: a costly condition must not hold up other pages
EXAMPLES: Final = 3  #: of each filter, and of what goes on


class _Tally(Struct):
    """met, unsure, dropped, changed  events; why  of the last one that could not be decided"""

    met: int = 0
    unsure: int = 0
    dropped: int = 0
    changed: int = 0
    why: str = ""


def on_recent(
    facts: Facts, config: DestinationConfig, filters: tuple[Filter, ...], categories: tuple[str, ...]
) -> dict[str, Any]:
    """
    Of the newest events of its source, as if these were its filters (checked before: milonga.filters.chain.check) and
    consent categories. The shape is in docs/console.md, "Filters".
    """
    kind = kind_named(facts.workspace.kinds, config.kind, config.name)
    gate = Gate(filters, categories)  # not gate_of: what is being typed need not be remembered
    heeds_all = kind.heeds_all(config.settings)
    tallies = {one.name: _Tally() for one in filters}
    ends: Counter[str] = Counter()
    examples: dict[str, list[dict[str, Any]]] = {}
    oldest, until = None, time.monotonic() + SECONDS
    for stored in _newest(facts, config.source):
        event, oldest = read_stamped(stored.event), stored.event.stamp.received_at
        result = gate.refused(event, kind.label, heeds_all=heeds_all) or _through(gate, event, tallies)
        code = result.code if isinstance(result, Dropped) else ""
        ends[code] += 1
        if len(shown := examples.setdefault(code, [])) < EXAMPLES:
            shown.append(_example(stored, event))
        if time.monotonic() > until:
            break
    return {
        "events": ends.total(),
        "since": None if oldest is None else instant(oldest),
        "kept": ends[""],
        "dropped": ends.total() - ends[""],
        "codes": [{"code": code, "events": n} for code, n in ends.most_common() if code],
        "filters": [
            {
                "name": name,
                "met": one.met,
                "unsure": one.unsure,
                "why": one.why,
                "dropped": one.dropped,
                "changed": one.changed,
            }
            for name, one in tallies.items()
        ],
        "examples": examples,
    }


def _newest(facts: Facts, source: int) -> Iterator[Stored]:
    before, looked, found = AFTER_ALL, 0, 0
    while looked < LOOKED_AT:
        page = facts.log.newest(PAGE, before)
        for stored in page:
            if stored.event.stamp.source == source:
                yield stored
                found += 1
                if found == EVENTS:
                    return
        if len(page) < PAGE:
            return
        looked, before = looked + len(page), page[-1].position.offset


def _through(gate: Gate, event: Event, tallies: dict[str, _Tally]) -> Event | Dropped:
    result: Event | Dropped = event
    for seen in gate.chain.trace(event) if gate.chain is not None else ():
        tally = tallies[seen.name]
        tally.met += seen.met is True
        if seen.met is None:
            tally.unsure, tally.why = tally.unsure + 1, seen.why
        tally.dropped += isinstance(seen.result, Dropped)
        tally.changed += isinstance(seen.result, Event) and seen.result is not result
        result = seen.result
    return result


def _example(stored: Stored, event: Event) -> dict[str, Any]:
    return {
        "position": {"partition": stored.position.partition, "offset": stored.position.offset},
        "receivedAt": instant(stored.event.stamp.received_at),
        "type": event.type,
        "name": name_of(event),
        "messageId": event.message_id,
    }
