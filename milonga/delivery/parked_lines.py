"""
Lines that do not move are parked: their places go to disk, in order, and the watermark goes on without them. An event
is parked if any of its keys is; so a key is parked as long as a parked event stands behind it.

A parked line is looked after from its head: the head is loaded when it is first in all its lines, nothing of these
lines is left in memory before it, and its time has come. Everything that keeps it from being loaded now looks at the
line again when it goes away, so no line is forgotten; `parked_due` in the store remembers those that wait for a time.

There is room in memory for some parked events only, and an account takes a further place only while it has fewer than
are free, as with slots (milonga.delivery.turns): the rest of its lines is put aside until it has room.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from milonga.delivery.entry import NOTHING_YET, Entry
from milonga.delivery.recorder import Record
from milonga.delivery.rows import ASIDE, NEVER, Parked, Progress
from milonga.delivery.store import DeliveryStore
from milonga.delivery.tally import Tally
from milonga.delivery.work import Work
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position
from milonga.outcomes.model import Outcome

T = TypeVar("T")

AT_ONCE = 16  #: events of one line that are loaded together
A_FEW = 4  #: and of one whose account has many lines


class ParkedLines:
    """
    The parked lines of one destination.

    load     called with the head of its lines, and what is known of its tries, when it is its turn
    in_hand  parked events that are in memory, or whose end is being written: whoever takes one out looks at its lines
    loaded   how many events were brought back into memory and are still there (`take_out` when they leave it)
    count    how many events are parked
    """

    def __init__(self, work: Work, load: Callable[[Parked, Progress | None], None]) -> None:
        self._work, self._load = work, load
        self._number, self._reader = work.config.id, work.tools.reader
        self._joining: Counter[Key] = Counter()  # places that are not durable yet, by key and by account
        self._joining_of: Counter[str] = Counter()
        self.in_hand: set[Position] = set()
        self.loaded = 0
        self.count = self._reader.parked_count(self._number)
        self._crowded = False  # lines wait for room in memory: one that goes on joins their queue
        self._asked = self._asked_aside = False
        self._loaded_of: Counter[str] = Counter()
        self._aside: Counter[str] = Counter()  # how many lines of an account were ever put aside, while some may be
        # Keys may be a million: these say "surely not", and where they do not the store knows.
        self._counts, self._places = Tally(), Tally()  # by key; in all lines of an account
        for key, n in self._reader.parked_sizes(self._number):
            self._counts.add(key, n)
            self._places.add(key[0], n)

    def __bool__(self) -> bool:
        return self._counts.total > 0

    def holds(self, keys: Iterable[Key]) -> bool:
        """Whether an event with these keys must be parked too."""
        return self._counts.total > 0 and any(self._holds(key) for key in keys)

    def _holds(self, key: Key) -> bool:
        if not self._counts.at_most(key):
            return False
        return key in self._joining or self._reader.head(self._number, key) is not None

    def places_of(self, account: str) -> int:
        """How many places its lines have, all together: an event with two keys has two."""
        places = self._places.at_most(account)
        if places > A_FEW:
            return places  # whoever asks wants to know whether it is many
        return places and self._reader.places_of(self._number, account) + self._joining_of[account]

    def only(self, keys: Iterable[Key]) -> bool:
        """Whether nothing stands in other lines than these."""
        mine = set(keys)
        return self._joining.keys() <= mine and not self._reader.stands_elsewhere(self._number, mine)

    def join(
        self,
        parked: Parked,
        *,
        then: Callable[[], None],
        failed: Callable[[Exception], None],
        also: Callable[[DeliveryStore], None] | None = None,
    ) -> None:
        """
        Put an event at the end of its lines. `then` is called once its place is durable, or `failed` if it can never
        be; `also` is done to the store in the same commit.
        """
        self.count += 1
        for key in parked.keys:
            self._counts.add(key)
            self._places.add(key[0])
            self._joining[key] += 1
            self._joining_of[key[0]] += 1

        def before(store: DeliveryStore) -> None:
            store.park(self._number, parked)
            if also is not None:
                also(store)

        def done() -> None:
            then()
            self._joined(parked.keys)
            # Whoever stands before it looks at the line upon leaving.
            self.look_at(key for key in parked.keys if self._reader.head(self._number, key) == parked.position)

        def undone(error: Exception) -> None:
            self.count -= 1
            self._joined(parked.keys)
            self._lessen(parked.keys)
            failed(error)

        self._work.tools.recorder.record(Record(before=before, then=done, failed=undone))

    def leave(
        self, position: Position, keys: tuple[Key, ...], *, tracked: bool, outcome: Outcome | None = None
    ) -> None:
        """
        It has ended; its outcome is durable. Its lines go on.

        tracked  it has, or may have, a row of its progress
        outcome  None if it was lost
        """
        replay = self._work.replay_of(position)

        def before(store: DeliveryStore) -> None:
            store.unpark(self._number, position, keys)
            if tracked:
                store.drop_progress(self._number, position)
            if replay:
                state, code = ("left", "lost") if outcome is None else (outcome.state.name, outcome.code)
                store.replays.leave(self._number, position, replay, state, code)

        def done() -> None:
            self.count -= 1
            self._work.left_replay(position)
            self._lessen(keys)
            self.put_down(position, keys)

        self._work.tools.recorder.record(Record(before=before, then=done))

    def take_out(self, entry: Entry) -> None:
        """It leaves memory, if it had been brought back there: there is room for another."""
        if not entry.loaded:
            return
        entry.loaded = False
        self.loaded -= 1
        self._loaded_of[entry.owner] -= 1
        if not self._loaded_of[entry.owner]:
            del self._loaded_of[entry.owner]
        if self._aside and not self._asked_aside and any(map(self._has_room, self._aside)):
            self._asked_aside = True
            known = dict(self._aside)
            self._work.tools.recorder.record(Record(then=lambda: self._bring_back(known)))

    def put_down(self, position: Position, keys: tuple[Key, ...]) -> None:
        """It is no longer in hand: ended, or on disk again."""
        self.in_hand.discard(position)
        self.look_at(keys)
        if self._crowded:
            self.look_at_due()

    def look_at(self, keys: Iterable[Key]) -> None:
        """Something before these lines went away, or they have just begun."""
        for key in keys:
            if self._counts.at_most(key) and self._work.line_up.lanes.length(key) == 0:
                if self._crowded:
                    self.look_at_later(key, self._work.now_ms())
                else:
                    self._look(key)

    def look_at_later(self, key: Key, due_at: int) -> None:
        """At `due_at` (unix milliseconds); NEVER while something else is sure to look at this line."""
        self._work.tools.recorder.record(Record(before=lambda store: store.look_again(self._number, key, due_at)))

    def look_at_due(self) -> None:
        """Look at the lines whose time has come, as far as there is room, once all that was asked for is written."""
        if self._counts.total and not self._asked:
            self._asked = True
            self._work.tools.recorder.record(Record(then=self._look_at_due))

    def load_one(self) -> None:
        """
        Bring an event into memory although the destination is paused: it is to find out whether it still is. A few
        there are enough.
        """
        if self._counts.total and not self._work.stopping and self.loaded < A_FEW:
            due = self._reader.due_lines(self._number, ASIDE - 1, 1)
            for key in due or self._reader.lines_aside(self._number, None, 1):
                self._look(key, due=True, even_paused=True)

    def _look_at_due(self) -> None:
        self._asked = False
        room = self._work.limits.loaded - self.loaded
        if room <= 0 or not self._work.is_sending:
            return
        keys = self._reader.due_lines(self._number, self._work.now_ms(), room + 1)
        self._crowded = len(keys) > room
        for key in keys[:room]:
            self._look(key, due=True)
        if self._crowded and self.loaded < self._work.limits.loaded:
            self.look_at_due()  # they did not want the room, or may not have it

    def _bring_back(self, known: dict[str, int]) -> None:
        """Lines that were put aside, as far as there is room; `known` is all that is durable of them."""
        self._asked_aside = False
        if not self._work.is_sending:
            return  # when it is sending again, all lines are looked at
        for account, times in known.items():
            wanted = self._may_take(account)
            if wanted <= 0:
                continue
            keys = self._reader.lines_aside(self._number, account, wanted)
            for key in keys:
                self._look(key, due=True)
            if len(keys) < wanted and self._aside[account] == times:
                del self._aside[account]

    @property
    def _room(self) -> int:
        return self._work.limits.loaded - self.loaded

    def _may_take(self, account: str) -> int:
        """How many places this account may take, one after the other."""
        return max(0, (self._room - self._loaded_of[account] + 1) // 2)

    def _has_room(self, account: str) -> bool:
        """For so many that it is worth looking for them."""
        may_take = self._may_take(account)
        return may_take >= AT_ONCE or (may_take > 0 and may_take >= self._loaded_of[account])

    def _look(self, key: Key, *, due: bool = False, even_paused: bool = False) -> None:
        work, now, room = self._work, self._work.now_ms(), self._room
        may_take = self._may_take(key[0])
        if room > 0 and not may_take and work.is_sending:
            self._aside[key[0]] += 1
            self.look_at_later(key, ASIDE)
            return
        many = self._crowded or key[0] in self._aside
        at_once = 1 if even_paused else max(1, min(may_take, A_FEW if many else AT_ONCE))
        line = self._reader.line(self._number, key, at_once)
        if not line or line[0].position in self.in_hand or not self._is_head(line[0]):
            # A place that is not durable yet, or an event that stands before it elsewhere, looks here again.
            if due:
                self.look_at_later(key, NEVER)
            return
        known = self._reader.progress(self._number, line[0].position)
        progress = known or NOTHING_YET
        due_at = progress.not_before if even_paused else progress.due_at
        if due_at > now:
            self.look_at_later(key, due_at)
        elif room <= 0 or not (work.is_sending or even_paused):
            self._crowded = self._crowded or room <= 0
            self.look_at_later(key, now)
        elif not self._may_take(_account(line[0])):  # a line of another account's key, such as a product's
            self._aside[_account(line[0])] += 1
            for key_ in line[0].keys:
                self.look_at_later(key_, ASIDE if key_ == line[0].keys[0] else NEVER)
        else:
            for key_ in line[0].keys:
                self.look_at_later(key_, NEVER)
            self._take(line[0], known)
            if len(line[0].keys) == 1:
                self._take_followers(line)

    def _take(self, parked: Parked, progress: Progress | None) -> None:
        self.in_hand.add(parked.position)
        self.loaded += 1
        self._loaded_of[_account(parked)] += 1
        self._load(parked, progress)

    def _take_followers(self, line: list[Parked]) -> None:
        """Those right behind the head that stand in no other line: they go out one after the other, as in memory."""
        now = self._work.now_ms()
        for parked in line[1:]:
            known = self._reader.progress(self._number, parked.position)
            if parked.keys != line[0].keys or parked.position in self.in_hand:
                return
            if (known or NOTHING_YET).due_at > now or not self._may_take(_account(parked)):
                return
            self._take(parked, known)

    def _lessen(self, keys: tuple[Key, ...]) -> None:
        for key in keys:
            self._counts.take(key)
            self._places.take(key[0])

    def _joined(self, keys: tuple[Key, ...]) -> None:
        _less(self._joining, keys)
        _less(self._joining_of, (key[0] for key in keys))

    def _is_head(self, parked: Parked) -> bool:
        return all(
            self._work.line_up.lanes.length(key) == 0 and self._reader.head(self._number, key) == parked.position
            for key in parked.keys
        )


def _less(counts: Counter[T], things: Iterable[T]) -> None:
    for thing in things:
        counts[thing] -= 1
        if counts[thing] <= 0:
            del counts[thing]


def _account(parked: Parked) -> str:
    return parked.keys[0][0]
