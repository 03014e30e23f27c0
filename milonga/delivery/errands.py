"""
What people ask of delivery while it runs (milonga.workspace.commands): to resend, edit or discard dead letters, to move
parked keys, and replays.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

import apsw
import msgspec

from milonga.delivery.by_hand import KINDS, Done, Wish
from milonga.delivery.editing import NotValid
from milonga.delivery.letters import DISCARD, RESEND, EditWish, Letters, LetterWish, Refused
from milonga.delivery.parked_editing import ParkedEditWish
from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.replay_rows import Replay, ReplayState
from milonga.delivery.runner import Runner
from milonga.delivery.selection import Selection
from milonga.delivery.store_reader import DeliveryReader
from milonga.workspace.commands import Commands, milliseconds
from milonga.workspace.model import Command, DestinationState


class Errands:
    """
    runner_of   a destination's; None if it has none
    suppressed  see milonga.delivery.letters
    clock       unix milliseconds
    """

    def __init__(
        self,
        commands: Commands,
        reader: DeliveryReader,
        recorder: Recorder,
        runner_of: Callable[[int], Runner | None],
        suppressed: Callable[[int, Collection[str]], bool] = lambda source, users: False,
        clock: Callable[[], int] = milliseconds,
    ) -> None:
        self._clock = clock
        self._letters = Letters(reader, recorder, runner_of, suppressed)
        self._commands, self._reader, self._recorder, self._runner_of = commands, reader, recorder, runner_of
        self._newest = 0  # id of the newest command begun: its end may not be written yet
        self._answers: dict[int, dict[str, object]] = {}

    def carry_out(self, pending: Iterable[Command]) -> None:
        """Those not begun yet. A command is done when it is recorded; its answer counts what was done."""
        for command in pending:
            if command.id <= self._newest:
                continue
            self._newest = command.id
            if command.kind in (*KINDS, RESEND, DISCARD):
                self._begin(command)
                continue
            answer: dict[str, object]
            try:
                answer = self._answer(command)
            except (Refused, NotValid) as refused:
                answer = {"error": str(refused)}
            except (KeyError, TypeError, ValueError) as error:  # not from our CLI
                answer = {"error": f"{type(error).__name__}: {error}"}
            self._recorder.record(Record(then=lambda id_=command.id, a=answer: self._answers.update({id_: a})))  # type: ignore[misc]

    def _begin(self, command: Command) -> None:
        """One whose slices are carried out one by one, each once the one before is written."""
        done = Done()
        try:
            if command.kind in KINDS:
                wish = msgspec.convert(command.args, Wish)
                runner = self._runner_of(wish.destination)
                steps = iter(()) if runner is None else runner.carry_out(command.kind, wish, command.asked_at, done)
            else:
                steps = self._letters.carry_out(command, msgspec.convert(command.args, LetterWish), done)
            self._go_on(command, steps, done)
        except (msgspec.ValidationError, ValueError) as error:  # not from our CLI
            self._answers[command.id] = {"error": f"{type(error).__name__}: {error}"}

    def _go_on(self, command: Command, steps: Iterator[None], done: Done) -> None:
        try:
            next(steps)
        except StopIteration:
            answer: dict[str, object] = {"done": done.done}
            if command.kind in KINDS:
                answer["underWay"] = done.under_way
            self._recorder.record(Record(then=lambda: self._answers.update({command.id: answer})))
        except Refused as refused:
            self._answers[command.id] = {"error": str(refused)}
        except (TypeError, ValueError, apsw.Error) as error:
            self._answers[command.id] = {"error": f"{type(error).__name__}: {error}"}
        else:
            self._recorder.record(Record(then=lambda: self._go_on(command, steps, done)))

    def tell(self) -> None:
        """Write the answers that are ready. What the workspace raises leaves them for the next time."""
        for command, answer in list(self._answers.items()):
            self._commands.finish(command, answer)
            del self._answers[command]

    def _answer(self, command: Command) -> dict[str, object]:
        match command.kind:
            case "edit":
                self._letters.edit(msgspec.convert(command.args, EditWish), self._clock())
                return {"done": 1}
            case "parked_edit":
                self._letters.edit_parked(msgspec.convert(command.args, ParkedEditWish))
                return {"done": 1}
            case "replay":
                return self._begin_replay(command)
            case "set_replay":
                return self._set_replay(command)
            case _:
                raise ValueError(f"no such command: {command.kind}")

    def _begin_replay(self, command: Command) -> dict[str, object]:
        """
        args  destination: its id; wanted: a Selection; rate: events a second; overwrite: bool; by: who asks
        """
        args = command.args
        number = int(str(args["destination"]))
        runner = self._runner_of(number)
        if runner is None or runner.config.state is DestinationState.off:
            return {"error": "The destination is off, or gone."}
        runner.replaying.begin(
            Replay(
                id=command.id,
                destination=number,
                asked_at=command.asked_at,
                by=str(args["by"]),
                wanted=msgspec.convert(args["wanted"], Selection),
                rate=max(0.1, float(str(args["rate"]))),
                overwrite=bool(args["overwrite"]),
            )
        )
        return {"replay": command.id}

    def _set_replay(self, command: Command) -> dict[str, object]:
        """
        args  replay: its number; state: running, paused or stopped
        """
        number, state = int(str(command.args["replay"])), ReplayState(str(command.args["state"]))
        replay = self._reader.replays.one(number)
        runner = None if replay is None else self._runner_of(replay.destination)
        if replay is None or runner is None:
            return {"error": f"There is no replay {number}."}
        if replay.ended_at is not None:
            return {"error": f"Replay {number} has ended already: {replay.state.value}."}
        runner.replaying.set_state(number, state, "")
        return {"replay": number}
