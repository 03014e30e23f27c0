"""
The filters of a destination, compiled, in their order: each sees the event as those before it left it. Pure.

A condition that cannot be decided for an event is taken for what keeps more back: as not met by `keep`, as met by all
others. See docs/filters.md, "Where a condition cannot be decided".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from milonga.filters.condition import Condition, Undecided, compiled, tried
from milonga.filters.paths import Steps, at, changed, hashed, masked, only, read_path, tree_of, without
from milonga.filters.rule import MOST_FILTERS, Filter
from milonga.filters.scan import NotACondition
from milonga.spec.event import Event, JsonObject
from milonga.spec.read import call_of
from milonga.spec.values import id_text

KEPT_BACK: Final = "filter:"  #: and the filter's name: the code of what it drops
_MARK: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")
UNSURE: Final = "filter_failed:"  #: the same of what it drops because its condition cannot be decided


class Dropped(Struct, frozen=True):
    """
    Not to be sent.

    code  short, counted and searched for
    fix   what the reader can do about it, one or two sentences
    """

    code: str
    fix: str


class Seen(Struct, frozen=True):
    """
    What one filter made of an event.

    met     whether its condition holds; None if that cannot be decided
    why     why not, in words; ""
    result  the event as it goes on, or Dropped
    """

    name: str
    met: bool | None
    why: str
    result: Event | Dropped


class _Broken(Struct, frozen=True):
    """A condition that was stored and is none any more."""

    why: str

    def holds(self, _event: Event) -> bool:
        raise Undecided(self.why)


class Chain:
    """`filters` that were looked at when they were set; what cannot be compiled any more can never be decided."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        self.filters = tuple(filters)
        self._steps = [(one, _condition(one), _deed(one)) for one in filters]

    def run(self, event: Event, unsure: Callable[[str, str], None] | None = None) -> Event | Dropped:
        """unsure  is told the name of a filter that cannot be decided, and why. Never raises."""
        for one, condition, deed in self._steps:
            seen = _see(one, condition, deed, event)
            if seen.met is None and unsure is not None:
                unsure(seen.name, seen.why)
            if isinstance(seen.result, Dropped):
                return seen.result
            event = seen.result
        return event

    def trace(self, event: Event) -> list[Seen]:
        """What each makes of it, up to the one that drops it."""
        told: list[Seen] = []
        for one, condition, deed in self._steps:
            told.append(_see(one, condition, deed, event))
            result = told[-1].result
            if isinstance(result, Dropped):
                break
            event = result
        return told


def check(filters: Sequence[Filter]) -> None:
    """ValueError names the filter and the place."""
    if len(filters) > MOST_FILTERS:
        raise ValueError(f"There may be {MOST_FILTERS} filters at most.")
    names: set[str] = set()
    for one in filters:
        if one.name in names:
            raise ValueError(f"There is a filter {one.name} already.")
        names.add(one.name)
        if one.when.strip():
            try:
                tried(compiled(one.when))
            except NotACondition as error:
                raise ValueError(f"The condition of {one.name}: {error}") from None


def _condition(one: Filter) -> Condition | _Broken | None:
    if not one.when.strip():
        return None
    try:
        return compiled(one.when)
    except NotACondition as error:
        return _Broken(str(error))


def _see(one: Filter, condition: Condition | _Broken | None, deed: "_Deed", event: Event) -> Seen:
    met: bool | None = True
    why = ""
    try:
        met = condition is None or condition.holds(event)
    except Undecided as error:
        met, why = None, str(error)
    if one.do == "keep":
        result: Event | Dropped = event if met else _dropped(one, sure=met is not None)
    elif met is False:
        result = event
    else:
        done = deed(event)
        result = _dropped(one, sure=met is not None) if done is None else done
    return Seen(one.name, met, why, result)


_Deed = Callable[[Event], Event | None]
"""What becomes of an event that meets the condition; None: it is dropped."""


def _deed(one: Filter) -> _Deed:
    paths = [read_path(field) for field in one.fields]
    match one.do:
        case "drop":
            return lambda _event: None
        case "keep":
            return lambda event: event
        case "sample":
            steps = read_path(one.by) if one.by else ()
            return partial(_sampled, steps, one.share or 0.0)
        case "dropFields":
            return partial(_altered, lambda fields: _each(fields, paths, without))
        case "keepFields":
            tree = tree_of(paths)
            return partial(
                _altered,
                lambda fields: {
                    name: only(value, tree[name]) if name in tree else value for name, value in fields.items()
                },
            )
        case "mask":
            return partial(_altered, lambda fields: _each(fields, paths, partial(changed, change=masked)))
        case "hash":
            return partial(_altered, lambda fields: _each(fields, paths, partial(changed, change=hashed)))


def _each(fields: Any, paths: Sequence[Steps], change: Callable[[Any, Steps], Any]) -> Any:
    for steps in paths:
        fields = change(fields, steps)
    return fields


def _sampled(steps: Steps, share: float, event: Event) -> Event | None:
    """
    The same for the same value at every try, in a replay, and on every machine; also for another destination, so that
    two samples of the same share are of the same users.
    """
    value = id_text(at(fields_of(event), steps)) if steps else None
    chosen = value or event.user_id or event.anonymous_id or event.message_id or ""
    number = int.from_bytes(sha256(chosen.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return event if number < share * 2**64 else None


def fields_of(event: Event) -> JsonObject:
    """As received, with the context that it has in the end: its batch's, its sender's address."""
    return {**event.received, "context": event.context} if event.context else event.received


def _altered(change: Callable[[Any], Any], event: Event) -> Event:
    before = fields_of(event)
    after = change(before)
    if after == before:
        return event
    after = _with_marks(after, event.context)
    context = after.get("context")
    return replace(
        event,
        received=after,
        context=context if isinstance(context, Mapping) else {},
        call=call_of(event.type, after),
    )


def _with_marks(fields: Any, before: JsonObject) -> Any:
    """
    With the marks of who has forwarded it (docs/segment.md, "Circles"), whatever became of its context: without them
    two that forward to each other would not know their own events. What is no mark may be anything, and is not kept.
    """
    ours = before.get("milonga")
    hops = ours.get("hops") if isinstance(ours, Mapping) else None
    if not isinstance(hops, list):
        return fields
    marks = [one for one in hops if isinstance(one, str) and _MARK.fullmatch(one)]
    context = fields.get("context")
    context = context if isinstance(context, Mapping) else {}
    kept = context.get("milonga")
    if not marks or (isinstance(kept, Mapping) and kept.get("hops") == hops):
        return fields
    return {**fields, "context": {**context, "milonga": {**(kept if isinstance(kept, Mapping) else {}), "hops": marks}}}


def _dropped(one: Filter, *, sure: bool) -> Dropped:
    if sure:
        return Dropped(
            f"{KEPT_BACK}{one.name}",
            f"Nothing is to be done if that is meant: `milonga destinations filters NAME` lists its filters, and "
            f"`milonga destinations filters NAME remove {one.name}` lets such events through from then on.",
        )
    return Dropped(
        f"{UNSURE}{one.name}",
        "Mend its condition so that it can be decided for such an event: "
        "`milonga destinations filters NAME test` with the message id says what is in the way.",
    )
