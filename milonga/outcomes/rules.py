"""
The rules between an event and a destination, in the order in which they are asked, and what each made of the event:
what the user agreed to, what the sender says, the destination's filters, and what its kind translates. Pure.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct, to_builtins

from milonga.destinations.contract import Destination, Requests, Skip
from milonga.filters.chain import Chain, Dropped, Seen
from milonga.filters.gate import Gate
from milonga.filters.rule import Filter
from milonga.filters.words import changed_fields, deed
from milonga.outcomes.words import why_skipped
from milonga.spec.event import Event

Rule: TypeAlias = Literal["consent", "integrations", "filter", "translate"]
Result: TypeAlias = Literal["passed", "changed", "kept_back", "failed", "not_asked"]

MOST_FIELDS: Final = 20  #: that are named
FAILED: Final = "The translation failed. Please report this with the event and the log of the server."


class Step(Struct, frozen=True, kw_only=True):
    """
    What one rule made of an event.

    name    of the filter; ""
    result  passed; changed: it goes on with other fields; kept_back; failed: a fault of ours; not_asked: it did not
            come so far
    says    in a sentence
    when    condition of the filter; "": it has none
    does    what the filter does, in words; ""
    """

    rule: Rule
    result: Result
    says: str
    name: str = ""
    when: str = ""
    does: str = ""


class Applied(Struct, frozen=True):
    """
    steps   every rule, in order
    result  as milonga.destinations.deciding has it; None if the translation failed
    """

    steps: list[Step]
    result: Requests | Skip | None

    def as_json(self) -> list[dict[str, Any]]:
        return [to_builtins(step) for step in self.steps]


def apply(kind: Destination, event: Event, settings: Any, gate: Gate) -> Applied:
    """What `decide` does, step by step. Never raises."""
    steps: list[Step] = []
    dropped = gate.lacks_consent(event)
    steps.append(_consent(event, gate, dropped))
    if dropped is None:
        dropped = gate.not_meant(event, kind.label, heeds_all=kind.heeds_all(settings))
        steps.append(_meant(event, kind.label, dropped))
    else:
        steps.append(_not_asked("integrations"))
    if gate.chain is not None:
        seen = gate.chain.trace(event) if dropped is None else []
        steps += _filters(gate.chain, seen, event)
        last = seen[-1].result if seen else event
        if isinstance(last, Dropped):
            dropped = last
        else:
            event = last
    if dropped is not None:
        return Applied([*steps, _not_asked("translate")], Skip(dropped.code, dropped.fix))
    try:
        result = kind.translate(event, settings)
    except Exception:
        return Applied([*steps, Step(rule="translate", result="failed", says=FAILED)], None)
    return Applied([*steps, _translated(kind, result)], result)


def _not_asked(rule: Rule) -> Step:
    return Step(rule=rule, result="not_asked", says="Not asked any more.")


def _consent(event: Event, gate: Gate, dropped: Dropped | None) -> Step:
    if dropped is not None:
        return Step(rule="consent", result="kept_back", says=why_skipped(dropped.code))
    says = "The destination asks for no consent."
    if gate.categories:
        told = event.context.get("consent")
        wanted = ", ".join(gate.categories)
        says = f"The user agreed to {wanted}." if told else "The event says nothing about consent: it goes everywhere."
    return Step(rule="consent", result="passed", says=says)


def _meant(event: Event, label: str, dropped: Dropped | None) -> Step:
    if dropped is not None:
        return Step(rule="integrations", result="kept_back", says=why_skipped(dropped.code))
    says = f"The event's `integrations` leaves {label} on."
    if not event.integrations:
        says = "The event does not say for whom it is: it is for every destination."
    return Step(rule="integrations", result="passed", says=says)


def _filters(chain: Chain, seen: list[Seen], event: Event) -> Iterator[Step]:
    """All of them, also those that were not asked any more."""
    for place, one in enumerate(chain.filters):
        if place >= len(seen):
            yield Step(
                rule="filter",
                result="not_asked",
                says="Not asked any more.",
                name=one.name,
                when=one.when,
                does=deed(one),
            )
            continue
        found = seen[place]
        result, says = _filtered(one, found, event)
        yield Step(rule="filter", result=result, says=says, name=one.name, when=one.when, does=deed(one))
        if isinstance(found.result, Event):
            event = found.result


def _filtered(one: Filter, seen: Seen, before: Event) -> tuple[Result, str]:
    """What it did, and why."""
    holds = "Its condition holds" if one.when.strip() else "It is for every event"
    if seen.met is None:
        holds = f"Its condition cannot be decided for this event ({seen.why.rstrip('.')})"
    elif not seen.met:
        holds = "Its condition does not hold"
    if isinstance(seen.result, Dropped):
        return "kept_back", f"{holds}: {_not_sent(one, seen)}"
    fields = changed_fields(before, seen.result)
    if fields:
        more = f" and {len(fields) - MOST_FIELDS:,} more" if len(fields) > MOST_FIELDS else ""
        return "changed", f"{holds}: changed {', '.join(fields[:MOST_FIELDS])}{more}."
    if one.do == "sample" and seen.met:
        return "passed", f"{holds}: of such events {_share(one)} are sent, and this is one of them."
    if seen.met and one.fields:
        return "passed", f"{holds}: the event has none of the fields, so nothing is changed."
    return "passed", f"{holds}: the event goes on as it is."


def _not_sent(one: Filter, seen: Seen) -> str:
    match one.do:
        case "keep":
            return "only events that meet it are sent."
        case "sample" if seen.met:
            return f"of such events {_share(one)} are sent, and this is not one of them."
        case _:
            return "the event is not sent."


def _share(one: Filter) -> str:
    return f"{100 * (one.share or 0):g} %, chosen by {one.by or 'user'},"


def _translated(kind: Destination, result: Requests | Skip) -> Step:
    if isinstance(result, Skip):
        return Step(rule="translate", result="kept_back", says=why_skipped(result.code))
    many = "1 request" if len(result) == 1 else f"{len(result)} requests"
    return Step(rule="translate", result="passed", says=f"By the rules of {kind.label} it becomes {many}.")
