"""Codes in words."""

import re
from pathlib import Path

import pytest

import milonga
from milonga.outcomes.words import PIPELINE, SKIPPED, sentence, why_skipped

DESTINATIONS = Path(milonga.__file__).parent / "destinations"


def test_every_reason_to_skip_has_words() -> None:
    codes = {code for file in DESTINATIONS.rglob("*.py") for code in re.findall(r'Skip\(\s*"(\w+)"', file.read_text())}
    assert codes
    assert codes == set(SKIPPED)


def test_words_never_name_what_does_not_exist() -> None:
    assert not any("replay" in words for pair in PIPELINE.values() for words in pair)


def test_an_unknown_code_is_told_all_the_same() -> None:
    assert why_skipped("new_one") == "The destination decided not to send it."


@pytest.mark.parametrize(
    ("text", "said"), [("Answered 503", "Answered 503."), ("Really?", "Really?"), (" a. ", "a."), ("", "")]
)
def test_a_sentence_ends_once(text: str, said: str) -> None:
    assert sentence(text) == said
