"""
The two halves of a running Milonga, as coroutines: the collector with its log, and delivery. `milonga serve` runs each
in a process of its own (milonga.cli.processes), or both in one.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import apsw
import structlog
from msgspec import Struct

from milonga.cli.disk import DiskWatch, Ledge
from milonga.cli.following import Followed
from milonga.cli.highest import highest_offset
from milonga.cli.keys_used import note_use_of_keys
from milonga.cli.processes import settle
from milonga.cli.regulating import Regulating
from milonga.cli.watching import Watch, watching
from milonga.collector.cdn import Cdn
from milonga.collector.collector import Collector
from milonga.collector.counts import What
from milonga.collector.proxies import Proxies
from milonga.collector.server import HttpServer
from milonga.collector.tls import Tls
from milonga.delivery.limits import Limits
from milonga.delivery.manager import Delivery
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.switching import first_offset, spans
from milonga.eventlog.accounts import accounts_in
from milonga.eventlog.erasing import places_in
from milonga.eventlog.levels import segment_size
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from milonga.facts.directory import LOG_FOLDER
from milonga.facts.disk import DiskOptions
from milonga.identity.message_id import new_message_id
from milonga.identity.new_accounts import NewAccounts
from milonga.metrics.figures import Collected
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig
from milonga.workspace.store import Workspace

log = structlog.get_logger("milonga")

DAY = 86_400  #: seconds
PINNED = 7 * DAY + 3600
"""Seconds that what is not delivered keeps its events in the log, at most: long enough for delivery to end them."""
CLEAN_UP = 60.0  #: seconds between two looks for segments that may go
TELL = 2.0  #: seconds between two times that the log is told of what was refused: longer than its own tick


class Keep(Struct, frozen=True, kw_only=True):
    """
    How long things are kept, in days: options of `milonga serve`.

    events    bytes of events in the log; what is not delivered stays up to 7 days in any case
    outcomes  what became of them
    counts    numbers per minute
    dead      dead letters; 0: until they are resent or discarded
    """

    events: float = 7.0
    outcomes: float = 30.0
    counts: float = 400.0
    dead: float = 0.0


class Listen(Struct, frozen=True, kw_only=True):
    """
    Where and how the collector is reached: options of `milonga serve`.

    port             0: any free one
    tls              certificate and key, in PEM; None for plain HTTP
    public_url       scheme and host by which senders know it, whatever a request says
    trusted_proxies  addresses and networks whose word about the sender counts
    """

    host: str
    port: int
    tls: tuple[Path, Path] | None = None
    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()


async def collect(
    data: Path,
    listen: Listen,
    *,
    accept_unknown: bool,
    keep: Keep,
    watch: Watch,
    disk: DiskOptions,
    stop: asyncio.Event,
    listening: Callable[[str], None],
) -> None:
    """
    Take events until `stop` is set; then finish what is under way.

    listening  called with the address once events are taken

    UserError if it cannot listen there.
    """
    watch.check()
    with Workspace.open(data) as workspace:
        _seal_addresses(workspace)
        try:
            proxies = Proxies(listen.trusted_proxies, listen.public_url)
            tls = None if listen.tls is None else Tls(*listen.tls)
        except ValueError as error:
            raise UserError(str(error)) from error
        followed = Followed(workspace)
        accounts = NewAccounts()
        cdn = Cdn(lambda: followed.sources, lambda: followed.destinations)
        event_log = await SqliteLog.open(
            data / LOG_FOLDER,
            behind=highest_offset(data, workspace),
            seal_at=SealAt(size=segment_size(disk.log_size, SealAt().size)),
            reserve=disk.reserve,
            most=disk.log_size,
        )
        levels = DiskWatch(data / LOG_FOLDER, disk)
        collector = Collector(
            log=event_log,
            ledger=event_log,
            source_of=followed.source_of,
            ended=followed.ended,
            allows_origin=followed.allows_origin,
            clock=time.time,
            new_id=new_message_id,
            ready=lambda: True,  # it listens only now that both are open
            writable=lambda: event_log.writable and not levels.level.refuses,
            disk=lambda: levels.level.value,
            accept_unknown=accept_unknown,
            serve=cdn.answer,
            proxies=proxies,
            accounts=accounts,
        )
        regulating = Regulating(data, workspace, event_log, collector)
        await regulating.suppress()
        chores = [
            asyncio.create_task(followed.follow()),
            asyncio.create_task(regulating.run()),
            asyncio.create_task(levels.follow()),
            asyncio.create_task(_clean_up(data, workspace, event_log, keep, levels)),
            asyncio.create_task(_tell_refused(collector)),
            asyncio.create_task(note_use_of_keys(data, followed)),
        ]
        try:
            certificate = None if listen.tls is None else listen.tls[0]
            async with watching(data, watch, event_log, certificate, _collected(collector, event_log), why_not, disk):
                try:
                    server = await HttpServer.start(collector, listen.host, listen.port, tls=tls)
                except (OSError, UnicodeError) as error:
                    raise UserError(why_not(listen.host, listen.port, error)) from error
                try:
                    settle()
                    listening(server.url)
                    chores.append(asyncio.create_task(_know_accounts(accounts, data / LOG_FOLDER, stop)))
                    await stop.wait()
                finally:
                    await server.stop()
        finally:
            for chore in chores:
                chore.cancel()
            collector.tell_refused()
            await event_log.close()


def _collected(collector: Collector, event_log: SqliteLog) -> Callable[[int], Collected]:
    """What it has in memory, given the log's end."""

    def collected(end: int) -> Collected:
        counts = {what: collector.counts[what] for what in get_args(What)}
        return Collected(counts=counts, held=collector.room.held, writable=event_log.writable, end=end)

    return collected


