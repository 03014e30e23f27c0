"""Rows of the audit log in the words of the forms, without a page."""

import inspect
import re
from typing import Any

import pytest
from msgspec.structs import fields

from milonga.console.diffing import Difference
from milonga.console.recorded import FIELDS, REGULATIONS, Declared, told
from milonga.delivery.by_hand import Wish as ParkedWish
from milonga.delivery.letter_list import LetterFilter
from milonga.delivery.letters import LetterWish
from milonga.delivery.selection import Selection
from milonga.privacy.regulation import Kind
from milonga.workspace import deleted, keys, regulations, sessions, sources, states, store, tokens, users
from milonga.workspace.audit import Entry, told_of
from milonga.workspace.store import registered

AT = 1_700_000_000_000
DECLARED = Declared(registered(), {"prod": ["totango"], "moved": ["webhook", "totango"]})


def row(what: str, name: str = "prod", **changes: tuple[Any, Any]) -> list[Difference]:
    return told(Entry(id=1, at=AT, by="cli", what=what, name=name, changes=changes), DECLARED)


def said(what: str, name: str = "prod", **changes: tuple[Any, Any]) -> list[tuple[str, str, str]]:
    return [(one.field, one.before, one.after) for one in row(what, name, **changes)]


@pytest.mark.parametrize(
    ("what", "name", "field", "both", "shown"),
    [
        ("destination.settings", "prod", "serviceId", ("SP-1", "SP-2"), ("Service ID", "SP-1", "SP-2")),
        ("destination.settings", "prod", "maxAge", (86_400, 3_600), ("Maximum age (seconds)", "86,400", "3,600")),
        ("destination.settings", "prod", "rateLimit", (0.0, 0.5), ("Requests a second", "0", "0.5")),
        ("destination.settings", "moved", "url", ("", "https://a.example/in"), ("URL", "", "https://a.example/in")),
        ("destination.settings", "moved", "serviceId", ("SP-1", ""), ("Service ID", "SP-1", "empty")),
        ("destination.settings", "unheard of", "serviceId", ("a", "b"), ("serviceId", "a", "b")),
        ("source.settings", "web", "enabled", (True, False), ("Enabled", "on", "off")),
        ("destination.state", "prod", "state", ("on", "paused"), ("State", "on", "paused")),
        ("destination.removed", "prod", "state", ("off", None), ("State", "off", "")),
        ("destination.added", "new", "kind", (None, "totango"), ("Kind", "", "Totango")),
        ("destination.added", "new", "kind", (None, "no more"), ("Kind", "", "no more")),
        ("regulation.created", "1", "kind", (None, "SUPPRESS_ONLY"), ("Kind", "", "Suppress")),
        ("user.disabled", "ada", "disabled", (False, True), ("Disabled", "no", "yes")),
        ("command.replay", "prod", "overwrite", (None, False), ("Overwrite", "", "no")),
        ("something.else", "prod", "unknown", (None, "x"), ("unknown", "", "x")),
    ],
)
def test_a_change_is_said_in_the_words_of_the_forms(
    what: str, name: str, field: str, both: tuple[Any, Any], shown: tuple[str, str, str]
) -> None:
    assert said(what, name, **{field: both}) == [shown]
    assert row(what, name, **{field: both})[0].name == field, "and what the API calls it"


def test_of_a_new_destination_the_settings_of_its_kind_are_named() -> None:
    changes = {"kind": (None, "totango"), "source": (None, "web"), "serviceId": (None, "SP-1")}
    assert [one[0] for one in said("destination.added", "not there any more", **changes)] == [
        "Kind",
        "Source",
        "Service ID",
    ]


def test_filters_are_said_one_by_one() -> None:
    old = {"name": "no-tests", "do": "drop", "when": 'event == "Test"'}
    new = {"name": "few", "do": "sample", "share": 0.1}
    assert said("destination.settings", filters=([old], [{**old, "when": ""}, new])) == [
        ("Filter no-tests", 'drop when event == "Test"', "drop"),
        ("Filter few", "", "keep 10 % by user"),
    ]
    assert said("destination.settings", filters=([old], []))[0] == ("Filter no-tests", 'drop when event == "Test"', "")
    assert row("destination.settings", filters=('[{"name": "cut sh…', [old]))[0].field == "Filters", (
        "as far as it is kept"
    )


def test_times_are_told_as_times() -> None:
    end, again = row("source.key_end", "web", endsAt=(AT, None), writeKey=(None, "abcd…"))
    assert (end.field, end.time, end.before, end.after) == ("Ends", True, "2023-11-14T22:13:20.000Z", "")
    assert (again.field, again.after) == ("Write key", "abcd…")
    (since,) = row("command.replay", since=(None, "2023-11-14T22:13:20Z"))
    assert (since.time, since.after) == (True, "2023-11-14T22:13:20Z")


def test_whatever_is_told_of_things_and_commands_has_words() -> None:
    modules = (deleted, keys, regulations, sessions, sources, states, store, tokens, users)
    text = "".join(inspect.getsource(one) for one in modules)
    given = {name for some in re.findall(r"\badded\(([^\n]*)\)", text) for name in re.findall(r"(\w+)=", some)}
    assert given >= {"kind", "writeKey", "role", "address", "users"}
    assert given <= set(FIELDS)
    wishes = (ParkedWish, LetterWish, LetterFilter, Selection)
    named = {field.name: 1 for wish in wishes for field in fields(wish)}
    commands = told_of({**named, "wanted": None, "position": [0, 1], "positions": [1], "lines": [1], "whole": True})
    assert len(commands) > 10
    assert set(commands) | {"replay", "rate", "overwrite", "state", "attempts", "files"} <= set(FIELDS)
    assert set(REGULATIONS) == {kind.value for kind in Kind}
