"""What must never be otherwise while a world goes on: asked at each request that leaves."""

from typing import TYPE_CHECKING

from milonga.delivery.ratelimit import burst_of
from milonga.delivery.switching import Fate, fate, spans
from milonga.outcomes.model import State
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState

if TYPE_CHECKING:
    from tests.delivery.world import World

MOST = 8  #: requests at once


class Invariants:
    """
    deliveries      delivery settings that were in force, the last one now
    most_in_memory  events
    """

    def __init__(self, world: "World", usual: DeliverySettings) -> None:
        self._world = world
        self.deliveries = [usual]
        self.most_in_memory = 0
        self.opened()

    def opened(self) -> None:
        """The process began anew."""
        self._under_way = 0  # requests that were in flight when these settings came, as far as they still are
        self._allowed_at = self._world.loop.time()
        self._allowance = burst_of(self.deliveries[-1].rate_limit)  # requests that may go at once, as of then

    def changes(self, delivery: DeliverySettings) -> None:
        """From now on these; what is under way goes on."""
        self._allow(self.deliveries[-1].rate_limit)
        self._allowance = min(self._allowance, burst_of(delivery.rate_limit))
        self._under_way = max(self._world.receiver.open, self._under_way)
        self.deliveries.append(delivery)

    def _allow(self, per_second: float) -> None:
        """Since last time more requests may go."""
        now = self._world.loop.time()
        more = (now - self._allowed_at) * per_second
        self._allowance, self._allowed_at = min(burst_of(per_second), self._allowance + more), now

    def check_request(self) -> None:
        """That a further request may go out now."""
        delivery, under_way = self.deliveries[-1], self._world.receiver.open
        assert under_way < max(delivery.concurrency, self._under_way), f"{under_way} are under way already"
        self._under_way = min(self._under_way, under_way + 1)
        if delivery.rate_limit:
            self._allow(delivery.rate_limit)
            assert self._allowance > 1.0 - 1e-3, f"more than {delivery.rate_limit} a second"
            self._allowance -= 1.0

    def check_send(self, n: int, part: str, word: str) -> None:
        """That this part of an event may."""
        world = self._world
        change = world.config.changes[-1]
        may = change.state is DestinationState.on or (
            change.state is DestinationState.paused and change.by == "settings"
        )
        assert may, f"{n} was sent while {change.state}"
        place = world.places[n]
        taken = spans(world.config.changes, place.partition)
        again = n in world.resent or world.replay_of(n)
        assert again or fate(taken, place.offset) is Fate.deliver, f"{n} does not concern the destination"
        assert word == world.config.settings.word, "sent with old settings"  # type: ignore[attr-defined]
        last = world.outcomes[n][-1] if world.outcomes[n] else None
        ended = last is not None and not world.replay_of(n) and not (again and last.state is State.dead)
        assert not ended, f"{n} was sent after its end: {last}"
        progress = world.reader.progress(world.config.id, place)
        assert progress is None or part not in progress.parts, f"{part} of {n} was sent again"
        assert world.loop.time() >= world.receiver.not_before.get(n, 0.0) - 0.01, f"{n} was sent before Retry-After"
        work = world.runner._work
        self.most_in_memory = max(self.most_in_memory, len(work.line_up))
        # Those under way when their lines were parked, and a dead letter's suspects, may stay beside a full window.
        bound = world.limits.window * world.partitions + world.limits.loaded + MOST + 5
        bound += world.limits.detours * world.limits.account // 2
        assert len(work.line_up) <= bound, f"{len(work.line_up)} events in memory"
