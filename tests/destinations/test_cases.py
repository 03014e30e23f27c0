"""Every destination's own cases, hand-written tables in its folder: what it says, event, settings, what must leave."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import milonga.destinations
from milonga.destinations.contract import Form, Request, Skip
from milonga.destinations.registry import kind, kinds
from milonga.identity.account import read_unstamped

FOLDER = Path(milonga.destinations.__path__[0])
WORDS = {"says", "sure", "settings", "event", "requests", "skip", "keys"}
PARTS_OF_A_REQUEST = {"part", "method", "url", "headers", "secrets", "sign", "form", "json"}


def cases() -> list[Any]:
    found = []
    for name in kinds():
        for file in sorted((FOLDER / name / "cases").glob("*.json")):
            for number, case in enumerate(json.loads(file.read_text(encoding="utf-8"))):
                found.append(pytest.param(name, case, id=f"{name}/{file.stem}[{number}] {case['says']}"))
    return found


@pytest.mark.parametrize(("name", "case"), cases())
def test_what_a_case_says_is_what_happens(name: str, case: dict[str, Any]) -> None:
    assert set(case) <= WORDS
    assert ("requests" in case) != ("skip" in case)
    destination = kind(name)
    event = read_unstamped(json.dumps(case["event"]).encode())
    settings = msgspec.convert(case["settings"], destination.settings)

    result = destination.translate(event, settings)

    if "skip" in case:
        assert isinstance(result, Skip), result
        assert result.code == case["skip"]
        assert result.fix
    else:
        assert not isinstance(result, Skip), result
        assert len(case["requests"]) == len(result)
        for expected, request in zip(case["requests"], result, strict=True):
            assert {"form", "json"} & set(expected)
            assert set(expected) <= PARTS_OF_A_REQUEST
            assert as_in_a_case(request, expected) == expected
    if "keys" in case:
        assert [list(key) for key in destination.keys(event, settings)] == case["keys"]


def as_in_a_case(request: Request, expected: dict[str, Any]) -> dict[str, Any]:
    """The request, but only so much of it as the case speaks of."""
    body = {"form": dict(request.body.params)} if isinstance(request.body, Form) else {"json": request.body.value}
    whole = {
        "part": request.part,
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "secrets": sorted(request.secrets),
        "sign": msgspec.json.decode(msgspec.json.encode(request.sign)),
    }
    return {**{name: value for name, value in whole.items() if name in expected}, **body}


def test_no_two_cases_of_a_destination_say_the_same() -> None:
    said = [(case.values[0], case.values[1]["says"]) for case in cases()]
    assert len(said) == len(set(said))
