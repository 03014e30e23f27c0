"""
The delivery half of a running Milonga: one runner per destination, kept in step with the workspace, and the commands
people ask for while it runs.
"""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from milonga.delivery.limits import Limits
from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.runner import Runner
from milonga.delivery.sender import Sender
from milonga.delivery.store import DeliveryStore, doubt
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.tools import Tools
from milonga.destinations import registry
from milonga.eventlog.api import LogReader, Position
from milonga.eventlog.aside import DAMAGED
from milonga.outcomes.files import KEEP_OUTCOMES, OutcomeReader, OutcomeWriter
from milonga.outcomes.totals import KEEP_COUNTS
from milonga.workspace.model import Command, DestinationState
from milonga.workspace.store import Workspace

log = structlog.get_logger("milonga.delivery")

POLL = 0.5  #: seconds between two looks at the workspace; the promise is 5
CLEAN_UP = 3600.0  #: seconds between two looks for outcome files that are old enough to go


class Delivery:
    """
    Opens its files when made; `run` until `stop` was called; then everything is closed.

    keep_outcomes, keep_counts  seconds
    """

    def __init__(
        self,
        data: Path,
        workspace: Workspace,
        event_log: LogReader,
        *,
        allow_private: bool = False,
        limits: Limits | None = None,
        keep_outcomes: float = KEEP_OUTCOMES,
        keep_counts: float = KEEP_COUNTS,
        clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._workspace, self._log, self._clock, self._dice = workspace, event_log, clock, dice
        self._keep_outcomes, self._keep_counts = keep_outcomes, keep_counts
        self._allow_private, self._limits = allow_private, limits or Limits()
        store = DeliveryStore(data / "delivery.db")
        self._doubt = doubt(data / "delivery.db")
        self._outcomes = OutcomeWriter(data / "outcomes", clock)
        self._recorder = Recorder(store, self._outcomes)
        self._reader = DeliveryReader(data / "delivery.db")
        self._outcome_reader = OutcomeReader(data / "outcomes")
        self._runners: dict[int, tuple[Runner, Sender, asyncio.Task[None]]] = {}
        self._stopping = asyncio.Event()
        self._carried_out = 0  # id of the newest command begun: its end may not be written yet

    async def run(self) -> None:
        """Deliver until `stop`; then finish or hand back what is under way."""
        token = None
        clean_up = asyncio.get_running_loop().create_task(self._clean_up())
        try:
            self._forget_removed()
            while not self._stopping.is_set():
                if token is None or self._workspace.changed_since(token):
                    token = self._workspace.token()
                    await self._follow()
                    self._carry_out()
                self._check_runners()
                await self._pause(POLL)
        except DAMAGED:
            self._doubt.touch()
            raise
        finally:
            clean_up.cancel()
            await self._close()

    def stop(self) -> None:
        self._stopping.set()

    def _forget_removed(self) -> None:
        """Destinations that were removed while no delivery ran: their positions would hold the log."""
        removed = [former.id for former in self._workspace.former_destinations()]

        def forget(store: DeliveryStore) -> None:
            for number in removed:
                store.forget(number)

        self._recorder.record(Record(before=forget))

    async def _follow(self) -> None:
        """Start, change and stop runners as the workspace says."""
        configs = {config.id: config for config in self._workspace.destinations()}
        for number in list(self._runners.keys() - configs.keys()):
            await self._end(number, grace=2.0)
            self._recorder.record(Record(before=lambda store, number=number: store.forget(number)))  # type: ignore[misc]
        for number, config in configs.items():
            if number in self._runners:
                self._runners[number][0].update(config)
                continue
            sender = Sender(
                asyncio.get_running_loop(),
                allow_private=self._allow_private,
                max_connections=self._limits.in_flight,
            )
            tools = Tools(
                log=self._log,
                reader=self._reader,
                outcomes=self._outcome_reader,
                recorder=self._recorder,
                sender=sender,
                clock=self._clock,
                dice=self._dice,
                change_state=self._change_state,
            )
            runner = Runner(config, registry.kind(config.kind), tools, self._limits)
            task = asyncio.get_running_loop().create_task(runner.run(), name=f"destination {config.name}")
            self._runners[number] = (runner, sender, task)

    def _change_state(self, number: int, state: DestinationState, by: str, reason: str) -> None:
        runner = self._runners[number][0]
        version = runner.config.settings_version if by == "settings" else None
        if self._workspace.change_state(number, state, by, reason, {}, if_settings_version=version):
            runner.update(self._workspace.destination(number))

    def _carry_out(self) -> None:
        """What people asked for. A command is done when it is recorded; its answer counts what was done."""
        for command in self._workspace.commands.pending():
            if command.id <= self._carried_out:
                continue
            self._carried_out = command.id
            try:
                done = self._resend(command) if command.kind == "resend" else self._discard(command)
            except (KeyError, TypeError, ValueError) as error:  # not from our CLI
                self._workspace.commands.finish(command.id, {"error": f"{type(error).__name__}: {error}"})
                continue
            self._recorder.record(
                Record(then=lambda id_=command.id, n=done: self._workspace.commands.finish(id_, {"done": n}))  # type: ignore[misc]
            )

    def _resend(self, command: Command) -> int:
        return self._each_letter(command, resend=True)

    def _discard(self, command: Command) -> int:
        return self._each_letter(command, resend=False)

    def _each_letter(self, command: Command, *, resend: bool) -> int:
        """args  destination: its id; positions: [[partition, offset], ...]"""
        number = int(str(command.args["destination"]))
        positions = command.args["positions"]
        if not isinstance(positions, list) or number not in self._runners:
            raise ValueError("no such destination, or no list of positions")
        done = 0
        for partition, offset in positions:
            letter = self._reader.dead(number, Position(partition, offset))
            if letter is None:
                continue
            if resend:
                self._runners[number][0].resend(letter)
            else:
                where = letter.position
                self._recorder.record(Record(before=lambda store, where=where: store.remove_dead(number, where)))  # type: ignore[misc]
            done += 1
        return done

    def _check_runners(self) -> None:
        """A runner never ends by itself: if one does, the whole process ends, is started again, and resumes."""
        if self._recorder.damage is not None:
            raise self._recorder.damage
        for runner, _, task in self._runners.values():
            if task.done() and not self._stopping.is_set():
                log.error("delivery.runner_ended", destination=runner.config.name, error=repr(task.exception()))
                task.result()

    async def _clean_up(self) -> None:
        """Beside everything else, which must not wait for it, whatever it meets."""
        while True:
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
