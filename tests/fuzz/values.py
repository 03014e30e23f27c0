"""Changes to JSON values: of types, names, sizes and depths, and what is no JSON at all in the place of a value."""

import json
import random
import re
from collections.abc import Callable
from typing import Any, Final

NAMES: Final = (
    *("type", "userId", "anonymousId", "groupId", "previousId", "event", "name", "category", "messageId", "timestamp"),
    *("sentAt", "writeKey", "context", "properties", "traits", "integrations", "batch", "group_id", "Group Id", "ip"),
    *("direct", "page", "Totango", "All", "product", "_metadata", "bundled", "consent", "device", "version", "", "\0"),
    *("__proto__", "constructor", "sdr_o", "sdr_u.x", "a.b", "userid", "USERID", "\ud800", "é", "x" * 300),
)
WORDS: Final = (
    *("", " ", "\0", "\r\nX-Injected: 1", "%0d%0aX-Injected:%201", "</script><script>alert(7)</script>", "\u2028"),
    *("\ud800", "\udc00\ud800", "\U0001f600" * 60, "\u202egnp", "e\u0301" * 200, "'; DROP TABLE log; --", "{{7*7}}"),
    *("${jndi:ldap://x}", "../../etc/passwd", "null", "true", "NaN", "1e999", "-0", "__heartbeat", "x" * 101),
    *("x" * 513, "y" * 5000, "z" * 33_000, "0000-00-00", "9999-12-31T23:59:59.999999999+14:00", "2026-02-30", "-1"),
    *("0001-01-01T00:00:00+23:59", "2026-11-22T00:54:50", "²²²²", "١٢٣", "track", "group", "acme", "\ufeff", "\x7f"),
)
NUMBERS: Final = (
    *(0, -0.0, 1, -1, 0.1, 1e308, 5e-324, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, 1e15, 1.5),
    *(True, False),
)
NO_JSON: Final = (
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "-NaN",
        "1e400",
        "-1e400",
        "1e-400",
        "1E+2",
        "9" * 5000,
        "0x10",
        "01",
        "+1",
        ".5",
    ),
    *("5.", "--1", "-", "nul", "True", "None", "undefined", "'single'", "{a:1}", "[1,]", '{"a":1,}', "[,]", "[1 2]"),
    *(
        '"\\d"',
        '"\\u12"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"a\nb"',
        '"a\x01b"',
        '"a\x00b"',
        '"open',
        "/*c*/1",
        "//c\n1",
    ),
    *(
        '{"a":1,"a":2}',
        '{"userId":"a","userId":null}',
        "",
        "\ufeff1",
        '{"a"}',
        '{"a":}',
        "{:1}",
        "{1:1}",
        "]",
        "}",
        ":",
    ),
    *("\ud800", '"\ud800"', "\0", "[" * 70 + "]" * 70, '{"a":' * 70 + "1" + "}" * 70, "[" * 2000, '{"a":' * 1500),
    *('[{"a":' * 800 + "1" + "}]" * 800, "[" * 5000 + "]" * 5000, '"' + "\\" * 999, '"' + '\\"' * 999),
)
"""Put into the text as they are."""

_HOLE: Final = re.compile(r'"@raw:(\d+)@"')


def text_of(value: Any, dice: random.Random) -> str:
    """JSON in one of its many spellings, with what is no JSON in its place."""
    separators = dice.choice(((",", ":"), (", ", ": "), (" ,\n", "\t:\r\n ")))
    text = json.dumps(value, ensure_ascii=dice.random() < 0.5, separators=separators)
    return _HOLE.sub(lambda hole: NO_JSON[int(hole[1])], text)


def no_json(dice: random.Random) -> str:
    return f"@raw:{dice.randrange(len(NO_JSON))}@"


