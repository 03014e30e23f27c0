"""
A filter's condition, compiled. Pure: the same event gets the same answer, on every machine and at every try.

The engine is handed the fields that the condition names and nothing else (docs/decisions/0011-filters.md).
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from milonga.filters.paths import Steps, at
from milonga.filters.scan import NotACondition, Scanned, scan
from milonga.spec.event import Event, EventType
from milonga.spec.read import call_of, object_at
from milonga.spec.text import well_formed

if TYPE_CHECKING:
    from cel import Context, Program

DEEPEST: Final = 64  #: levels of a value that are handed over
PANIC: Final = "PanicException"  #: how a panic of Rust's comes, no Exception
MOST_ITEMS: Final = 1_000  #: of a list or an object that exists() and all() may look through
MOST_WORK: Final = 2_000_000  #: items of such a list, times the weight of what is looked at again for each
NODE: Final = 20  #: weight of any value in an object or a list; a text weighs its characters besides

_PLACE: Final = re.compile(r"<input>:(\d+):(\d+): *(.*)")
_TYPES: Final[tuple[EventType, ...]] = ("track", "identify", "page", "group", "screen", "alias")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


class Undecided(Exception):
    """The condition has no answer for this event. The message says why, in words."""


class Condition:
    """
    Make one with `compiled`. Keeps nothing of an event, so that several threads may ask it.

    text  as its owner wrote it
    """

    def __init__(self, text: str, program: "Program", context: "Callable[[], Context]", scanned: Scanned) -> None:
        self.text, self._program, self._context = text, program, context
        self.scanned = scanned
        self._roots = tuple(_tree(scanned).items())

    def holds(self, event: Event) -> bool:
        """Undecided if it has no answer."""
        given = {root: node.given(_root(event, root)) for root, node in self._roots}
        if self.scanned.bound and _is_long(given):
            raise Undecided(f"a list or an object has more than {MOST_ITEMS:,} items")
        if self.scanned.again and _is_much(given, self.scanned.again):
            raise Undecided("exists() or all() would look at too much, too often")
        try:
            context = self._context()
            for root, value in given.items():
                context.add_variable(root, value)
            answer = self._program.execute(context)
        except Exception as error:
            raise Undecided(_in_words(error)) from None
        except BaseException as error:
            if type(error).__name__ != PANIC:
                raise
            raise Undecided("the engine failed: please report this condition") from None
        if not isinstance(answer, bool):
            raise Undecided("its result is neither true nor false")
        return answer


def compiled(text: str) -> Condition:
    """NotACondition says what is wrong, and where."""
    from cel import Context, compile  # takes 0.4 s and 20 MB: only they pay who have filters

    scanned = scan(text)
    try:
        program = compile(text)
    except ValueError as error:
        raise NotACondition(_where(str(error))) from None
    except BaseException as error:
        if type(error).__name__ != PANIC:
            raise
        raise NotACondition("It cannot be read as CEL") from None
    return Condition(text, program, partial(Context, functions=_FUNCTIONS), scanned)


def tried(condition: Condition) -> None:
    """NotACondition if it cannot be decided for a call that has none of the fields it names."""
    for type_ in _TYPES:
        try:
            condition.holds(_empty(type_))
        except Undecided as error:
            named = sorted(".".join(steps) for steps in condition.scanned.fields if steps[0] != "type")
            missing = f" without {' and '.join(named)}" if named else ""
            hint = next((one for one in named if "." in one), "properties.plan")
            raise NotACondition(
                f"It cannot be decided for {'an' if type_[0] in 'aeiou' else 'a'} {type_} call{missing}: {error}. "
                f"Say what holds then, such as: has({hint}) && ..."
            ) from None


# What the engine is given


class _Node(Struct):
    """
    A field, or a part of the way to one.

    whole   the condition uses its value
    asked   the condition asks whether it is there
    below   fields within it that the condition names
    """

    whole: bool = False
    asked: bool = False
    below: dict[str, "_Node"] = {}

    def given(self, value: Any) -> Any:
        """The value, or of an object what is named of it. What is absent is null, but where has() asks for it."""
        if not self.below:
            return _plain(value, DEEPEST) if self.whole or self.asked else None
        if not isinstance(value, Mapping):
            if self.whole:
                return _plain(value, DEEPEST)  # null, too: then what is asked of within it has no answer
            value = {}
        found = _plain(value, DEEPEST) if self.whole else {}
        for name, node in self.below.items():
            if name in value:
                found[well_formed(name)] = node.given(value[name])
            elif not node.asked:
                found[well_formed(name)] = node.given(None)
        return found


def _tree(scanned: Scanned) -> dict[str, _Node]:
    top = _Node()
    for steps in scanned.fields | scanned.asked:
        node = top
        for step in steps:
            node = node.below.setdefault(step, _Node())
        node.whole = node.whole or steps in scanned.fields
        node.asked = node.asked or steps in scanned.asked
    return top.below


def _root(event: Event, root: str) -> Any:
    match root:
        case "type":
            return event.type
        case "event" | "name":
            return getattr(event.call, "name", None) if (root == "event") == (event.type == "track") else None
        case "category":
            return getattr(event.call, "category", None)
        case "userId":
            return event.user_id
        case "anonymousId":
            return event.anonymous_id
        case "messageId":
            return event.message_id
        case "accountId":
            return None if event.account is None else event.account.id
        case "groupId":
            return getattr(event.call, "group_id", None)
        case "previousId":
            return getattr(event.call, "previous_id", None)
        case "context":
            return event.context
        case "integrations":
            return event.integrations
        case _:
            return object_at(event.received, root)


def _plain(value: Any, depth: int) -> Any:
    """As the engine can take it: whole numbers of 64 bits, text that UTF-8 can carry."""
    match value:
        case str():
            return well_formed(value)
        case bool() | float() | None:
            return value
        case int():
            return value if _SMALLEST <= value <= _LARGEST else _float(value)
        case Mapping() if depth:
            return {well_formed(str(name)): _plain(item, depth - 1) for name, item in value.items()}
        case list() if depth:
            return [_plain(item, depth - 1) for item in value]
        case _:
            return None


def _is_long(value: Any) -> bool:
    """Whether a list or an object in it has more items than exists() and all() may look through."""
    if not isinstance(value, list | dict):
        return False
    return len(value) > MOST_ITEMS or any(map(_is_long, value.values() if isinstance(value, dict) else value))


def _is_much(given: Mapping[str, Any], again: frozenset[Steps]) -> bool:
    """Whether looking at these fields once for each item of the longest list may take more than is quick."""
    return _longest(given) * sum(_weight(at(given, steps)) for steps in again) > MOST_WORK


def _longest(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max([len(value) if isinstance(value, list) else 0, *map(_longest, inner)])


def _weight(value: Any) -> int:
    match value:
        case str():
            return NODE + len(value)
        case dict():
            return NODE + sum(len(name) + _weight(item) for name, item in value.items())
        case list():
            return NODE + sum(map(_weight, value))
        case _:
            return NODE


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _empty(type_: EventType) -> Event:
    return Event(
        type=type_,
        call=call_of(type_, {}),
        message_id=None,
        user_id=None,
        anonymous_id=None,
        account=None,
        context={},
        integrations={},
        timestamp=None,
        received_at=None,
        received={"type": type_},
    )


# Functions that say something of whatever they are asked


def _starts_with(text: Any = None, start: Any = None) -> bool:
    return isinstance(text, str) and isinstance(start, str) and text.startswith(start)


def _ends_with(text: Any = None, end: Any = None) -> bool:
    return isinstance(text, str) and isinstance(end, str) and text.endswith(end)


def _contains(text: Any = None, part: Any = None) -> bool:
    return isinstance(text, str) and isinstance(part, str) and part in text


def _size(value: Any = None) -> int:
    return len(value) if isinstance(value, str | list | dict | bytes) else 0


def _lower_ascii(text: Any = None) -> str | None:
    if not isinstance(text, str):
        return None
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")  # of bytes: A to Z alone


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "startsWith": _starts_with,
    "endsWith": _ends_with,
    "contains": _contains,
    "size": _size,
    "lowerAscii": _lower_ascii,
}


# Words


def _where(message: str) -> str:
    """The first complaint of the engine, with its place."""
    found = _PLACE.search(message)
    if found is None:
        return "It cannot be read as CEL"
    line, column, what = found.groups()
    at = f"at character {int(column)}" if line == "1" else f"in line {line}, at character {int(column)}"
    return f"It cannot be read as CEL, {at}: {what[:200]}"


def _in_words(error: Exception) -> str:
    match error:
        case TypeError():
            return "values of different kinds cannot be compared or combined, and ! needs true or false"
        case ZeroDivisionError():
            return "it divides by 0"
        case OverflowError():
            return "a number is too large"
        case KeyError():
            return f"{error.args[0]} is absent" if error.args else "a field is absent"
        case IndexError():
            return "a list is too short"
        case RuntimeError() if "'int'" in str(error) or "'double'" in str(error):
            return "a value is no number"
        case _:
            return "it cannot be worked out"