def _seal_addresses(workspace: Workspace) -> None:
    """Of an earlier Milonga. What cannot be sealed now, for want of the key, is with the next start."""
    try:
        if n := workspace.seal_addresses():
            log.info("workspace.addresses_sealed", versions=n)
            workspace.regulations.scrub()
    except apsw.BusyError:
        log.warning("workspace.not_tidied_up", then="old addresses may lie in free pages until a user is deleted")
    except UserError as error:
        log.warning("workspace.addresses_in_the_clear", error=str(error))


async def _know_accounts(accounts: NewAccounts, folder: Path, stop: asyncio.Event) -> None:
    """Which accounts the log holds: off the start's path, for that may take a while. Until then none is new."""

    def stored() -> Iterator[str]:
        for account in accounts_in(folder):
            if stop.is_set():
                return
            yield account

    try:
        accounts.know(await asyncio.to_thread(accounts.filter_of, stored(), lambda: time.sleep(0.001)))
    except (OSError, apsw.Error) as error:
        log.error("accounts.unreadable", error=f"{type(error).__name__}: {error}", then="no account counts as new")


async def _tell_refused(collector: Collector) -> None:
    while True:
        await asyncio.sleep(TELL)
        collector.tell_refused()


def why_not(host: str, port: int, error: OSError | UnicodeError, which: str = "--") -> str:
    """
    Why it cannot listen there, and what to do.

    which  how the options begin that say where
    """
    ours = f"{which}host takes an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them."
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"{host!r} is neither an address nor a name that can be resolved. {ours}"
    match error.errno:
        case errno.EADDRINUSE:
            used = f"Port {port} of {host} is in use by another program."
            return f"{used} Choose another with {which}port; 0 is any free one."
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine. {ours}"
        case errno.EACCES:
            return f"This user may not listen on port {port}. Choose one from 1024 up with {which}port."
        case _:
            return f"Milonga cannot listen on {host}, port {port}: {error.strerror}."


