"""A load: clients that send a mix of events side by side, and repeat what is not acknowledged."""

import time
from functools import partial
from itertools import islice
from threading import Event
from typing import Any, Final

from tests.faults.mix import ACCOUNTS, Made, mix
from tests.running import Client, Crowd, Milonga, in_threads

PATIENCE: Final = 180.0  #: seconds that a batch may take to be acknowledged


class Load:
    """
    Between `start` and `stop`, or until it has sent `most`.

    made   number -> event, of all that was begun to be sent
    acked  numbers of those that were acknowledged
    acks   the same by request: the port that it came from, and its numbers; in order for each port
    """

    def __init__(
        self,
        milonga: Milonga,
        key: str,
        seed: int,
        *,
        senders: int = 4,
        batch: int = 25,
        accounts: int = ACCOUNTS,
        pace: float | None = None,
        most: int | None = None,
        first: int = 0,
    ) -> None:
        """
        batch  events of one request
        pace   events in a second, of all senders together; None: as fast as they are acknowledged
        most   events, of all senders together
        first  number of the first one: that of a second load in the same log must be beyond all of the first one's
        """
        self.made: dict[int, Made] = {}
        self.acked: set[int] = set()
        self.acks: list[tuple[int, list[int]]] = []
        self.repeats = 0
        self._milonga, self._key, self._seed = milonga, key, seed
        self._senders, self._batch, self._accounts = senders, batch, accounts
        self._wait = None if pace is None else batch * senders / pace
        self._each = None if most is None else most // senders
        self._first = first
        self._stopping = Event()
        self._crowd: Crowd | None = None

    def start(self) -> "Load":
        self._crowd = in_threads(partial(self._send, sender) for sender in range(self._senders))
        return self

    def stop(self) -> "Load":
        """Begin no further batch; return when all that were begun are acknowledged. AssertionError if one never is."""
        self._stopping.set()
        return self.finish()

    def finish(self) -> "Load":
        """Return when `most` is sent and acknowledged."""
        assert self._crowd is not None
        self._crowd.join(2 * PATIENCE)
        return self

    @property
    def busy(self) -> bool:
        return self._crowd is not None and self._crowd.busy

    def _send(self, sender: int) -> None:
        events = mix(self._seed, sender, self._senders, self._accounts, self._first)
        if self._each is not None:
            events = islice(events, self._each)
        due = time.monotonic()
        with Client(self._milonga.port, self._key, PATIENCE) as client:
            while not self._stopping.is_set():
                group = list(islice(events, self._batch))
                if not group:
                    break
                calls: list[dict[str, Any]] = []
                for made, call in group:
                    self.made[made.number] = made
                    calls.append(call)
                client.send(calls)
                numbers = [made.number for made, _ in group]
                self.acked.update(numbers)
                self.acks.append((client.from_port, numbers))
                if self._wait is not None:
                    due = max(due + self._wait, time.monotonic() - 1.0)
                    self._stopping.wait(max(0.0, due - time.monotonic()))
            self.repeats += client.repeats
