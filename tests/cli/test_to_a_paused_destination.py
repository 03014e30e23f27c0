"""What is asked to go to a destination that is paused: it is taken, and said to wait."""

from pathlib import Path

import pytest

from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.cli.filled import EVENTS
from tests.commands import milonga


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dead", "resend", f"m{EVENTS}"), "What was resent waits: totango is paused."),
        (
            ("replay", "totango", "--from", "1970-01-01", "--yes"),
            "totango is paused: the replay waits until it goes on.",
        ),
    ],
)
def test_it_is_said_to_wait(data: Path, words: tuple[str, ...], said: str) -> None:
    with Workspace.open(data) as workspace:
        workspace.change_state("totango", DestinationState.paused, "cli", "until Monday", {0: EVENTS})
    done = milonga(*words, "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
