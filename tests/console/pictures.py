"""
The pictures of the README: `python -m tests.console.pictures`. The furnished workspace, with an hour of counts before
it, for that is what a day at work looks like.
"""

import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
from playwright.sync_api import Page, ViewportSize

from milonga.delivery.backlog import Waited
from milonga.delivery.backlog_rows import BacklogTable
from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE, Count, open_totals, roll
from milonga.outcomes import totals
from milonga.outcomes.latency import bucket_of
from milonga.outcomes.model import State
from milonga.workspace.roles import Role
from tests.chromium import chromium
from tests.console.furnished import furnished
from tests.console.harness import Console
from tests.console.test_looks import settled

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
PICTURES = {
    "overview": ("/", 1700),
    "event": ("/events/0-91", 1000),
    "account": ("/account?id=acme", 900),
}
"""Name -> address, height in pixels."""
MINUTES = 60
NOBODYS = 10**9  #: number of a segment that there is not


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, furnished(Path(folder)) as console, chromium() as browser:
        remember(console, random.Random(7))
        for name, (path, height) in PICTURES.items():
            size: ViewportSize = {"width": 1280, "height": height}
            with console.visiting(browser, Role.administrator, viewport=size, locale="en-GB") as page:
                page.goto(console.url + path)
                settled(page)
                take(page, FOLDER / f"{name}.png")
    return 0


def take(page: Page, path: Path) -> None:
    page.screenshot(path=path, animations="disabled")
    sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")


def remember(console: Console, dice: random.Random) -> None:
    now = time.time()
    minutes = [(int(now // 60) - back, wave(back, dice)) for back in range(1, MINUTES)]
    with closing(open_totals(console.data / "log")) as db:
        roll(db, NOBODYS, list(arrived(minutes)))
    ended = [row for minute, n in minutes for row in ends(minute, n)]
    took = [row for minute, n in minutes for row in latencies(minute, n, dice)]
    totals.roll(console.data / "outcomes", NOBODYS, ended, took, now=now)
    with closing(apsw.Connection(str(console.data / "delivery.db"))) as db:
        db.set_busy_timeout(5_000)
        with db:
            BacklogTable(db).put(1, list(waited(minutes, dice)))


def wave(back: int, dice: random.Random) -> int:
    """Events of one minute."""
    return int(90 + 40 * math.sin(back / 9) + dice.gauss(0, 9))


def arrived(minutes: list[tuple[int, int]]) -> Iterator[Count]:
    for minute, n in minutes:
        yield Count(minute, 1, ACCEPTED, n)
        yield Count(minute, 1, DUPLICATE, n // 30)
        yield Count(minute, 2, ACCEPTED, n // 4)
    yield Count(minutes[20][0], 1, DISCARDED + "no_event", 6)


def waited(minutes: list[tuple[int, int]], dice: random.Random) -> Iterator[Waited]:
    """A receiver that was slow for some minutes."""
    for back, (minute, n) in enumerate(minutes, 1):
        slow, late = max(0.0, 8 - abs(back - 34)), max(0.0, 9 - abs(back - 31.5))
        yield Waited(minute, int(n / 12 + slow * (n + dice.gauss(0, 9))), int(40 + 20 * dice.random() + late * 21_000))


def ends(minute: int, n: int) -> Iterator[totals.Row]:
    yield minute, 1, int(State.delivered), "", n - n // 12
    yield minute, 1, int(State.skipped), "missing_group_id", n // 12


def latencies(minute: int, n: int, dice: random.Random) -> Iterator[totals.LatencyRow]:
    for bucket in {bucket_of(int(dice.lognormvariate(3.0, 0.5))) for _ in range(n)}:
        yield minute, 1, bucket, max(1, n // 20)


if __name__ == "__main__":
    sys.exit(main())
