"""What `milonga serve` says of itself to others: metrics for whoever asks, alerts once a minute."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from milonga.destinations.http import address_problem
from milonga.eventlog.sqlite import SqliteLog
from milonga.facts.directory import LOG_FOLDER
from milonga.facts.disk import DiskOptions
from milonga.metrics.alerts import Alerts
from milonga.metrics.figures import Collected, Figures
from milonga.metrics.listener import MetricsListener, Page
from milonga.metrics.posting import Posting, over_http
from milonga.metrics.reading import Reading
from milonga.metrics.rules import Thresholds
from milonga.workspace.errors import UserError

log = structlog.get_logger("milonga")

FRESH: Final = 1.0  #: seconds for which figures are not read again, however many ask


class Watch(Struct, frozen=True, kw_only=True):
    """
    Options of `milonga serve`.

    metrics        host and port of the metrics; None to serve none
    alert_url      where alerts are posted; None: nowhere, they are logged alone
    allow_private  it may lead to private, loopback and link-local addresses
    every          seconds between two judgements
    """

    metrics: tuple[str, int] | None = None
    alert_url: str | None = None
    allow_private: bool = False
    thresholds: Thresholds = Thresholds()
    every: float = 60.0

    def check(self) -> None:
        """UserError for an address that cannot be posted to. It may hold a secret and is not repeated."""
        problem = address_problem(self.alert_url or "")
        if problem is not None:
            raise UserError(f"--alert-url: {problem}.")


class _Figures:
    """Reads them in a thread, one reader at a time."""

    def __init__(self, reading: Reading, event_log: SqliteLog, collected: Callable[[int], Collected]) -> None:
        self._reading, self._event_log, self._collected = reading, event_log, collected
        self._read_at = -FRESH
        self._reads: asyncio.Task[Figures] | None = None

    async def now(self) -> Figures:
        """Whoever asks while they are read, or a second later, gets the same."""
        if self._reads is None or (self._reads.done() and time.monotonic() - self._read_at >= FRESH):
            self._reads = asyncio.create_task(self._read())
        return await asyncio.shield(self._reads)  # a thread goes on, whoever is cancelled

    async def _read(self) -> Figures:
        collected = self._collected(await self._event_log.end(0))
        try:
            return await asyncio.to_thread(self._reading.figures, collected)
        finally:
            self._read_at = time.monotonic()

    async def close(self) -> None:
        if self._reads is not None:
            await asyncio.wait((self._reads,))
        self._reading.close()


@asynccontextmanager
async def watching(
    data: Path,
    watch: Watch,
    event_log: SqliteLog,
    certificate: Path | None,
    collected: Callable[[int], Collected],
    why_not: Callable[[str, int, OSError | UnicodeError, str], str],
    disk: DiskOptions,
) -> AsyncIterator[None]:
    """
    As long as this lasts.

    certificate  of the server's own TLS, if it has one
    collected    what the collector has in memory, given the log's end
    why_not      (host, port, error, beginning of the options) -> why it cannot listen there, for a UserError
    """
    reading = Reading(data, data / LOG_FOLDER, certificate, time.time, reserve=disk.reserve, most=disk.log_size)
    await asyncio.to_thread(reading.begin)
    figures = _Figures(reading, event_log, collected)
    posting = None if watch.alert_url is None else Posting(over_http(watch.alert_url, watch.allow_private))
    alerts = Alerts(data, watch.thresholds)
    listener: MetricsListener | None = None
    chores = [] if posting is None else [asyncio.create_task(posting.run())]
    try:
        if watch.metrics is not None:
            try:
                listener = await MetricsListener.start(_page(figures, alerts), *watch.metrics)
            except (OSError, UnicodeError) as error:
                raise UserError(why_not(*watch.metrics, error, "--metrics-")) from error
            log.info("metrics.listening", url=listener.url)
        chores.append(asyncio.create_task(_judge(figures, alerts, posting, watch.every)))
        yield
    finally:
        for chore in chores:
            chore.cancel()
        if listener is not None:
            await listener.stop()
        await asyncio.gather(*chores, return_exceptions=True)
        await figures.close()


def _page(figures: _Figures, alerts: Alerts) -> Page:
    from milonga.metrics.exposition import exposition  # 40 ms and 3 MB that only who wants metrics should pay

    async def page(accept: str) -> tuple[bytes, str]:
        now = replace(await figures.now(), alerts=alerts.firing)
        return await asyncio.to_thread(exposition, now, accept)

    return page


async def _judge(figures: _Figures, alerts: Alerts, posting: Posting | None, every: float) -> None:
    """
    What has waited for the start gets a while to leave before it is judged. Whatever goes wrong here, the server goes
    on.
    """
    while True:
        await asyncio.sleep(every)
        try:
            for message in await asyncio.to_thread(alerts.judge, await figures.now()):
                if posting is not None:
                    posting.put(message)
        except Exception as error:
            log.error("alerts.failed", error=f"{type(error).__name__}: {error}")
