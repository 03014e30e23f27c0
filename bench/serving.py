"""A real `milonga serve` in its own processes, and data directories for it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bench.children import once
from bench.load import KEY
from bench.measure import Cores, children_of, pin
from bench.samples import mix, stamped
from milonga.eventlog.sqlite import SqliteLog
from milonga.facts.directory import LOG_FOLDER
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

SOURCE = "bench"
DESTINATION = "totango"
PATIENCE = 10.0  #: seconds for its delivery process to be there


def set_up(data: Path) -> int:
    """A source with the write key of the load; its id. Nothing changes if it is there already."""
    with Workspace.open(data) as workspace:
        found = workspace.sources.of_key(KEY) or workspace.sources.add(SOURCE, KEY)
        return found.id


def add_totango(
    data: Path, port: int, *, after: int, state: DestinationState = DestinationState.on, **delivery: object
) -> int:
    """
    A Totango that is the receiver on this port, and gets what the log holds beyond `after`; its id.

    delivery  settings of the delivery, such as concurrency=256
    """
    settings = {"serviceId": "SP-12345-01", "endpoint": f"http://127.0.0.1:{port}/pixel.gif/", **delivery}
    with Workspace.open(data) as workspace:
        made = workspace.add_destination("totango", SOURCE, DESTINATION, settings, state, {0: after})
        return made.id


def switch(data: Path, state: DestinationState) -> None:
    """In force in a running server within a second or so."""
    with Workspace.open(data) as workspace:
        workspace.change_state(DESTINATION, state, "bench", "measuring", {})


def remove_totango(data: Path) -> None:
    with Workspace.open(data) as workspace:
        workspace.remove_destination(DESTINATION, {})


class Server:
    """
    `milonga serve` between `with` and its end. It also ends when the bench dies: it watches a pipe of ours.

    pid   of the collector, the parent
    port  where it listens
    """

    def __init__(self, data: Path, cores: Cores | None = None, environment: Mapping[str, str] | None = None) -> None:
        """
        cores        the collector runs on the measured one, delivery on the others; None: wherever the kernel likes
        environment  beside what it has from us
        """
        life, self._held = os.pipe()
        self._log = (data.parent / f"{data.name}.log").open("ab")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "milonga", "serve", "--data", str(data), "--port", "0", "--no-console"),
                *("--allow-private-destinations", "--life", str(life)),
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
            pass_fds=(life,),
            env={**os.environ, **(environment or {})},
        )
        os.close(life)
        self.pid = self._process.pid
        try:
            self.port = self._listening()
            if cores is not None:
                pin(self.delivery_pid, cores.others)
                pin(self.pid, cores.measured)
        except BaseException:
            self.__exit__()
            raise

    def _listening(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if "takes events at" not in line:
            raise RuntimeError(f"milonga serve did not start: {line or Path(self._log.name).read_text()[-2000:]}")
        return int(line.split("http://")[1].split()[0].rsplit(":", 1)[1])

    @property
    def delivery_pid(self) -> int:
        """Its child."""
        deadline = time.monotonic() + PATIENCE
        while not (children := children_of(self.pid)):  # it is started side by side with the collector
            if time.monotonic() > deadline:
                raise RuntimeError("milonga serve has no delivery process")
            time.sleep(0.01)
        return children[0]

    @property
    def pids(self) -> tuple[int, int]:
        return self.pid, self.delivery_pid

    def kill(self) -> None:
        """SIGKILL; delivery ends by itself."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._held)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


def fill(data: Path, source: int, count: int, cores: set[int]) -> None:
    """Append so many events to a data directory that nobody serves."""
    once(_fill, cores, data, source, count, patience=60 + count / 5_000)


def _fill(data: Path, source: int, count: int) -> None:
    asyncio.run(_append(data, source, count))


async def _append(data: Path, source: int, count: int) -> None:
    samples = mix(5_000)
    log = await SqliteLog.open(data / LOG_FOLDER)
    for at in range(0, count, 10_000):
        parts = [(min(500, count - place), place) for place in range(at, min(at + 10_000, count), 500)]
        await asyncio.gather(*(log.append(stamped(samples, source, size, place)) for size, place in parts))
    await log.close()
    for path in (data / LOG_FOLDER).glob("*.db"):  # else the kernel writes them while we measure
        with path.open("rb") as file:
            os.fdatasync(file.fileno())
