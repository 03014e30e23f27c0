"""
A receiver refuses a hundred thousand users, each of an account of its own: their lines are parked. How much memory is
that, does the watermark go on, how long do a start and a look take, and does everything come in order in the end?
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from bench.children import Child, once
from bench.receiver import Refuse, Seen, receive
from bench.report import Found, row
from bench.run import Run
from bench.samples import message_ids, numbered, stamp_now
from bench.serving import DESTINATION, Server, add_totango
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.sqlite import SqliteLog
from milonga.facts.directory import LOG_FOLDER
from tests.memory import pss

KEYS: Final = int(os.environ.get("MILONGA_BENCH_KEYS", "100000"))  #: accounts that are refused
EACH: Final = 2  #: events of one
GOOD: Final = 1  #: for each refused one so many that are taken, or the receiver would look down for everybody
LATENCY: Final = 0.002  #: seconds, of the receiver
PATIENCE: Final = 1_800.0  #: seconds for each of the two ways
STEP: Final = 0.5  #: seconds between two looks
REST: Final = 5.0  #: seconds for which all of them are parked, and tried now and then
PAGE: Final = 1_000  #: keys of one page
MEGABYTE: Final = 1_000_000
MOST: Final = 350  #: target: megabytes
_WHAT: Final = re.compile(rb"(?:^|&)sdr_([oa])=([^&]*)")


def parked(run: Run) -> Found:
    """MILONGA_BENCH_KEYS in the environment: fewer of them."""
    data, cores = run.fresh(), run.cores.all
    with Child(receive, cores, LATENCY, True, b"sdr_o=refused") as receiver:
        look = _Looking(data, receiver)
        with Server(data) as server:
            look.server = server
            time.sleep(REST)
            idle = look.heaviest()
        once(_fill, cores, data, run.source, patience=120 + KEYS / 500)
        look.end = _count()
        look.number = add_totango(data, receiver.hello, after=0)
        with Server(data) as server:
            look.server = server
            to_park = look.until(lambda: look.left == 0 and look.parked == KEYS * EACH)
            filling = look.heaviest()
            time.sleep(REST)
            filled = look.heaviest()
            first, every, listed = _list(data)
        began = time.perf_counter()
        with Server(data) as server:
            look.server = server
            listening = time.perf_counter() - began
            look.look()
            while not look.came():
                time.sleep(0.01)
            at_work = time.perf_counter() - began
            time.sleep(REST)
            again = look.heaviest()
            look.take(receiver.ask(Refuse(None)))
            look.kept.clear()  # what came since is all taken
            to_deliver = look.until(lambda: look.parked == 0)
            emptying = look.heaviest()
    missing, disordered, twice = _judged(look.kept)
    most = [filling, filled, again, emptying]
    rows = [
        row("memory, the most", [max(most) / MEGABYTE], "MB", limit=[idle / MEGABYTE],
            limit_is="PSS of both processes without an event", at_most=MOST),
        *(row(f"  {what}", [bytes_ / MEGABYTE], "MB") for what, bytes_ in
          zip(("while they are parked", "all parked", "after a restart", "while they go out"), most, strict=True)),
        row("until all are parked and the watermark is at the end", [to_park], "s"),
        row("start, listening", [listening], "s"),
        row("start, first of them tried again", [at_work], "s"),
        row(f"`parked list`, the first {PAGE:,}", [first], "s"),
        row("`parked list`, page by page", [every], "s"),
        row("until all are delivered", [to_deliver], "s"),
        row("missing", [missing], "events", at_most=0),
        row("out of order", [disordered], "events", at_most=0),
    ]  # fmt: skip
    about = f"{KEYS:,} keys with {EACH} events each, {listed:,} keys listed. {twice} requests came again after a 200."
    return Found(rows, [about])


class _Looking:
    """
    What delivery says of itself, what it weighs, what came to the receiver. Asked now and then by the bench's thread.

    kept  (account, number of the event) of each request since it was emptied
    """

    def __init__(self, data: Path, receiver: Child) -> None:
        self._data, self._receiver = data, receiver
        self.server: Server
        self.number = self.end = 0
        self.kept: list[tuple[bytes, int]] = []
        self._most = 0

    def until(self, done: Callable[[], bool]) -> float:
        """Seconds it took."""
        began = time.perf_counter()
        while not done():
            if time.perf_counter() - began > PATIENCE:
                raise RuntimeError(f"{self.parked:,} parked, {self.left:,} behind the watermark after {PATIENCE:g} s")
            time.sleep(STEP)
            self.look()
        return time.perf_counter() - began

    def heaviest(self) -> int:
        """Bytes, the most since this was asked last."""
        self.look()
        most, self._most = self._most, 0
        return most

    def look(self) -> None:
        self.came()
        self._most = max(self._most, sum(map(pss, self.server.pids)))

    def came(self) -> int:
        """How many requests since it was asked last."""
        return self.take(self._receiver.ask("seen"))

    def take(self, seen: Seen) -> int:
        for _, body in seen.kept:
            found = dict(_WHAT.findall(body))
            self.kept.append((found[b"o"], int(found[b"a"])))
        return len(seen.kept)

    @property
    def parked(self) -> int:
        return self._read(lambda reader: reader.parked_count(self.number))

    @property
    def left(self) -> int:
        """Events behind the watermark."""
        return self.end - self._read(lambda reader: reader.position(self.number, 0) or 0)

    def _read(self, what: Callable[[DeliveryReader], int]) -> int:
        try:
            with closing(DeliveryReader(self._data / "delivery.db")) as reader:
                return what(reader)
        except apsw.CantOpenError:
            return 0


def _count() -> int:
    return KEYS * EACH * (1 + GOOD)


def _fill(data: Path, source: int) -> None:
    asyncio.run(_append(data, source))


async def _append(data: Path, source: int) -> None:
    """Refused and good ones in turns; the number of an event is its place."""
    log = await SqliteLog.open(data / LOG_FOLDER)
    now = time.time_ns() // 1_000_000
    for at in range(0, _count(), 500):
        numbers = range(at, min(at + 500, _count()))
        ids = message_ids(len(numbers))
        await log.append(
            [stamp_now(numbered(n, _account(n), "u"), id_, source, now) for n, id_ in zip(numbers, ids, strict=True)]
        )
    await log.close()


def _account(number: int) -> str:
    turn, place = divmod(number, 1 + GOOD)
    return f"good-{number}" if place else f"refused-{turn % KEYS}"


def _list(data: Path) -> tuple[float, float, int]:
    """Seconds for the first page and for all, and how many keys there were."""
    after: list[str] = []
    began, first, listed = time.perf_counter(), 0.0, 0
    while True:
        words = ["parked", "list", DESTINATION, "--json", "--limit", str(PAGE), *after, "--data", str(data)]
        said = subprocess.run([sys.executable, "-m", "milonga", *words], capture_output=True, check=True).stdout
        lines = json.loads(said)
        first = first or time.perf_counter() - began
        listed += len(lines)
        if len(lines) < PAGE:
            return first, time.perf_counter() - began, listed
        after = ["--after", json.dumps(lines[-1]["key"])]


def _judged(kept: list[tuple[bytes, int]]) -> tuple[int, int, int]:
    """Of the refused accounts' events: how many never came, came too early, came again."""
    came: dict[bytes, list[int]] = {}
    twice = disordered = 0
    for account, number in kept:
        if account.startswith(b"refused"):
            before = came.setdefault(account, [])
            twice += number in before
            disordered += bool(before) and number < before[-1]
            before.append(number)
    return KEYS * EACH - sum(len(set(numbers)) for numbers in came.values()), disordered, twice
