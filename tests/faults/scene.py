"""What most cases need: a Milonga in processes of its own, with a source and a pretend Totango to send to."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from milonga.destinations.totango.fake import pretend
from tests.faults.case import Report
from tests.faults.load import Load
from tests.faults.verdict import judge
from tests.receiving import Receiving
from tests.running import Milonga, eventually

KEY: Final = "k-faults"
KEEP: Final = 2_000_000  #: requests that the receiver remembers


class Scene(Struct, frozen=True):
    milonga: Milonga
    totango: Receiving

    def load(self, seed: int, **options: Any) -> Load:
        """Already sending; see Load."""
        return Load(self.milonga, KEY, seed, **options).start()

    def flows(self, load: Load, since: float, seconds: float = 60.0) -> float:
        """
        Wait until an event is acknowledged and one arrives, and return how many seconds after `since` (of the monotonic
        clock) that was: the time to recover.
        """
        time.sleep(0.1)  # what a process sent before it was killed has come in by then
        acked, received = len(load.acked), self.totango.received()
        eventually(lambda: len(load.acked) > acked, "an event is acknowledged", seconds)
        eventually(lambda: self.totango.received() > received, "an event arrives", seconds)
        return time.monotonic() - since

    def judge(self, report: Report, load: Load, **options: Any) -> Report:
        """The load has ended: what is wrong goes into the report. See tests.faults.verdict."""
        judge(report, self.milonga.data, load, {"totango": self.totango}, **options)
        return report


@contextmanager
def scene(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] = {},
    under: tuple[str, ...] = (),
    start: bool = True,
    keep: int = KEEP,
    console: bool = False,
) -> Iterator[Scene]:
    """
    folder       where its data directory `data` is made
    options      of `milonga serve`
    environment  of the server, beside ours
    under        a program that starts the server
    keep         requests that the receiver remembers
    console      with the console's process beside the others
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        Receiving(pretend, keep=keep) as totango,
        Milonga(
            folder / "data", *options, environment=environment, under=under, console=console, apart=True
        ) as milonga,
    ):
        milonga.say("sources", "add", "web", "--write-key", KEY)
        milonga.say(
            *("destinations", "add", "totango", "--source", "web", "--set", "serviceId=SP-12345-01"),
            *("--set", f"endpoint={totango.url}/pixel.gif/"),
        )
        if start:
            milonga.start()
        yield Scene(milonga, totango)
