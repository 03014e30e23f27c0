"""What a command asks of a running server by way of the workspace (milonga.workspace.commands), and its answers."""

import time
from collections.abc import Sequence
from typing import Any, Final

from milonga.cli.common import fail
from milonga.cli.terminal import clean
from milonga.facts.facts import Facts

PATIENCE: Final = 6.0  #: seconds without news from a running server


def answers(facts: Facts, asked: Sequence[int]) -> list[dict[str, Any]] | None:
    """
    What was answered to these commands; None if no server runs, or there is no news of any for too long: they are
    carried out later. Exit 1 with its reason if the server refused one.
    """
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < len(asked):
        answer = facts.workspace.commands.result(asked[len(found)]) if facts.server_runs else None
        if answer is not None:
            if "error" in answer:
                fail(clean(str(answer["error"])))
            found.append(answer)
            deadline = time.monotonic() + PATIENCE
        elif not facts.server_runs or time.monotonic() >= deadline:
            return None
        else:
            time.sleep(0.1)
    return found
