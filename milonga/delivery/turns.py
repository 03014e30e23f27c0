"""
Who goes out next, so that no account starves another. Pure.

An account takes a further slot only while it holds fewer than are free: alone it may use half of them, a second one
like it a quarter, and so on. So something is left for whoever comes, also while all requests of some account hang.
Among those that may go, the account with the fewest slots comes first, and of these the one that has waited longest.

Accounts whose last request was not answered in time are slow: all of them together have an eighth of the slots, until
an answer comes. Otherwise some accounts whose requests all hang would soon hold nearly everything.
"""

from collections import deque

from milonga.delivery.entry import Entry, Stage

REMEMBERED = 10_000  #: slow accounts; of more, those that became slow first are forgotten

_Buckets = dict[int, dict[str, None]]
"""Accounts with ready events by slots held, in order of turn."""


class Turns:
    """
    Ready events by account, and how many slots each account holds. What it costs does not depend on how many wait.

    limit    slots there are
    used     slots that are held
    slow     slots that all slow accounts together may hold
    waiting  ready events; some of them may have left meanwhile
    """

    def __init__(self, limit: int) -> None:
        self.used = self.waiting = 0
        self.resize(limit)
        self._slow: dict[str, None] = {}
        self._used_by_slow = 0
        self._held: dict[str, dict[Entry, None]] = {}
        self._ready: dict[str, deque[Entry]] = {}
        self._by_held: _Buckets = {}
        self._slow_by_held: _Buckets = {}

    def resize(self, limit: int) -> None:
        """So many slots from now on. Of those held beyond it none is taken away: they are not given again."""
        self.limit = limit
        self.slow = max(1, limit // 8)

    def add(self, entry: Entry) -> None:
        """It is ready: the last of its account's."""
        self._line_of(entry).append(entry)

    def put_back(self, entry: Entry) -> None:
        """It is ready again: the first of its account's."""
        self._line_of(entry).appendleft(entry)

    def take(self, *, slow_last: bool = False) -> Entry | None:
        """
        The next one that may have a slot; whoever is no longer ready has left without a word. Slow accounts come first,
        for they have little to take, unless `slow_last`.
        """
        while (owner := self._next(slow_last=slow_last)) is not None:
            if (entry := self._first_of(owner)) is not None:
                return entry
        return None

    def take_along(self) -> Entry | None:
        """The next one that may travel in the slot of another, whatever its account holds; none of a slow account."""
        while self._by_held:
            owner = next(iter(self._by_held[min(self._by_held)]))
            if (entry := self._first_of(owner)) is not None:
                return entry
        return None

    def _first_of(self, owner: str) -> Entry | None:
        """The account's first that is still ready; it is its turn again after the others'."""
        line = self._ready[owner]
        self._move_out(owner)
        while line:
            entry = line.popleft()
            self.waiting -= 1
            if entry.stage is Stage.ready:
                if line:
                    self._move_in(owner)
                else:
                    del self._ready[owner]
                return entry
        del self._ready[owner]
        return None

    def is_slow(self, owner: str) -> bool:
        return owner in self._slow

    def _next(self, *, slow_last: bool) -> str | None:
        for buckets in (self._by_held, self._slow_by_held) if slow_last else (self._slow_by_held, self._by_held):
            if not buckets or (buckets is self._slow_by_held and self._used_by_slow >= self.slow):
                continue
            fewest = min(buckets)
            if fewest < self.limit - self.used:
                return next(iter(buckets[fewest]))
        return None

    def timed_out(self, owner: str) -> None:
        """A request of this account was not answered in time."""
        if owner not in self._slow:
            if len(self._slow) >= REMEMBERED:
                self.answered(next(iter(self._slow)))
            self._move(owner, slow=True)

    def answered(self, owner: str) -> None:
        """One was."""
        if owner in self._slow:
            self._move(owner, slow=False)

    def _move(self, owner: str, *, slow: bool) -> None:
        waits, held = owner in self._ready, len(self._held.get(owner, ()))
        if waits:
            self._move_out(owner)
        if slow:
            self._slow[owner] = None
            self._used_by_slow += held
        else:
            del self._slow[owner]
            self._used_by_slow -= held
        if waits:
            self._move_in(owner)

    def hold(self, entry: Entry) -> None:
        """It has a slot from now on, if it had none."""
        if not entry.holds_slot:
            entry.holds_slot = True
            self.used += 1
            self._change(entry.owner, entry)

    def release(self, entry: Entry) -> None:
        """It has none from now on."""
        if entry.holds_slot:
            entry.holds_slot = False
            self.used -= 1
            self._change(entry.owner, entry)

    def hangs(self, owner: str, since: float) -> bool:
        """
        Whether this account has its share of slots, and one of them from before `since` (unix seconds) on; or it is
        slow, and others like it hold theirs.
        """
        held = self._held.get(owner, {})
        if owner in self._slow and self._used_by_slow >= self.slow:
            return True
        return 0 < len(held) >= self.limit - self.used and next(iter(held)).sent_at < since

    def _line_of(self, entry: Entry) -> deque[Entry]:
        self.waiting += 1
        line = self._ready.get(entry.owner)
        if line is None:
            line = self._ready[entry.owner] = deque()
            self._move_in(entry.owner)
        return line

    def _change(self, owner: str, entry: Entry) -> None:
        waits = owner in self._ready
        if waits:
            self._move_out(owner)
        if owner in self._slow:
            self._used_by_slow += 1 if entry.holds_slot else -1
        if entry.holds_slot:
            self._held.setdefault(owner, {})[entry] = None
        else:
            del self._held[owner][entry]
            if not self._held[owner]:
                del self._held[owner]
        if waits:
            self._move_in(owner)

    def _buckets(self, owner: str) -> _Buckets:
        return self._slow_by_held if owner in self._slow else self._by_held

    def _move_in(self, owner: str) -> None:
        self._buckets(owner).setdefault(len(self._held.get(owner, ())), {})[owner] = None

    def _move_out(self, owner: str) -> None:
        buckets, held = self._buckets(owner), len(self._held.get(owner, ()))
        those = buckets[held]
        del those[owner]
        if not those:
            del buckets[held]
