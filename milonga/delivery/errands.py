"""What people ask of delivery while it runs (milonga.workspace.commands): to resend or discard dead letters."""

from collections.abc import Callable, Iterable

from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.runner import Runner
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.workspace.commands import Commands
from milonga.workspace.model import Command


class Errands:
    """runner_of  a destination's; None if it has none"""

    def __init__(
        self,
        commands: Commands,
        reader: DeliveryReader,
        recorder: Recorder,
        runner_of: Callable[[int], Runner | None],
    ) -> None:
        self._commands, self._reader, self._recorder, self._runner_of = commands, reader, recorder, runner_of
        self._newest = 0  # id of the newest command begun: its end may not be written yet
        self._answers: dict[int, dict[str, object]] = {}

    def carry_out(self, pending: Iterable[Command]) -> None:
        """Those not begun yet. A command is done when it is recorded; its answer counts what was done."""
        for command in pending:
            if command.id <= self._newest:
                continue
            self._newest = command.id
            answer: dict[str, object]
            try:
                answer = {"done": self._each_letter(command)}
            except (KeyError, TypeError, ValueError) as error:  # not from our CLI
                answer = {"error": f"{type(error).__name__}: {error}"}
            self._recorder.record(Record(then=lambda id_=command.id, a=answer: self._answers.update({id_: a})))  # type: ignore[misc]

    def tell(self) -> None:
        """Write the answers that are ready. What the workspace raises leaves them for the next time."""
        for command, answer in list(self._answers.items()):
            self._commands.finish(command, answer)
            del self._answers[command]

    def _each_letter(self, command: Command) -> int:
        """
        How many were resent or discarded.

        args  destination: its id; positions: [[partition, offset], ...]
        """
        number = int(str(command.args["destination"]))
        positions = command.args["positions"]
        runner = self._runner_of(number)
        if not isinstance(positions, list) or runner is None:
            raise ValueError("no such destination, or no list of positions")
        done = 0
        for partition, offset in positions:
            where = Position(partition, offset)
            letter = self._reader.dead(number, where)
            if letter is None:
                continue
            if command.kind == "resend":
                done += runner.resend(letter)
            else:
                self._recorder.record(Record(before=lambda store, where=where: store.remove_dead(number, where)))  # type: ignore[misc]
                done += 1
        return done
