"""
Dotted paths to the fields of an event, such as `properties.plan` or `context.traits.email`, and what can be done there.

A dot within a name is written `\\.`. Where a list is on the way, the path goes on in each of its items. Names are
exact. Nothing given is changed: what differs is a copy.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, TypeAlias

from milonga.spec.values import id_text

Steps: TypeAlias = tuple[str, ...]

MOST_STEPS: Final = 10  #: of a field's path, the first included
LONGEST_STEP: Final = 100  #: characters
MASK: Final = "***"

OURS: Final = frozenset(
    {
        *("type", "event", "name", "category", "userId", "anonymousId", "groupId", "previousId", "messageId"),
        *("integrations", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "milonga"),
    }
)
"""What tells which event it is, whose and when: no filter changes that."""

_STEP: Final = re.compile(r"(?:\\[.\\]|[^.\\])*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@lru_cache(maxsize=1_000)
def read_path(text: str) -> Steps:
    """ValueError says what is wrong with it."""
    steps: list[str] = []
    at = 0
    while True:
        found = _STEP.match(text, at)
        raw = found[0] if found else ""
        steps.append(re.sub(r"\\(.)", r"\1", raw))
        at += len(raw)
        if at == len(text):
            break
        if text[at] != ".":
            raise ValueError(f"{text[:200]!r}: a \\ stands before a dot or another \\ only")
        at += 1
    if not all(steps) or len(steps) > MOST_STEPS or any(len(step) > LONGEST_STEP for step in steps):
        raise ValueError(
            f"{text[:200]!r} is no path: names separated by dots, at most {MOST_STEPS} of at most {LONGEST_STEP} "
            "characters, such as properties.plan"
        )
    if _CONTROL.search(text):
        raise ValueError(f"{text[:200]!r} holds a control character")
    if steps[0] in OURS:
        raise ValueError(
            f"{text[:200]!r}: {steps[0]} tells which event it is, whose or when, and stays as it is. Fields begin with "
            "properties, traits or context"
        )
    return tuple(steps)


def without(value: Any, steps: Steps) -> Any:
    """The value without what is at the path."""
    if isinstance(value, list):
        return [without(item, steps) for item in value]
    if not isinstance(value, Mapping) or steps[0] not in value:
        return value
    if len(steps) == 1:
        return {name: item for name, item in value.items() if name != steps[0]}
    return {**value, steps[0]: without(value[steps[0]], steps[1:])}


def changed(value: Any, steps: Steps, change: Callable[[Any], Any]) -> Any:
    """The value with what is at the path changed."""
    if isinstance(value, list):
        return [changed(item, steps, change) for item in value]
    if not isinstance(value, Mapping) or steps[0] not in value:
        return value
    inner = value[steps[0]]
    return {**value, steps[0]: change(inner) if len(steps) == 1 else changed(inner, steps[1:], change)}


Tree: TypeAlias = dict[str, "Tree"]
"""Paths by their steps; an empty one where a path ends, whatever is below it."""


def tree_of(paths: Sequence[Steps]) -> Tree:
    """A path that begins with another one says nothing new."""
    tree: Tree = {}
    for steps in sorted(paths, key=len):
        below = tree
        for step in steps:
            if step in below and not below[step]:
                break  # all of it is kept already
            below = below.setdefault(step, {})
    return tree


def only(value: Any, tree: Tree) -> Any:
    """The value with nothing but what the tree names. What is no object has nothing that a path could name."""
    if not tree:
        return value
    if isinstance(value, list):
        return [only(item, tree) for item in value if isinstance(item, Mapping | list)]
    if not isinstance(value, Mapping):
        return {}
    return {
        name: only(value[name], below)
        for name, below in tree.items()
        if name in value and (not below or isinstance(value[name], Mapping | list))
    }


def at(value: Any, steps: Steps) -> Any:
    """What is at the path, through objects alone; None if nothing is."""
    for step in steps:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def masked(value: Any) -> Any:
    return None if value is None else MASK


def hashed(value: Any) -> Any:
    """SHA-256 of a text as it is, of a number written out, of anything else as JSON with sorted keys."""
    if value is None:
        return None
    text = id_text(value)
    if text is None:
        try:
            text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        except (ValueError, RecursionError):  # a number of more digits than Python writes, too many levels
            return MASK
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
