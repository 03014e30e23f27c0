"""What people who watch a live view take from the collector, measured in turns with nobody watching."""

import asyncio
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Final

from bench.children import Child
from bench.load import Load, Took, generate
from bench.measure import pin
from bench.report import Row, row
from bench.run import Run
from bench.serving import SOURCE
from milonga.console.app import SESSION
from tests.running import Milonga

VIEWERS: Final = 20
SECONDS: Final = 4.0  #: of a round of load
PACE: Final = 2_000  #: requests per second of the load that leaves something of the machine
STREAM: Final = f"/sources/{SOURCE}/stream"


def look_on(pipe: Connection, host: str, port: int, path: str, cookie: str) -> None:
    """Many viewers of one process. Takes how many there are to be; answers how much they got since."""
    asyncio.run(_Watching(pipe, host, port, path, cookie).run())


class _Watching:
    def __init__(self, pipe: Connection, host: str, port: int, path: str, cookie: str) -> None:
        self._pipe, self._host, self._port = pipe, host, port
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n"
            f"Cookie: {SESSION}={cookie}\r\n\r\n"
        ).encode()
        self._viewers: list[asyncio.Task[None]] = []
        self.taken = 0

    async def run(self) -> None:
        self._pipe.send("ready")
        while True:
            wanted = await asyncio.to_thread(self._pipe.recv)
            while len(self._viewers) < wanted:
                reader, writer = await asyncio.open_connection(self._host, self._port)
                writer.write(self._request)
                said = await reader.readline()
                if b" 200 " not in said:
                    raise RuntimeError(f"The live view answers {said!r}")
                self._viewers.append(asyncio.create_task(self._look(reader, writer)))
            while len(self._viewers) > wanted:
                self._viewers.pop().cancel()
            taken, self.taken = self.taken, 0
            self._pipe.send(taken)

    async def _look(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.taken += len(data)
        finally:
            writer.close()


def watched(run: Run, server: Milonga, host: str, port: int, cookie: str) -> Iterator[Row]:
    """
    As many as the collector takes, and at a fixed pace; without viewers, and with, in turns.

    host, port  of the console
    """
    alone: list[Took] = []
    beside: list[Took] = []
    paced: list[Took] = []
    paced_beside: list[Took] = []
    taken: list[float] = []
    pin(server.pid, run.cores.measured)
    console = server.console_pid() or 0
    for pid in (server.delivery_pid() or 0, console):
        pin(pid, run.cores.others)
    watch = (server.pid, console)
    most = Load(port=server.port, seconds=SECONDS, watch=watch)
    steady = Load(port=server.port, seconds=SECONDS, watch=watch, per_second=PACE)
    with (
        Child(generate, run.cores.others) as generator,
        Child(look_on, run.cores.others, host, port, STREAM, cookie) as viewers,
    ):
        generator.ask(most)
        for _ in range(run.rounds):
            viewers.ask(0)
            alone.append(generator.ask(most))
            paced.append(generator.ask(steady))
            viewers.ask(VIEWERS)
            beside.append(generator.ask(most))
            paced_beside.append(generator.ask(steady))
            taken.append(viewers.ask(VIEWERS) / (2 * SECONDS) / VIEWERS / 1000)
    without = f"the same without viewers; {run.shared}"
    yield row("single events beside 20 live viewers", [one.rate for one in beside], "events/s",
              limit=[one.rate for one in alone], limit_is=without)  # fmt: skip
    yield row(
        "  per CPU second of the collector", _per_cpu(beside, server.pid), "events/s", limit=_per_cpu(alone, server.pid)
    )
    yield row("  p99", [one.p99 for one in beside], "ms", limit=[one.p99 for one in alone])
    yield row(f"at {PACE:,}/s, p50", [one.p50 for one in paced_beside], "ms", limit=[one.p50 for one in paced])
    yield row(f"at {PACE:,}/s, p99", [one.p99 for one in paced_beside], "ms", limit=[one.p99 for one in paced])
    share, usual = (_share(rounds, console) for rounds in (paced_beside, paced))
    yield row("  the console's part of a core", share, "%", limit=usual)
    yield row("a viewer gets", taken, "kB/s")


def _per_cpu(rounds: list[Took], pid: int) -> list[float]:
    return [one.events / max(0.01, one.cpu[pid]) for one in rounds]


def _share(rounds: list[Took], pid: int) -> list[float]:
    """Index and all; percent."""
    return [one.cpu[pid] / one.seconds * 100 for one in rounds]
