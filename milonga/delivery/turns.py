"""
Who goes out next, so that no account starves another. Pure.

An account takes a further slot only while it holds fewer than are free: alone it may use half of them, a second one
like it a quarter, and so on. So something is left for whoever comes, also while all requests of some account hang.
Among those that may go, the account with the fewest slots comes first, and of these the one that has waited longest.
"""

from collections import deque

from milonga.delivery.entry import Entry, Stage


class Turns:
    """
    Ready events by account, and how many slots each account holds. What it costs does not depend on how many wait.

    limit  slots there are
    used   slots that are held
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._held: dict[str, dict[Entry, None]] = {}
        self._ready: dict[str, deque[Entry]] = {}
        self._by_held: dict[int, dict[str, None]] = {}  # accounts with ready events by slots held, in order of turn

    def add(self, entry: Entry) -> None:
        """It is ready: the last of its account's."""
        self._line_of(entry).append(entry)

    def put_back(self, entry: Entry) -> None:
        """It is ready again: the first of its account's."""
        self._line_of(entry).appendleft(entry)

    def take(self) -> Entry | None:
        """The next one that may have a slot; whoever is no longer ready has left without a word."""
        while self._by_held:
            fewest = min(self._by_held)
            if fewest >= self.limit - self.used:
                return None
            owner = next(iter(self._by_held[fewest]))
            line = self._ready[owner]
            self._move_out(owner)
            while line:
                entry = line.popleft()
                if entry.stage is Stage.ready:
                    if line:
                        self._move_in(owner)
                    else:
                        del self._ready[owner]
                    return entry
            del self._ready[owner]
        return None

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
        """Whether this account has its share of slots, and one of them from before `since` (unix seconds) on."""
        held = self._held.get(owner, {})
        return 0 < len(held) >= self.limit - self.used and next(iter(held)).sent_at < since

    def _line_of(self, entry: Entry) -> deque[Entry]:
        line = self._ready.get(entry.owner)
        if line is None:
            line = self._ready[entry.owner] = deque()
            self._move_in(entry.owner)
        return line

    def _change(self, owner: str, entry: Entry) -> None:
        waits = owner in self._ready
        if waits:
            self._move_out(owner)
        if entry.holds_slot:
            self._held.setdefault(owner, {})[entry] = None
        else:
            del self._held[owner][entry]
            if not self._held[owner]:
                del self._held[owner]
        if waits:
            self._move_in(owner)

    def _move_in(self, owner: str) -> None:
        self._by_held.setdefault(len(self._held.get(owner, ())), {})[owner] = None

    def _move_out(self, owner: str) -> None:
        held = len(self._held.get(owner, ()))
        those = self._by_held[held]
        del those[owner]
        if not those:
            del self._by_held[held]
