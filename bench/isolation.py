"""
One account floods, another is refused, a thousand others go on: how much later do their requests come than before? And
does everything come in order, also after a SIGKILL in the middle?
"""

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection
from statistics import mean
from typing import Final

import uvloop

from bench.children import Child
from bench.load import batch_in_pieces, head
from bench.measure import percentile
from bench.receiver import Seen, receive
from bench.report import Found, Row, row
from bench.run import Run
from bench.samples import ID_LENGTH, Sample, message_ids, numbered
from bench.serving import Server, add_totango
from tests.memory import pss

FLOOD: Final = 200_000  #: events of the flooding account, sent as fast as they are taken
USERS: Final = 1_000  #: of the flooding account: so many lines
BATCH: Final = 100  #: events of one of its requests, as SDKs send them
SENDERS: Final = 4  #: connections it comes over, each with users of its own
REFUSED: Final = 300  #: events of the account whose requests are answered with 503, of as many users
OTHERS: Final = 1_000  #: accounts that go on
PACE: Final = 200  #: their single events a second
LINES: Final = 32  #: connections they come over
WARM, QUIET, LOUD, AFTER = 3.0, 20.0, 40.0, 10.0  #: seconds: not counted, alone, beside the flood, after the SIGKILL
LATENCY: Final = 0.01  #: seconds, of the receiver
PATIENCE: Final = 90.0  #: seconds for what is left then
CALM: Final = 3.0  #: seconds without a request, after which nothing more will come
LOOK: Final = 0.25  #: seconds between two looks at receiver and memory
MEGABYTE: Final = 1_000_000
LATER, MOST = 1.5, 350  #: targets: p99 beside the flood / p99 alone; megabytes

_WHAT: Final = re.compile(rb"(?:^|&)sdr_([oua])=([^&]*)")

Times = dict[int, float]
"""Number of an event -> when it was answered with 200, by perf_counter, which all processes share on Linux."""


def isolation(run: Run) -> Found:
    """All of it on all cores, as in life: the kernel decides who runs where."""
    data, cores = run.fresh(), run.cores.all
    with (
        Child(receive, cores, LATENCY, True, b"sdr_o=refused&") as receiver,
        Child(others, cores) as going_on,
        Child(flood, cores) as flooding,
    ):
        add_totango(data, receiver.hello, after=0)
        with Server(data) as server, _Watch(server, receiver) as watch:
            going_on.ask((server.port, WARM))
            alone: Times = going_on.ask((server.port, QUIET))
            at_first = watch.heaviest()
            flooding.tell(server.port)
            beside: Times = going_on.ask((server.port, LOUD))
            taken = flooding.hear()
            middle = watch.heaviest()
            came = watch.came
            os.kill(server.delivery_pid, signal.SIGKILL)
            after: Times = going_on.ask((server.port, AFTER))
            watch.until_quiet()
            at_last = watch.heaviest()
    arrivals = Arrivals(watch.kept)
    quiet, loud = arrivals.waits(alone), arrivals.waits(beside)
    rows = [
        *_waits(quiet, loud),
        row("memory beside the flood", [middle / MEGABYTE], "MB", limit=[at_first / MEGABYTE],
            limit_is="PSS of both processes before it, the most", at_most=MOST),
        row("memory from the SIGKILL to its end", [at_last / MEGABYTE], "MB", limit=[middle / MEGABYTE],
            limit_is="and beside it", at_most=MOST),
        row("out of order", [len(arrivals.out_of_order)], "events", at_most=0),
        row("in flight beside one of the same key", [arrivals.overlaps], "events", at_most=0),
        row("missing of the others", [arrivals.missing(alone | beside | after)], "events", at_most=0),
    ]  # fmt: skip
    again = arrivals.waits(after)
    the_flood = (
        f"The flood: {FLOOD:,} events of {USERS:,} users of one account, accepted within {taken:.1f} s; "
        f"{arrivals.flood:,} of them came, {came:,} requests of all before the SIGKILL. {REFUSED} of another account "
        f"are answered with 503 throughout. {arrivals.twice} requests came twice."
    )
    the_others = (
        f"The others: {OTHERS:,} accounts, {PACE} single events a second, {len(alone):,} alone and {len(beside):,} "
        f"beside the flood. The receiver takes {LATENCY * 1000:g} ms."
    )
    the_kill = (
        f"After the SIGKILL of delivery: p50 {percentile(again, 0.5):.0f} ms, p99 {percentile(again, 0.99):,.0f} ms "
        f"of what was accepted in the {AFTER:g} s after it, the restart included."
    )
    return Found(rows, [the_flood, the_others, the_kill])


def _waits(quiet: list[float], loud: list[float]) -> Iterable[Row]:
    yield row(
        "accepted to received, p99",
        [percentile(loud, 0.99)],
        "ms",
        limit=[percentile(quiet, 0.99)],
        limit_is="the same without the flood, just before it",
        at_most=LATER,
        of="ratio",
    )
    yield row("  p50", [percentile(loud, 0.5)], "ms", limit=[percentile(quiet, 0.5)])
    yield row("  p90", [percentile(loud, 0.9)], "ms", limit=[percentile(quiet, 0.9)])
    yield row("  mean", [mean(loud)], "ms", limit=[mean(quiet)])
    yield row("  the longest", [max(loud)], "ms", limit=[max(quiet)])


