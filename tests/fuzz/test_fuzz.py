"""A small run of the fuzzing, with receivers at the other end. `make fuzz` has the large one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from milonga.destinations.totango.fake import pretend as pretend_totango
from milonga.destinations.webhook.fake import pretend as pretend_webhook
from tests.fuzz import bodies, framing, heads, values
from tests.fuzz.aftermath import aftermath, signs_of_trouble
from tests.fuzz.conversation import conversation
from tests.fuzz.run import fuzz, target
from tests.receiving import Receiving
from tests.running import Milonga, eventually

SEED = 20261122
REQUESTS = 5000
ALL = (*values.CHANGES, *bodies.BYTES, *bodies.PACKINGS, *heads.MILD, *heads.ROUGH, *framing.ENDS)
REFUSALS = {
    *("invalid_json", "invalid_gzip", "invalid_http", "invalid_host", "body_too_large", "headers_too_large"),
    *("missing_write_key", "unknown_write_key", "origin_not_allowed", "not_found", "method_not_allowed"),
    *("unsupported_encoding",),
}
"""All but those of slow senders, and of a server that is full."""


@pytest.fixture
def milonga(tmp_path: Path) -> Iterator[Milonga]:
    with (
        Receiving(pretend_totango) as totango,
        Receiving(pretend_webhook) as hook,
        target(tmp_path, totango=f"{totango.url}/pixel.gif/", webhook=hook.url) as milonga,
    ):
        yield milonga


def shown(milonga: Milonga, name: str) -> dict[str, Any]:
    found: dict[str, Any] = milonga.ask("destinations", "show", name)
    return found


@pytest.mark.timeout(300)
def test_five_thousand_hostile_requests_do_no_harm(milonga: Milonga) -> None:
    findings = fuzz(milonga, SEED, REQUESTS)
    assert findings.wrong == []
    assert aftermath(milonga, findings) == []
    assert findings.events > 1000
    assert len(findings.kept) > 100
    # It was hostile in every way there is, and every way to be refused was met.
    assert findings.done.keys() >= {change.__name__ for change in ALL}
    assert {name.partition(" ")[2] for name in findings.answers} >= REFUSALS
    # What was kept of it leaves: nothing of it stops a destination, or makes it fail.
    for name in ("totango", "webhook"):
        eventually(lambda name=name: shown(milonga, name)["waiting"] == 0, f"everything left for {name}")  # type: ignore[misc]
        found = shown(milonga, name)
        assert (found["state"], found["deadLetters"]) == ("on", 0)
    assert signs_of_trouble(milonga) == []


@pytest.mark.timeout(300)
def test_five_hundred_over_tls_do_no_harm_either(tmp_path: Path) -> None:
    with target(tmp_path, tls=True) as milonga:
        findings = fuzz(milonga, SEED, 500)
        assert findings.wrong == []
        assert aftermath(milonga, findings) == []


def test_the_same_seed_makes_the_same_requests() -> None:
    for number in range(20):
        assert conversation(7, number).pieces == conversation(7, number).pieces
    assert conversation(7, 1).pieces != conversation(8, 1).pieces
