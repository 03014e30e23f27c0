"""Requests as commands to copy: a real shell reads them as what the request says, and nothing else."""

import json
import re
import subprocess
from typing import Any
from urllib.parse import unquote

import pytest

from milonga.facts.curl import curl

ODD = [
    "plain",
    "it's",
    'a "b"',
    "$(id)",
    "`id`",
    "a\nb\tc\\n",
    "\x1b[31mred",
    "@/etc/passwd",
    "ü €",
    "\u202e1",
    "!x",
    "",
]


def request(**more: Any) -> dict[str, Any]:
    usual = {"part": "p", "method": "POST", "url": "https://x.example/", "headers": {}, "format": "json", "body": {}}
    return {**usual, **more}


def arguments(command: str) -> list[str]:
    """What curl would get."""
    script = f'curl() {{ printf "%s\\0" "$@"; }}\n{command}'
    ran = subprocess.run(["bash", "-c", script], capture_output=True, check=True, timeout=60)
    return ran.stdout.decode().split("\0")[:-1]


def test_a_form_becomes_its_fields() -> None:
    body = {"sdr_o.Create Date": "2024-03-05", **{f"odd {n}": value for n, value in enumerate(ODD)}, "token": "***"}
    given = arguments(curl(request(format="form", body=body)))
    assert given[:3] == ["-X", "POST", "https://x.example/"]
    assert given[3::2] == ["--data-urlencode"] * len(body)
    pairs = [field.split("=", 1) for field in given[4::2]]
    assert {unquote(name): value for name, value in pairs} == body


@pytest.mark.parametrize("value", ODD)
def test_json_and_headers_are_what_they_were(value: str) -> None:
    given = arguments(curl(request(headers={"X-One": value}, body={"name": value})))
    assert given[3:5] == ["-H", f"X-One: {value}"]
    assert given[5:7] == ["-H", "Content-Type: application/json"]
    assert (given[7], json.loads(given[8])) == ("--data-raw", {"name": value})


@pytest.mark.parametrize("value", ODD)
def test_a_terminal_gets_no_control_character(value: str) -> None:
    command = curl(request(headers={"X-One": value}, format="form", body={"name": value}))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", command)
    assert command.count("\n") == 2, "one for each argument of ours"


def test_without_a_body_nothing_is_sent() -> None:
    assert arguments(curl(request(method="GET"))) == ["-X", "GET", "https://x.example/"]
