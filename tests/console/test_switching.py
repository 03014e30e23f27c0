"""What a switch of a destination is said to do, before it is thrown."""

import pytest

from milonga.console.switching import steps
from milonga.workspace.model import DestinationConfig, DestinationState, StateChange, UnknownSettings

PAUSED = StateChange(at=0, state=DestinationState.paused, by="cli", reason="", end={})


@pytest.mark.parametrize(
    ("waiting", "exact", "said"),
    [
        (0, True, "Nothing waits. What arrives is sent."),
        (1, True, "The 1 waiting event goes out first, in order; then what arrives."),
        (3, False, "Up to 3 waiting events go out first, in order; then what arrives."),
    ],
)
def test_resuming_says_what_goes_out(waiting: int, exact: bool, said: str) -> None:
    config = DestinationConfig(
        id=1,
        name="totango",
        kind="totango",
        source=1,
        settings=UnknownSettings(),
        settings_version=1,
        changes=(PAUSED,),
    )
    resume, off = steps(config, waiting, exact=exact)
    assert (resume.label, resume.words) == ("Resume", said)
    assert off.label == "Switch off"
