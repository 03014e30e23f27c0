"""docs/filters.md is true: its commands run, its conditions hold for what it says."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from milonga.filters.chain import KEPT_BACK, UNSURE
from milonga.filters.condition import compiled, tried
from milonga.filters.gate import NO_CONSENT, NOT_MEANT
from milonga.filters.scan import FUNCTIONS, METHODS, ROOTS
from milonga.identity.account import read_unstamped
from milonga.workspace.store import Workspace
from tests.commands import milonga

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text()
ACME = {"context": {"groupId": "acme"}}
HOLDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"event": "Signed Up"}, {"event": "Other"}),
    ({"event": "My TEST order"}, {"event": "Order"}),
    ({"event": "Demo 1"}, {"event": "A Demo"}),
    ({"properties": {"order id": 7}}, {"properties": {"order id": "7"}}),
    ({"properties": {"tags": ["new", "beta"]}}, {"properties": {}}),
    ({"traits": {}}, {"traits": {"plan": "free"}}),
    ({}, ACME),
    ({"context": {"page": {"url": "https://staging.x/"}}}, {"context": {"page": {}}}),
]
"""For each example what it holds for, and what not."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def rows(heading: str) -> list[str]:
    table = PAGE.split(f"| {heading} |")[1].split("\n\n")[0]
    return re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)


def test_the_commands_run_and_say_what_the_page_says(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
    at = ("--data", str(data))
    assert (
        milonga("destinations", "add", "totango", "--source", "web", "--set", "serviceId=SP-1-1", *at).returncode == 0
    )
    for line in "".join(blocks("sh")).splitlines():
        program, *words = shlex.split(line)
        assert program == "milonga"
        done = milonga(*words, *at)
        assert done.returncode == 0, (line, done.stderr)
    with Workspace.open(data) as workspace:
        delivery = workspace.destination("totango").delivery
    assert [one.name for one in delivery.filters] == [
        *("mail", "no-staff", "no-tests", "customers", "some-pages", "no-address", "card")
    ]
    assert delivery.consent_categories == ("analytics", "product")
    (event,) = blocks("json")
    file = tmp_path / "event.json"
    file.write_text(event)
    told = milonga("destinations", "filters", "totango", "test", str(file), *at).stdout
    (said,) = re.findall(r"```\n(track .*?)```", PAGE, re.DOTALL)
    assert told.replace("─", "").split() == said.replace("─", "").split()


@pytest.mark.parametrize(("condition", "number"), [(text, n) for n, text in enumerate(rows("condition"))])
def test_the_conditions_hold_for_what_the_page_says(condition: str, number: int) -> None:
    asked = compiled(condition)
    tried(asked)
    good, bad = ({"type": "track", "event": "x", **fields} for fields in HOLDS[number])
    assert asked.holds(read_unstamped(json.dumps(good).encode()))
    assert not asked.holds(read_unstamped(json.dumps(bad).encode()))


def test_every_word_of_the_language_and_every_code_is_named() -> None:
    for word in (*ROOTS, *METHODS, *FUNCTIONS, KEPT_BACK, UNSURE, NO_CONSENT, NOT_MEANT):
        assert word in PAGE, word
