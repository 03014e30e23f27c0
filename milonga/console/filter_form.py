"""Pure: the form of one filter, back to a filter, each error at its field; where in a condition an error is."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from milonga.filters.condition import compiled, tried
from milonga.filters.rule import LONGEST_WHEN, Filter
from milonga.filters.scan import NotACondition

DEEDS: Final = (
    ("drop", "Drop it", "What meets the condition is not sent."),
    ("keep", "Keep it, drop all others", "What does not meet the condition is not sent."),
    ("sample", "Send a sample of it", "Of what meets the condition, only a share is sent."),
    ("dropFields", "Leave fields out", "What meets the condition is sent without these fields."),
    ("keepFields", "Send these fields alone", "Of the objects that the fields begin with, nothing else is sent."),
    ("mask", "Mask fields", "*** stands for the values of these fields."),
    ("hash", "Hash fields", "The SHA-256 stands for the values of these fields."),
)
"""(value, name, what it does)"""

ON_FIELDS: Final = frozenset({"dropFields", "keepFields", "mask", "hash"})

_PLACE: Final = re.compile(r"(?:in line (\d+), )?at character (\d+)")
_WHERE: Final = (("no name for a filter", "name"), ("share", "share"), ("fields", "fields"), ("condition", "when"))
"""What an error of the whole speaks of -> the field where it is told."""


class Typed(Struct, frozen=True, kw_only=True):
    """
    As it stands in the form.

    share   in percent
    fields  one in each line
    """

    name: str = ""
    when: str = ""
    do: str = "drop"
    share: str = ""
    by: str = ""
    fields: str = ""


class Read(Struct, frozen=True):
    """filter is None if anything is wrong: by field, in words."""

    filter: Filter | None
    wrong: Mapping[str, str]


def typed_of(one: Filter) -> Typed:
    share = "" if one.share is None else f"{100 * one.share:.10g}"
    return Typed(name=one.name, when=one.when, do=one.do, share=share, by=one.by, fields="\n".join(one.fields))


def typed_in(text: Callable[[str], str]) -> Typed:
    """text  a field of the posted form, by name"""
    lines = {name: text(name).replace("\r\n", "\n") for name in ("when", "fields")}
    return Typed(name=text("name").strip(), do=text("do"), share=text("share"), by=text("by").strip(), **lines)


def read(typed: Typed) -> Read:
    """What does not belong to what is to be done is passed by: it may stand there from another choice."""
    wrong: dict[str, str] = {}
    given: dict[str, object] = {"name": typed.name, "do": typed.do, "when": typed.when}
    if typed.do == "sample":
        given["by"] = typed.by
        share = _share(typed.share)
        if share is None:
            wrong["share"] = "A share is a percentage between 0 and 100, such as 10."
        else:
            given["share"] = share
    if typed.do in ON_FIELDS:
        given["fields"] = tuple(one.strip() for one in re.split(r"[\n,]", typed.fields) if one.strip())
    if problem := problem_of(typed.when):
        wrong["when"] = problem
    try:
        found = msgspec.convert(given, Filter) if "share" not in wrong else None
    except msgspec.ValidationError as error:
        found = None
        message = str(error).removeprefix(f"{typed.name}: ")
        wrong.setdefault(
            _place(message, typed), message[:1].upper() + message[1:] + ("" if message.endswith(".") else ".")
        )
    return Read(None if wrong else found, wrong)


def problem_of(when: str) -> str:
    """What is wrong with a condition, with its place; "" if nothing is."""
    if not when.strip():
        return ""
    if len(when) > LONGEST_WHEN:
        return f"It has {len(when):,} characters, {LONGEST_WHEN:,} at most."
    try:
        tried(compiled(when))
    except NotACondition as error:
        return f"{str(error).rstrip('.')}."
    return ""


def names_in(when: str) -> tuple[str, ...]:
    """The fields that a good condition speaks of."""
    scanned = compiled(when).scanned
    return tuple(sorted({".".join(steps) for steps in scanned.fields | scanned.asked}))


def marked(when: str, problem: str) -> tuple[str, str, str] | None:
    """The condition before, at and after the place that the problem names; None if it names none."""
    found = _PLACE.search(problem)
    if found is None:
        return None
    lines = when.split("\n")
    line = min(int(found[1] or 1), len(lines)) - 1
    at = sum(len(one) + 1 for one in lines[:line]) + int(found[2]) - 1
    at = min(max(at, 0), len(when))
    return when[:at], when[at : at + 1], when[at + 1 :]


def _share(text: str) -> float | None:
    """Above 0, below 1, of a percentage."""
    try:
        share = float(text.strip().removesuffix("%").strip().replace(",", ".")) / 100
    except ValueError:
        return None
    return share if 0 < share < 1 else None


def _place(message: str, typed: Typed) -> str:
    if "$.do" in message or typed.do not in {value for value, _, _ in DEEDS}:
        return "do"
    found = next((field for words, field in _WHERE if words in message), None)
    if found is not None:
        return found
    return "by" if typed.do == "sample" else "fields" if typed.do in ON_FIELDS else "name"
