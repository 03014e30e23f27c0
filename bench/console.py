"""
The console on a data directory of a week: how long each page and each list of the API takes, and what live viewers take
from the collector. The directory is made once and used again (bench/furnishing.py), its index likewise: then it takes
some six minutes.
"""

import os
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from bench.children import once
from bench.furnishing import complete, furnished
from bench.measure import cpu_of, own_cpu, percentile
from bench.places import Places
from bench.report import Found, row
from bench.run import Run
from bench.watching import watched
from milonga.console.app import SESSION
from milonga.index.index import EventIndex
from milonga.workspace.passwords import hashed
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.memory import pss
from tests.running import Milonga, eventually

OPTIONS: Final = ("--keep-events", "400", "--keep-outcomes", "400")
SLOW: Final = 200.0  #: milliseconds that a page may take
ROUNDS, LEAST, BUDGET = (
    100,
    20,
    4.0,
)  #: requests of a page; but no more seconds than this, and at least so many requests
INDEX_PATIENCE: Final = 7_200.0  #: seconds


class Admitted(Struct, frozen=True):
    """
    user    an administrator
    cookie  of their session
    token   of the API
    link    secret of a link that nobody has used
    """

    user: str
    cookie: str
    token: str
    link: str


class Asked(Struct, frozen=True):
    """
    path    with its query
    status  of HTTP, of the last answer
    size    bytes of the last answer
    first   milliseconds of the first request, which finds nothing prepared
    times   of the others: from the request to the whole answer
    cpu     milliseconds of the console's process for one answer: what it takes however busy the machine is
    """

    path: str
    status: int
    size: int
    first: float
    times: list[float]
    cpu: float

    @property
    def p50(self) -> float:
        return percentile(self.times, 0.5)

    @property
    def p99(self) -> float:
        return percentile(self.times, 0.99)


def console(run: Run) -> Found:
    """`--stored 10000000` for the size that the figures in bench/README.md are of; --folder keeps the directory."""
    data, made = furnished(run.folder.parent, run.stored, run.cores.all)
    was_there = (data / "index").exists()
    built = once(build, run.cores.all, data, patience=INDEX_PATIENCE)
    admitted = _admit(data)
    places = Places(run.stored, admitted.user, admitted.link, complete(data))
    with Milonga(data, *OPTIONS, console=True) as server:
        server.start()
        visitor, stranger = Visitor(server, admitted.cookie, admitted.token), Visitor(server, "", "")
        eventually(visitor.is_there, "the console answers")
        load = os.getloadavg()[0]
        pages = [visitor.get(path) for path in places.pages()] + [stranger.get(path) for path in places.for_strangers()]
        lists = [visitor.get(path) for path in places.lists()]
        loads = f"load average {load:.1f} before the pages, {os.getloadavg()[0]:.1f} after them"
        weight = {"collector": pss(server.pid), "console": pss(server.console_pid())}
        notes = [*_made(data, run.stored, made, built, whole=not was_there), *_weights(weight), loads]
        notes += [_slow("pages", pages), _slow("lists of the API", lists)]
        if places.missing:
            notes.append(f"not asked for: {', '.join(places.missing)}")
        text = "\n".join([table_of("page", pages), "", table_of("API", lists)])
        rows = [
            row("pages: the longest p99", [max(one.p99 for one in pages)], "ms", at_most=SLOW),
            row("  of all requests together, p99", [percentile(_all(pages), 0.99)], "ms"),
            row("  the longest first request", [max(one.first for one in pages)], "ms"),
            row("  the dearest: CPU", [max(one.cpu for one in pages)], "ms"),
            row("lists of the API: the longest p99", [max(one.p99 for one in lists)], "ms"),
            row("  of all requests together, p99", [percentile(_all(lists), 0.99)], "ms"),
            *watched(run, server, visitor.where.hostname or "", visitor.where.port or 0, visitor.cookie),
        ]
    return Found(rows, notes, text)


def build(data: Path) -> dict[str, float]:
    """
    Seconds until the index is complete, without the rests that the console's takes, and of CPU time; bytes of memory at
    the most; bytes of its files.
    """
    index, most = EventIndex(data, rest=0.0), 0
    began, cpu = time.perf_counter(), own_cpu()
    index.start()
    try:
        while not (index.standing.settled and not index.standing.behind):
            if index.standing.trouble:
                raise RuntimeError(index.standing.trouble)
            most = max(most, pss(os.getpid()))
            time.sleep(0.2)
        took = time.perf_counter() - began
    finally:
        index.stop()
    size = sum(path.stat().st_size for path in (data / "index").rglob("*") if path.is_file())
    return {"seconds": took, "cpu": own_cpu() - cpu, "memory": most, "size": size}


