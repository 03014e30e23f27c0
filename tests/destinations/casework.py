"""What the cases of a destination's folder say, and whether it is so."""

import json
from pathlib import Path
from typing import Any

import msgspec

import milonga.destinations
from milonga.destinations.contract import Destination, Form, Request, Skip
from milonga.identity.account import read_unstamped

FOLDER = Path(milonga.destinations.__path__[0])
WORDS = {"says", "sure", "settings", "event", "requests", "skip", "keys"}
PARTS_OF_A_REQUEST = {"part", "method", "url", "headers", "secrets", "sign", "form", "json"}


def cases_of(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """(file and number, case) of one destination."""
    return [
        (f"{file.stem}[{number}]", case)
        for file in sorted((folder / "cases").glob("*.json"))
        for number, case in enumerate(json.loads(file.read_text(encoding="utf-8")))
    ]


def check(destination: Destination, case: dict[str, Any]) -> None:
    """AssertionError unless what it says is what happens."""
    assert set(case) <= WORDS
    assert ("requests" in case) != ("skip" in case)
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
