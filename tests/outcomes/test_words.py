"""Codes in words."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_group

import milonga
from milonga.cli import main
from milonga.outcomes.words import PIPELINE, SKIPPED, instant, sentence, typed, why_skipped

DESTINATIONS = Path(milonga.__file__).parent / "destinations"


def test_every_reason_to_skip_has_words() -> None:
    codes = {code for file in DESTINATIONS.rglob("*.py") for code in re.findall(r'Skip\(\s*"(\w+)"', file.read_text())}
    assert codes
    assert codes == set(SKIPPED)


def test_words_never_name_what_does_not_exist() -> None:
    named = {name for pair in PIPELINE.values() for words in pair for name in re.findall("`milonga ([a-z]+)", words)}
    assert named >= {"replay", "dead"}
    assert named <= set(get_group(main.made(main.COMMANDS)).commands)


def test_an_unknown_code_is_told_all_the_same() -> None:
    assert why_skipped("new_one") == "The destination decided not to send it."


@pytest.mark.parametrize(
    ("text", "said"), [("Answered 503", "Answered 503."), ("Really?", "Really?"), (" a. ", "a."), ("", "")]
)
def test_a_sentence_ends_once(text: str, said: str) -> None:
    assert sentence(text) == said


@pytest.mark.parametrize(
    ("unix_ms", "said"),
    [
        (1_709_648_527_123, "2024-03-05T14:22:07.123Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (-62_135_596_800_001, "-62135596800001 ms"),
        (253_402_300_800_000, "253402300800000 ms"),
        (2**63, f"{2**63} ms"),
        (-(2**4000), f"{-(2**4000)} ms"),
    ],
)
def test_every_time_can_be_told(unix_ms: int, said: str) -> None:
    assert instant(unix_ms) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m-1", "m-1"),
        ("7f3c.9:2", "7f3c.9:2"),
        ("--all", "-- --all"),
        ("x; curl evil | sh", "'x; curl evil | sh'"),
        ("$(id)", "'$(id)'"),
        ("it's", "'it'\"'\"'s'"),
        ("", "''"),
    ],
)
def test_an_id_in_a_command_to_copy_is_one_argument_and_nothing_to_the_shell(text: str, said: str) -> None:
    assert typed(text) == said
    assert [one for one in shlex.split(typed(text)) if one != "--"] == [text]
