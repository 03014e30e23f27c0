"""What a runner works with: everything that is I/O, time or chance."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from msgspec import Struct

from milonga.delivery.clock import Skips
from milonga.delivery.outgoing import Outgoing, Reply
from milonga.delivery.recorder import Recorder
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import LogReader
from milonga.outcomes.reader import OutcomeReader
from milonga.privacy.regulation import Doomed
from milonga.workspace.model import DestinationState


class Sender(Protocol):
    """milonga.delivery.sender. `done` is called exactly once, on the loop's thread, never from within `send`."""

    def send(self, outgoing: Outgoing, done: Callable[[Reply, float], None]) -> None: ...


class Tools(Struct, frozen=True, kw_only=True):
    """
    clock         unix seconds; if it is set, say so (`Runner.clock_set`)
    dice          0.0 to 1.0
    skips         what the clock has left out before now
    in_step       whether `clock` is the wall clock: False for the moment after that was set
    change_state  (destination id, state, by, reason): tell the workspace what the pipeline has decided. It may call
                  `Runner.update` at once or later
    doomed        users who are being deleted
    has_room      whether the disk takes what is to be recorded of further requests; who says no calls `Runner.go_on`
                  in the end
    aside         where what takes long is looked up, lest the loop waits; None: a thread of the loop's
    """

    log: LogReader
    reader: DeliveryReader
    outcomes: OutcomeReader
    recorder: Recorder
    sender: Sender
    clock: Callable[[], float]
    dice: Callable[[], float]
    skips: Skips = ()
    in_step: Callable[[], bool] = lambda: True
    change_state: Callable[[int, DestinationState, str, str], None]
    doomed: Callable[[], Doomed] = Doomed
    has_room: Callable[[], bool] = lambda: True
    aside: Executor | None = None
