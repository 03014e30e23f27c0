"""
The delivery half of a running Milonga: one runner per destination, kept in step with the workspace, and the commands
people ask for while it runs.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import apsw
import structlog
from msgspec import Struct

from milonga.delivery.clock import Clock, boot, running, skips_after
from milonga.delivery.clock_set import clock_since, record_clock, tell
from milonga.delivery.erasing import Eraser, Places, Sweeper
from milonga.delivery.errands import Errands
from milonga.delivery.limits import Limits
from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.runner import Runner
from milonga.delivery.sender import Sender
from milonga.delivery.store import DeliveryStore, doubt
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.tools import Tools
from milonga.eventlog.api import LogReader
from milonga.eventlog.aside import DAMAGED
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.totals import KEEP_COUNTS
from milonga.outcomes.writer import KEEP_OUTCOMES, OutcomeWriter
from milonga.workspace.database import Token
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.store import Workspace

log = structlog.get_logger("milonga.delivery")

POLL = 0.5  #: seconds between two looks at the workspace; the promise is 5
CLEAN_UP = 3600.0  #: seconds between two looks for outcome files that are old enough to go
TROUBLE = (UserError, apsw.Error, OSError)  #: what the workspace raises, on a full disk for instance


class _Wish(Struct, frozen=True):
    """A state the pipeline wants a destination to have; see Workspace.change_state."""

    state: DestinationState
    by: str
    reason: str
    if_settings_version: int | None


class Delivery:
    """
    Opens its files when made; `run` until `stop` was called; then everything is closed.

    places                      see milonga.delivery.erasing
    keep_outcomes, keep_counts  seconds
    keep_dead                   seconds; 0.0: for good
    has_room                    whether the disk takes what is to be recorded of further requests; asked often
    """

    def __init__(
        self,
        data: Path,
        workspace: Workspace,
        event_log: LogReader,
        *,
        allow_private: bool = False,
        limits: Limits | None = None,
        places: Places = lambda _: iter(()),
        keep_outcomes: float = KEEP_OUTCOMES,
        keep_counts: float = KEEP_COUNTS,
        keep_dead: float = 0.0,
        has_room: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
        running: Callable[[], float] = running,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._workspace, self._log, self._dice = workspace, event_log, dice
        self._clock = Clock(clock, running, boot())
        self._keep_outcomes, self._keep_counts, self._keep_dead = keep_outcomes, keep_counts, keep_dead
        self._allow_private, self._limits = allow_private, limits or Limits()
        store = DeliveryStore(data / "delivery.db")
        self._skips = clock_since(store, self._clock, self._limits.backoff)
        self._doubt = doubt(data / "delivery.db")
        self._outcomes = OutcomeWriter(data / "outcomes", self._clock)
        self._recorder = Recorder(store, self._outcomes)
        self._reader = DeliveryReader(data / "delivery.db")
        self._outcome_reader = OutcomeReader(data / "outcomes")
        self._runners: dict[int, tuple[Runner, Sender, asyncio.Task[None]]] = {}
        self._errands = Errands(
            workspace.commands, self._reader, self._recorder, self._runner_of, self._suppressed, self._now_ms
        )
        self._eraser = Eraser(data, workspace.regulations, self._recorder, self._sweepers, places)
        self._wishes: dict[int, _Wish] = {}
        self._forgot = False
        self._trouble = ""
        self._has_room, self._had_room = has_room, True
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Deliver until `stop`; then finish or hand back what is under way."""
        token: Token | None = None
        clean_up = asyncio.get_running_loop().create_task(self._clean_up())
        try:
            while not self._stopping.is_set():
                token = await self._keep_up(token)
                self._check_runners()
                self._follow_clock()
                self._check_room()
                await self._pause(POLL)
        except DAMAGED:
            self._doubt.touch()
            raise
        finally:
            clean_up.cancel()
            await self._eraser.close()
            await self._close()

    def stop(self) -> None:
        self._stopping.set()

    async def _keep_up(self, token: Token | None) -> Token | None:
        """
        Do what the workspace says, if it changed since `token`, and tell it what there is to tell. While it cannot be
        read or written, all goes on as it was.
        """
        try:
            if token is None or self._workspace.changed_since(token):
                token = self._workspace.token()
                configs = self._workspace.destinations()
                pending = self._workspace.commands.pending()
                self._eraser.follow()
                if not self._forgot:
                    self._forget([former.id for former in self._workspace.former_destinations()])
            else:
                configs, pending = None, ()
        except TROUBLE as error:
            self._troubled(error)
            return None
        if configs is not None:
            await self._follow({config.id: config for config in configs})
        self._errands.carry_out(pending)
        for number in list(self._wishes):
            self._try_to_change(number)
        try:
            self._errands.tell()
        except TROUBLE as error:
            self._troubled(error)
        else:
            if not self._wishes:
                self._trouble = ""
        return token

    def _follow_clock(self) -> None:
        """If somebody set it, all that waits for a time moves with it."""
        before = self._clock()
        seconds = self._clock.follow()
        if not seconds:
            return
        tell(seconds)
        self._skips = skips = skips_after(self._skips, int(before * 1000), int((before + seconds) * 1000))
        for runner, _, _ in self._runners.values():
            runner.clock_set(seconds, skips)
        record_clock(self._recorder, self._clock, seconds, skips)

    def _troubled(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self._trouble:
            log.error("delivery.workspace", error=text)
        self._trouble = text

    def _forget(self, removed: list[int]) -> None:
        """Destinations that were removed while no delivery ran: their positions would hold the log."""
        self._forgot = True

        def forget(store: DeliveryStore) -> None:
            for number in removed:
                store.forget(number)

        self._recorder.record(Record(before=forget))

    async def _follow(self, configs: dict[int, DestinationConfig]) -> None:
        """Start, change and stop runners as the workspace says."""
        for number in list(self._runners.keys() - configs.keys()):
            await self._end(number, grace=2.0)
            self._recorder.record(Record(before=lambda store, number=number: store.forget(number)))  # type: ignore[misc]
        for number, config in configs.items():
            if number in self._runners:
                self._update(number, config)
                continue
            kind = self._workspace.kinds.get(config.kind)
            if kind is None:
                log.error("delivery.no_such_kind", destination=config.name, kind=config.kind)
                continue  # its place is kept for a Milonga that has this kind
            sender = Sender(
                asyncio.get_running_loop(),
                allow_private=self._allow_private,
                max_connections=config.delivery.concurrency,
            )
            tools = Tools(
                log=self._log,
                reader=self._reader,
                outcomes=self._outcome_reader,
                recorder=self._recorder,
                sender=sender,
                clock=self._clock,
                dice=self._dice,
                skips=self._skips,
                in_step=self._clock.is_in_step,
                change_state=self._change_state,
                doomed=lambda: self._eraser.doomed,
                has_room=lambda: self._had_room,
            )
            runner = Runner(config, kind, tools, self._limits)
            task = asyncio.get_running_loop().create_task(runner.run(), name=f"destination {config.name}")
            self._runners[number] = (runner, sender, task)

    def _sweepers(self) -> dict[int, Sweeper]:
        return {number: runner for number, (runner, _, _) in self._runners.items()}

    def _runner_of(self, number: int) -> Runner | None:
        return self._runners[number][0] if number in self._runners else None

    def _suppressed(self, source: int, users: Collection[str]) -> bool:
        return any(
            not by.keys().isdisjoint((source, None)) for by in map(self._workspace.regulations.suppressed, users)
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _change_state(self, number: int, state: DestinationState, by: str, reason: str) -> None:
        runner = self._runners[number][0]
        version = runner.config.settings_version if by == "settings" else None
        self._wishes[number] = _Wish(state, by, reason, version)
        self._try_to_change(number)

    def _try_to_change(self, number: int) -> None:
        """Now, or with the next look at the workspace: until then the destination sends nothing."""
        wish, runner = self._wishes.pop(number), self._runner_of(number)
        if runner is None:
            return
        try:
            self._workspace.change_state(
                number, wish.state, wish.by, wish.reason, {}, if_settings_version=wish.if_settings_version
            )
            config = self._workspace.destination(number)
        except TROUBLE as error:
            self._troubled(error)
            self._wishes[number] = wish
        else:
            self._update(number, config)

    def _update(self, number: int, config: DestinationConfig) -> None:
        runner, sender, _ = self._runners[number]
        sender.resize(config.delivery.concurrency)
        runner.update(config)

    def _check_runners(self) -> None:
        """A runner never ends by itself: if one does, the whole process ends, is started again, and resumes."""
        if self._recorder.damage is not None:
            raise self._recorder.damage
        for runner, _, task in self._runners.values():
            if task.done() and not self._stopping.is_set():
                log.error("delivery.runner_ended", destination=runner.config.name, error=repr(task.exception()))
                task.result()

    def _check_room(self) -> None:
        """While the disk could not take what becomes of them, no events are sent: somebody might get them twice."""
        had, self._had_room = self._had_room, self._has_room()
        if had and not self._had_room:
            log.error("delivery.disk_used_up", says="Nothing more is sent until there is room; nothing is lost.")
        elif self._had_room and not had:
            log.info("delivery.disk_has_room", says="Delivery goes on.")
            for runner, _, _ in self._runners.values():
                runner.go_on()

    async def _clean_up(self) -> None:
        """Beside everything else, which must not wait for it, whatever it meets."""
        while True:
            if self._keep_dead:
                before = int((self._clock() - self._keep_dead) * 1000)
                self._recorder.record(Record(before=partial(_drop_dead, before)))
            unknown = int((self._clock() - self._keep_outcomes) * 1000)
            self._recorder.record(Record(before=partial(_forget_sent, unknown)))
            try:
                dropped = await asyncio.to_thread(self._outcomes.drop_old, self._keep_outcomes, self._keep_counts)
                if dropped:
                    log.info("outcomes.dropped", files=dropped)
            except Exception as error:
                log.error("outcomes.cannot_clean_up", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(CLEAN_UP)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _end(self, number: int, grace: float) -> None:
        runner, sender, task = self._runners.pop(number)
        await runner.stop(grace)
        await sender.close(0.0)
        task.cancel()
        await asyncio.wait([task])

    async def _close(self, grace: float = 10.0) -> None:
        """Side by side: one slow destination must not take the others' time."""
        if self._recorder.trouble is not None:
            grace = 1.0  # what comes back could not be recorded anyway
        await asyncio.gather(*(self._end(number, grace) for number in list(self._runners)))
        await self._recorder.close()
        self._reader.close()


def _forget_sent(before: int, store: DeliveryStore) -> None:
    """What went out otherwise than it arrived, of events whose outcomes are not kept any more."""
    store.edited.drop_old(before)
    store.replays.drop_old(before)


def _drop_dead(before: int, store: DeliveryStore) -> None:
    dropped = store.drop_dead(before)
    if dropped:
        log.info("delivery.dead_letters_dropped", letters=dropped)