async def deliver(
    data: Path,
    *,
    allow_private: bool,
    keep: Keep,
    stop: asyncio.Event,
    reserve: int | None = None,
    limits: Limits | None = None,
) -> None:
    """
    Deliver until `stop` is set; then finish, or hand back, what is under way.

    reserve  bytes of the disk; see milonga.eventlog.levels.marks
    """
    reader = SqliteLogReader(data / LOG_FOLDER, bell="delivery")
    with Workspace.open(data) as workspace:
        delivery = Delivery(
            data,
            workspace,
            reader,
            allow_private=allow_private,
            limits=limits,
            places=partial(places_in, data / LOG_FOLDER),
            keep_outcomes=keep.outcomes * DAY,
            keep_counts=keep.counts * DAY,
            keep_dead=keep.dead * DAY,
            has_room=Ledge(data, reserve).has_room,
        )
        stopper = asyncio.create_task(_call_when(stop, delivery.stop))
        settle()
        try:
            await delivery.run()
        finally:
            stopper.cancel()
            await reader.close()


async def _call_when(event: asyncio.Event, call: Callable[[], None]) -> None:
    await event.wait()
    call()


async def _clean_up(data: Path, workspace: Workspace, event_log: SqliteLog, keep: Keep, disk: DiskWatch) -> None:
    """
    Segments go whole when they are old enough; while a destination needs one, only after PINNED. While the disk, or
    the log, is too full to take events, the oldest go that nobody needs, one by one.
    """
    while True:
        await disk.refuses_within(CLEAN_UP)
        try:
            needed = await first_needed(data, workspace, event_log)
            await event_log.drop_older_than(int(keep.events * DAY * 1000), needed)
            await event_log.drop_older_than(int(max(keep.events * DAY, PINNED) * 1000), await event_log.end(0) + 1)
            if disk.level.refuses:
                await make_room(event_log, keep, needed)
            await event_log.forget_counts(int(keep.counts * DAY * 1000))
        except (UserError, OSError, apsw.Error) as error:
            log.error("log.cannot_clean_up", error=f"{type(error).__name__}: {error}")


async def make_room(event_log: SqliteLog, keep: Keep, needed: int) -> bool:
    """
    Before its time the oldest segment goes that no destination needs. Not within a day: its message ids say what is a
    duplicate. Whether there was one.
    """
    begin = await event_log.begin(0)
    gone = await event_log.drop_oldest(int(min(keep.events, 1.0) * DAY * 1000), needed)
    if gone < begin:
        return False
    log.warning("log.dropped_early", upto=gone, why="the disk is too full to take events, and these are delivered")
    return True


async def first_needed(data: Path, workspace: Workspace, event_log: SqliteLog) -> int:
    """
    The first offset that some destination has still to read, or will read again because it is parked. One that has no
    position yet, or none any more because delivery.db was lost, will begin where it was first switched on.
    """
    end = await event_log.end(0) + 1
    try:
        reader = DeliveryReader(data / "delivery.db")
    except apsw.CantOpenError:
        return min([end, *(needed for one in workspace.destinations() for needed in _needed_by(one, None))])
    try:
        parked = reader.oldest_parked(0)
        replays = [after + 1 for after in reader.replays.needed(0)]
        needed = [needed for one in workspace.destinations() for needed in _needed_by(one, reader)]
        return min([end, *needed, *replays, *([] if parked is None else [parked])])
    finally:
        reader.close()


def _needed_by(config: DestinationConfig, reader: DeliveryReader | None) -> Iterator[int]:
    """The next offset that it reads, and those of its detours. None if it is off, and has read all that concerns it."""
    position = None if reader is None else reader.position(config.id, 0)
    if position is None:
        position = first_offset(config.changes, 0)
    taken = spans(config.changes, 0)
    if taken and (taken[-1][1] is None or position < taken[-1][1]):
        yield position + 1
    if reader is not None:
        yield from (row.after + 1 for row in reader.detours(config.id, 0))
