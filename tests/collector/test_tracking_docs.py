"""docs/tracking-api.md names every path, code and limit there is."""

from pathlib import Path

import msgspec

from milonga.collector import answers, routes
from milonga.collector.answers import Answer
from milonga.spec import limits
from milonga.spec.discards import FIX, MEANING

DOC = (Path(__file__).parents[2] / "docs" / "tracking-api.md").read_text()


def test_every_discard_code_is_documented_with_its_meaning_and_what_to_do() -> None:
    for code, meaning in MEANING.items():
        assert f"| `{code}` |" in DOC
        assert f"| {meaning} | {FIX[code]} |" in DOC


def test_every_refusal_is_documented_with_its_status() -> None:
    refusals = [value for value in vars(answers).values() if isinstance(value, Answer) and value.status != 200]
    assert len(refusals) > 10
    for refusal in refusals:
        assert f"| {refusal.status} | `{msgspec.json.decode(refusal.body)['code']}` |" in DOC


def test_every_path_is_documented() -> None:
    for path in routes._ROUTES:
        assert f"`{path}`" in DOC or f"`GET {path}`" in DOC


def test_the_limits_are_documented() -> None:
    assert limits.MAX_REQUEST == 5 * 1024 * 1024
    assert "5 MiB" in DOC
    assert limits.MAX_EVENT == 32 * 1024
    assert "32 KiB" in DOC
    for number in (
        limits.MAX_BATCH,
        limits.MAX_PROPERTIES,
        limits.MAX_MESSAGE_ID,
        limits.MAX_DEPTH,
        limits.MAX_EXCERPT,
    ):
        assert f"{number:,}" in DOC
    assert f"Retry-After: {answers.RETRY_AFTER}`" in DOC