def odd(dice: random.Random) -> Any:
    """Any value; now and then none."""
    match dice.randrange(8):
        case 0 | 1:
            return dice.choice(WORDS)
        case 2:
            return dice.choice(NUMBERS)
        case 3 | 4:
            return no_json(dice)
        case 5:
            return dice.choice((None, [], {}, [None], [[]], {"": {}}))
        case 6:
            return {dice.choice(NAMES): dice.choice(WORDS) for _ in range(dice.choice((1, 3, 40)))}
        case _:
            return [odd(dice) for _ in range(dice.choice((1, 2, 5)))]


Place = tuple[Any, Any]
"""An object or list, and a key or index of it."""


def place_in(value: Any, dice: random.Random) -> Place | None:
    """Any place within it, high ones rather than deep ones; None if it has none."""
    found: Place | None = None
    while isinstance(value, dict | list) and value and (found is None or dice.random() < 0.65):
        key = dice.choice(list(value)) if isinstance(value, dict) else dice.randrange(len(value))
        found = (value, key)
        value = value[key]
    return found


def replaced(value: Any, dice: random.Random) -> Any:
    place = place_in(value, dice)
    if place is None:
        return odd(dice)
    place[0][place[1]] = odd(dice)
    return value


def another_type(value: Any, dice: random.Random) -> Any:
    place = place_in(value, dice)
    if place is None:
        return value
    inside, key = place
    old = inside[key]
    inside[key] = dice.choice((str(old), [old], {"a": old}, None, 7, json.dumps(old), {"": [old]}, [[old], old]))
    return value


def left_out(value: Any, dice: random.Random) -> Any:
    place = place_in(value, dice)
    if place is not None:
        del place[0][place[1]]
    return value


def renamed(value: Any, dice: random.Random) -> Any:
    place = place_in(value, dice)
    if place is not None and isinstance(place[0], dict):
        inside, key = place
        inside[dice.choice((*NAMES, key.upper(), key + "\0", " " + key))] = inside.pop(key)
    return value


def added(value: Any, dice: random.Random) -> Any:
    place = place_in(value, dice)
    inside = value if place is None else place[0]
    if isinstance(inside, dict):
        inside[dice.choice(NAMES)] = odd(dice)
    elif isinstance(inside, list):
        inside.insert(dice.randrange(len(inside) + 1), odd(dice))
    return value


def swapped(value: Any, dice: random.Random) -> Any:
    one, other = place_in(value, dice), place_in(value, dice)
    if one is not None and other is not None:
        a, b = one[0][one[1]], json.loads(json.dumps(other[0][other[1]]))
        other[0][other[1]] = json.loads(json.dumps(a))
        one[0][one[1]] = b
    return value


def within_itself(value: Any, dice: random.Random) -> Any:
    place = place_in(value, dice)
    if place is not None:
        place[0][place[1]] = json.loads(json.dumps(value))
    return value


def many_events(value: Any, dice: random.Random) -> Any:
    """Often around the limit on events, of the smallest there are."""
    if isinstance(value, dict) and isinstance(value.get("batch"), list) and value["batch"]:
        most = dice.choice((2, 20, 200))
        value["batch"] = (value["batch"] * most)[:most]
        if dice.random() < 0.1:
            value["batch"] = [dice.choice(({}, 1, None, {"type": "track", "event": "e", "userId": "u"}))] * 2600
    return value


def many_members(value: Any, dice: random.Random) -> Any:
    place = place_in(value, dice)
    if place is not None:
        count = dice.choice((100, 1000, 3000))
        place[0][place[1]] = {f"k{n}": n for n in range(count)} if dice.random() < 0.5 else list(range(count))
    return value


def wrapped(value: Any, dice: random.Random) -> Any:
    """All of it where something else is due."""
    return dice.choice(
        ([value], {"batch": value}, {"batch": [value]}, {"batch": [value, value]}, [[value]], [value] * 3)
    )


CHANGES: Final[tuple[Callable[[Any, random.Random], Any], ...]] = (
    *(replaced, replaced, replaced, another_type, another_type, left_out, renamed, added, swapped, within_itself),
    *(many_events, many_members, wrapped),
)
"""Each changes the value it is given, or returns another."""
