"""What a page has asked of delivery, and the answer: mostly there within half a second, else told a little later."""

import time
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from milonga.console.visit import Visit
from milonga.workspace.store import Workspace

PATIENCE: Final = 2.0  #: seconds that a page waits for the answer
LOOK: Final = 0.05  #: seconds between two looks
MOST: Final = 50  #: commands that are looked for at once


class Answered(Struct, frozen=True):
    """
    done     what was done, as delivery counted it
    waiting  commands without an answer
    errors   why others were refused
    """

    done: int
    under_way: int
    waiting: list[int]
    errors: list[str]

    def says(self, what: str, one: str, many: str | None = None) -> str:
        """One sentence, such as "3 dead letters resent."."""
        words = [f"{self.done:,} {one if self.done == 1 else many or one + 's'} {what}."]
        if self.under_way:
            words.append(f"{self.under_way:,} under way just now: {what} unless the receiver takes them.")
        words += self.errors
        if self.waiting:
            words = words if self.done else []
            words.append("It was asked for, and is done as soon as delivery comes to it.")
        elif self.errors and not self.done:
            words = self.errors
        return " ".join(words)


def answers(workspace: Workspace, numbers: Sequence[int]) -> Answered:
    """As they are now. A command whose answer was thrown away counts as done."""
    done, under_way, waiting, errors = 0, 0, [], []
    for number in numbers[:MOST]:
        try:
            found: dict[str, Any] | None = workspace.commands.result(number)
        except KeyError:
            continue
        if found is None:
            waiting.append(number)
        elif "error" in found:
            errors.append(str(found["error"]))
        else:
            done += int(found.get("done", 0))
            under_way += int(found.get("underWay", 0))
    return Answered(done, under_way, waiting, list(dict.fromkeys(errors)))


def wait(visit: Visit, numbers: Sequence[int]) -> Answered:
    """For PATIENCE at most."""
    deadline = time.monotonic() + PATIENCE
    with visit.workspace() as workspace:
        while True:
            found = answers(workspace, numbers)
            if not found.waiting or time.monotonic() >= deadline:
                return found
            time.sleep(LOOK)
