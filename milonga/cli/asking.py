"""What a command asks of a running server by way of the workspace (milonga.workspace.commands), and its answers."""

import time
from collections.abc import Sequence
from typing import Any, Final

from milonga.api.client import Reach
from milonga.cli.common import fail
from milonga.cli.terminal import clean

PATIENCE: Final = 6.0  #: seconds without news from a running server
LOOK_AGAIN: Final = 0.1  #: seconds


def runs(milonga: Reach) -> bool:
    """Whether a server carries out what is asked for."""
    return bool(milonga.ask("getHealth").data["serverRunning"])


def answers(milonga: Reach, asked: Sequence[int]) -> list[dict[str, Any]] | None:
    """
    What was answered to these commands; None if no server runs, or there is no news of any for too long: they are
    carried out later. Exit 1 with its reason if the server refused one.
    """
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + PATIENCE
    running = runs(milonga)
    while len(found) < len(asked):
        answer = milonga.ask("getCommand", {"command": asked[len(found)]}).data["result"] if running else None
        if answer is not None:
            if "error" in answer:
                fail(clean(str(answer["error"])))
            found.append(answer)
            deadline = time.monotonic() + PATIENCE
        elif not running or time.monotonic() >= deadline:
            return None
        else:
            time.sleep(LOOK_AGAIN)
    return found