def _admit(data: Path) -> Admitted:
    with Workspace.open(data) as workspace:
        name = f"bench-{time.time_ns()}"
        _, link = workspace.users.add(name, Role.administrator)
        stored = hashed("a few words will do")
        user = workspace.users.use_link(link, stored)
        _, token = workspace.tokens.create(name, Role.administrator, days=1)
        _, unused = workspace.users.add(f"{name}-invited", Role.viewer)
        return Admitted(name, workspace.sessions.begin(user, stored, "127.0.0.1", "bench"), token, unused)


class Visitor:
    """Over one kept connection."""

    def __init__(self, server: Milonga, cookie: str, token: str) -> None:
        self.where = urlsplit(server.console_url)
        self._headers = {"Cookie": f"{SESSION}={cookie}", "Authorization": f"Bearer {token}"} if cookie else {}
        self._connection = HTTPConnection(self.where.hostname or "", self.where.port, timeout=120)
        self._server, self.cookie = server, cookie

    def is_there(self) -> bool:
        try:
            return self._ask("/static/none")[0] == 404
        except OSError:
            return False

    def get(self, path: str) -> Asked:
        pid, times = self._server.console_pid() or 0, list[float]()
        began = time.perf_counter()
        status, body = self._ask(path)
        first, cpu = (time.perf_counter() - began) * 1000, cpu_of(pid)
        while len(times) < LEAST or (len(times) < ROUNDS and time.perf_counter() - began < BUDGET):
            sent = time.perf_counter()
            status, body = self._ask(path)
            times.append((time.perf_counter() - sent) * 1000)
        return Asked(path, status, len(body), first, times, (cpu_of(pid) - cpu) * 1000 / len(times))

    def _ask(self, path: str) -> tuple[int, bytes]:
        try:
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            self._connection.close()
            raise


def table_of(what: str, asked: list[Asked]) -> str:
    """Markdown, the dearest first."""
    lines = [f"| {what} | p50 ms | p99 ms | first ms | CPU ms | kB | |", "|---|---|---|---|---|---|---|"]
    for one in sorted(asked, key=lambda one: -one.cpu):
        said = f"HTTP {one.status}" if one.status >= 300 else "SLOW" if one.p99 > SLOW else ""
        lines.append(
            f"| `{one.path}` | {one.p50:.0f} | {one.p99:.0f} | {one.first:.0f} | {one.cpu:.1f} |"
            f" {one.size / 1000:.0f} | {said} |"
        )
    return "\n".join(lines)


def _all(asked: list[Asked]) -> list[float]:
    return [time_ for one in asked for time_ in one.times]


def _slow(what: str, asked: list[Asked]) -> str:
    slow = [f"{one.path} ({one.p99:.0f} ms)" for one in asked if one.p99 > SLOW]
    said = f"p99 over {SLOW:.0f} ms at {', '.join(slow)}" if slow else f"none has a p99 over {SLOW:.0f} ms"
    return f"{len(asked)} {what}, {sum(len(one.times) for one in asked):,} requests: {said}"


def _made(data: Path, events: int, made: float, built: Mapping[str, float], *, whole: bool) -> list[str]:
    """whole  the index was built, not only brought up to the log's end"""
    log = sum(path.stat().st_size for path in (data / "log").glob("*.db"))
    found = [f"{events:,} events, {log / 1e9:.1f} GB of log" + (f", made in {made:.0f} s" if made else ", made before")]
    size = f"{built['size'] / 1e9:.2f} GB ({built['size'] / events:.0f} bytes an event)"
    if whole:
        found.append(
            f"index: built in {built['seconds']:.0f} s without rests, {built['cpu'] / events * 1e6:.0f} us of CPU an "
            f"event, {built['memory'] / 1e6:.0f} MB of memory at the most; {size}"
        )
    else:
        found.append(f"index: was there, and took {built['seconds']:.1f} s to come up to the log's end; {size}")
    return found


def _weights(weight: Mapping[str, int]) -> list[str]:
    return [f"memory after all pages: {', '.join(f'{name} {size / 1e6:.0f} MB' for name, size in weight.items())}"]
