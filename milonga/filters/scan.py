"""
What a condition speaks of, found in its text: which fields of an event, and nothing that costs more than it may. The
language is CEL (docs/filters.md); the engine parses it again, so what is let through wrongly here is refused there.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from milonga.filters.paths import MOST_STEPS, Steps

ROOTS: Final = (
    *("type", "event", "name", "category", "userId", "anonymousId", "groupId", "previousId", "messageId", "accountId"),
    *("properties", "traits", "context", "integrations"),
)
"""What a condition may begin with."""

METHODS: Final = frozenset({"startsWith", "endsWith", "contains", "lowerAscii", "size", "exists", "all"})
FUNCTIONS: Final = frozenset({"has", "size", "int", "double"})
MACROS: Final = frozenset({"exists", "all"})
DEEPEST: Final = 20  #: brackets within one another
MOST_MACROS: Final = 5
MOST_SUMS: Final = 10  #: signs `+`: each copies the texts or lists on its sides

_WORDS: Final = frozenset({"true", "false", "null", "in"})
_INSTEAD: Final = {
    "matches": "Regular expressions are not offered: startsWith, endsWith, contains and lowerAscii are",
    "map": "exists and all look through a list",
    "filter": "exists and all look through a list",
    "exists_one": "exists and all look through a list",
    "string": "Compare with a text as it is",
    "lower": "It is called lowerAscii",
    "toLowerCase": "It is called lowerAscii",
    "startswith": "It is called startsWith",
    "endswith": "It is called endsWith",
    "includes": "It is called contains",
    "length": "It is called size",
}
_QUOTES: Final = "\"'"
_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<text>r?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    | (?P<number>0x[0-9a-fA-F]+u?|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?u?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]])
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """at  counted from 1"""

    kind: str
    text: str
    at: int


class Scanned(NamedTuple):
    """
    fields  that are compared or handed to a function
    asked   that `has()` is asked of
    bound   names that exists() and all() give to the items of a list
    again   fields within the brackets of exists() and all(): they are looked at once for each item
    """

    fields: frozenset[Steps]
    asked: frozenset[Steps]
    bound: frozenset[str]
    again: frozenset[Steps]


class NotACondition(ValueError):
    """It is no condition, or one that is not allowed. The message names the place."""


_END: Final = Token("end", "", 0)


_MEANT: Final = {"=": " alone (equal is ==)", "&": " alone (and is &&)", "|": " alone (or is ||)"}
"""What was meant by a sign that others write."""


def scan(expression: str) -> Scanned:
    """NotACondition if a name, a function or a sign is in it that no condition may use."""
    return _Scan(list(_tokens(expression))).run()


def _tokens(expression: str) -> Iterator[Token]:
    at, before = 0, _END
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None:
            sign = expression[at]
            why = "A text that does not end" if sign in _QUOTES else f"Nothing in a condition is written with {sign!r}"
            why += _MEANT.get(sign, "")
            raise NotACondition(f"{why}, at character {at + 1}")
        kind, text = str(found.lastgroup), found[0]
        if kind != "space":
            token = Token(kind, text, at + 1)
            if kind == before.kind == "text" and token.at == before.at + len(before.text):
                raise NotACondition(f"A text ends and another begins, at character {token.at}")
            if text == before.text == "/":
                raise NotACondition(f"There are no comments, at character {before.at}")
            yield token
            before = token
        at = found.end()


class _Scan:
    """One way through the tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._fields: set[Steps] = set()
        self._asked: set[Steps] = set()
        self._bound: set[str] = set()
        self._again: set[Steps] = set()
        self._behind_fields: set[int] = set()
        self._open: list[str] = []  # for each bracket what opened it: a macro's name, or ""

    def run(self) -> Scanned:
        place = macros = sums = 0
        while (token := self._token(place)) is not _END:
            if token.text in ("(", "["):
                macro = self._macro_before(place) if token.text == "(" else ""
                macros += bool(macro)
                if macro and any(self._open):
                    raise NotACondition(f"{macro}() within another one, at character {token.at}")
                if macros > MOST_MACROS:
                    raise NotACondition(f"More than {MOST_MACROS} exists() and all(), at character {token.at}")
                if macro and not self._is_plain_list(place - 2):
                    raise NotACondition(
                        f"{macro}() looks through a field, or a list of texts and numbers, at character {token.at}"
                    )
                self._open.append(macro)
                if len(self._open) > DEEPEST:
                    raise NotACondition(f"More than {DEEPEST} brackets within one another, at character {token.at}")
                if macro:
                    self._bind(place + 1)
            elif token.text in (")", "]") and self._open:
                self._open.pop()
            elif token.text == "+":
                sums += 1
                if sums > MOST_SUMS:
                    raise NotACondition(f"More than {MOST_SUMS} signs +, at character {token.at}")
            place = self._word(place) if token.kind == "word" else place + 1
        return Scanned(frozenset(self._fields), frozenset(self._asked), frozenset(self._bound), frozenset(self._again))

    def _token(self, place: int) -> Token:
        return self._tokens[place] if 0 <= place < len(self._tokens) else _END

    def _macro_before(self, place: int) -> str:
        word = self._token(place - 1).text
        return word if word in MACROS and self._token(place - 2).text == "." else ""

    def _is_plain_list(self, behind: int) -> bool:
        """Whether a field ends there, or a list of nothing but texts and numbers."""
        if behind in self._behind_fields:
            return True
        place = behind - 1
        if self._token(place).text != "]":
            return False
        place -= 1
        while self._token(place).kind in ("text", "number") or self._token(place).text in (",", "-"):
            place -= 1
        before = self._token(place - 1)
        return self._token(place).text == "[" and before.text not in (")", "]") and before.kind in ("sign", "end")

    def _bind(self, place: int) -> None:
        name = self._token(place)
        if name.kind != "word" or self._token(place + 1).text != ",":
            raise NotACondition(f"Expected a name and a comma, such as (tag, tag == 'x'), at character {name.at}")
        if name.text in ROOTS or name.text in FUNCTIONS or name.text in _WORDS:
            raise NotACondition(f"{name.text} means something else: take another name, at character {name.at}")
        self._bound.add(name.text)

    def _word(self, place: int) -> int:
        """The place behind it, and behind the field that it begins."""
        token, called = self._token(place), self._token(place + 1).text == "("
        if self._token(place - 1).text == ".":
            if called and token.text not in METHODS:
                raise _unknown("function", token, METHODS)
            return place + 1
        if called:
            if token.text == "in":
                return place + 1
            if token.text not in FUNCTIONS:
                raise _unknown("function", token, FUNCTIONS)
            if token.text == "has":
                return self._has(place)
            return place + 1
        if token.text in _WORDS or token.text in self._bound:
            return place + 1
        if token.text not in ROOTS:
            raise _unknown("field", token, ROOTS)
        steps, behind = self._field(place)
        self._fields.add(steps)
        self._behind_fields.add(behind)
        if any(self._open):
            self._again.add(steps)
        return behind

    def _has(self, place: int) -> int:
        """has(properties.plan): the place behind the field, where the bracket closes."""
        token = self._token(place + 2)
        if token.text in self._bound:
            return place + 1
        steps, behind = self._field(place + 2) if token.text in ROOTS else ((), 0)
        if len(steps) < 2 or self._token(behind).text != ")":
            raise NotACondition(
                f"has() asks for a field within another one, such as has(properties.plan), at character {token.at}"
            )
        if self._token(behind - 1).text == "]":
            raise NotACondition(f"has() takes no brackets: write '{steps[-1]}' in ..., at character {token.at}")
        if any(self._open):
            self._again.add(steps)
        self._open.append("")
        self._asked.add(steps)
        return behind

    def _field(self, place: int) -> tuple[Steps, int]:
        """`properties.plan`, `properties["order id"].x`; and the place behind it."""
        steps = [self._token(place).text]
        place += 1
        while True:
            sign, name, then = (self._token(place + more) for more in range(3))
            if sign.text == "." and name.kind == "word" and then.text != "(":
                steps.append(name.text)
                place += 2
            elif sign.text == "[" and name.kind == "text" and then.text == "]":
                if "\\" in name.text or name.text[0] == "r":
                    raise NotACondition(f"A name in brackets is written without \\ and r, at character {name.at}")
                steps.append(name.text[1:-1])
                place += 3
            else:
                return tuple(steps), place
            if len(steps) > MOST_STEPS:
                raise NotACondition(f"More than {MOST_STEPS} names in one field, at character {name.at}")


def _unknown(what: str, token: Token, known: frozenset[str] | tuple[str, ...]) -> NotACondition:
    called = f"{token.text}()" if what == "function" else token.text
    if token.text in _INSTEAD:
        more = f"{_INSTEAD[token.text]}."
    elif near := difflib.get_close_matches(token.text, known, n=1):
        more = f"Did you mean {near[0]}?"
    else:
        more = f"There are {', '.join(known if isinstance(known, tuple) else sorted(known))}."
    return NotACondition(f"There is no {what} {called}, at character {token.at}. {more}")