class Arrivals:
    """
    What came, in order: (when, body) of each request.

    flood         events of the flood that came, each counted once
    twice         requests that came once more
    out_of_order  what came before its time, by its number
    overlaps      requests that came before the one before them, of the same key, was answered
    """

    def __init__(self, kept: list[tuple[float, bytes]]) -> None:
        self._first: Times = {}
        self.out_of_order: list[int] = []
        self.flood = self.twice = self.overlaps = 0
        newest: dict[bytes, int] = {}
        last: dict[bytes, float] = {}
        for at, body in kept:
            found = dict(_WHAT.findall(body))
            key = found[b"o"] + b"/" + found[b"u"]
            number = int(found[b"a"])
            if at < last.get(key, 0.0) + LATENCY:
                self.overlaps += 1
            last[key] = at
            if found[b"o"] == b"refused":
                continue
            if number in self._first:
                self.twice += 1
                continue
            self._first[number] = at
            self.flood += found[b"o"] == b"flood"
            if number < newest.get(key, -1):
                self.out_of_order.append(number)
            newest[key] = number

    def waits(self, accepted: Times) -> list[float]:
        """Milliseconds from the 200 to the request, of those that came; it may have come before."""
        return [max(0.0, self._first[n] - at) * 1000 for n, at in accepted.items() if n in self._first]

    def missing(self, accepted: Times) -> int:
        return sum(number not in self._first for number in accepted)


class _Watch:
    """
    Fetches what the receiver got, and weighs the server, in a thread.

    kept  of the receiver, in order
    came  how many requests, the refused ones left out
    """

    def __init__(self, server: Server, receiver: Child) -> None:
        self.kept: list[tuple[float, bytes]] = []
        self.came = 0
        self._server, self._receiver = server, receiver
        self._most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def heaviest(self) -> int:
        """Bytes of both processes together, the most that was seen since this was asked last."""
        most, self._most = self._most, 0
        return most

    def until_quiet(self) -> None:
        """Nothing came for a while, or PATIENCE is at its end."""
        deadline, came = time.monotonic() + PATIENCE, -1
        while came < self.came and time.monotonic() < deadline:
            came = self.came
            time.sleep(CALM)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK):
            self._look()

    def _look(self) -> None:
        seen: Seen = self._receiver.ask("seen")
        self.kept += seen.kept
        self.came += sum(b"sdr_o=refused&" not in body for _, body in seen.kept)
        try:
            self._most = max(self._most, sum(map(pss, self._server.pids)))
        except OSError:
            return  # killed a moment ago


# What others send: processes of their own


def others(pipe: Connection) -> None:
    """Takes (port, seconds), sends single events of OTHERS accounts at PACE, and answers with their Times."""
    pipe.send("ready")
    first = 10_000_000
    while True:
        port, seconds = pipe.recv()
        times = uvloop.run(_go_on(port, first, int(seconds * PACE)))
        pipe.send(times)
        first += int(seconds * PACE)


async def _go_on(port: int, first: int, count: int) -> Times:
    due: asyncio.Queue[int | None] = asyncio.Queue()
    times: Times = {}

    async def line() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (number := await due.get()) is not None:
            account = f"other-{number % OTHERS}"
            writer.write(_single(port, numbered(number, account, "u")))
            await _answered(reader)
            times[number] = time.perf_counter()
        writer.close()

    async with asyncio.TaskGroup() as lines:
        for _ in range(LINES):
            lines.create_task(line())
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(began + number / PACE - time.perf_counter())
            due.put_nowait(first + number)
        for _ in range(LINES):
            due.put_nowait(None)
    return times


def flood(pipe: Connection) -> None:
    """Takes a port, sends the refused account's events and then the flood; answers with the seconds that took."""
    pipe.send("ready")
    port = pipe.recv()
    pipe.send(uvloop.run(_pour(port)))
    pipe.recv()  # until the other end closes


async def _pour(port: int) -> float:
    refused = [numbered(number, "refused", f"u{number}") for number in range(REFUSED)]
    await _send(port, [refused[at : at + BATCH] for at in range(0, REFUSED, BATCH)])
    began = time.perf_counter()
    async with asyncio.TaskGroup() as senders:
        for sender in range(SENDERS):
            numbers = range(REFUSED + sender, REFUSED + FLOOD, SENDERS)
            events = [numbered(number, "flood", f"u{number % USERS}") for number in numbers]
            senders.create_task(_send(port, [events[at : at + BATCH] for at in range(0, len(events), BATCH)]))
    return time.perf_counter() - began


async def _send(port: int, requests: list[list[Sample]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for events in requests:
        pieces = batch_in_pieces(port, events)
        pieces[1::2] = message_ids(len(events))
        writer.write(b"".join(pieces))
        await _answered(reader)
    writer.close()


def _single(port: int, event: Sample) -> bytes:
    (id_,) = message_ids(1)
    length = len(event.head) + ID_LENGTH + len(event.tail)
    return head(port, "/v1/track", length) + event.head + id_ + event.tail


async def _answered(reader: asyncio.StreamReader) -> None:
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"Answered with {answer.splitlines()[0].decode()}")
    length = re.search(rb"content-length: *([0-9]+)", answer, re.IGNORECASE)
    await reader.readexactly(int(length[1]) if length else 0)
