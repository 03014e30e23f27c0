"""How far a reader has come in one partition. Pure."""

from collections import deque

from milonga.eventlog.api import Offset


class Window:
    """
    The offsets between the watermark and the newest one read.

    watermark  everything at or before it is finished or safely parked: a restart reads on behind it
    read_to    the newest offset that was read
    """

    def __init__(self, watermark: Offset) -> None:
        self.watermark = watermark
        self.read_to = watermark
        self._order: deque[Offset] = deque()
        self._open: set[Offset] = set()

    def __len__(self) -> int:
        """Offsets past the watermark, finished ones among them."""
        return len(self._order)

    def enter(self, offset: Offset) -> None:
        """An event was read. Offsets grow."""
        self._order.append(offset)
        self._open.add(offset)
        self.read_to = offset

    def leave(self, offset: Offset) -> None:
        """Its outcome, or its place among the parked, is durable. Unknown ones (parked earlier) change nothing."""
        self._open.discard(offset)
        self._advance()

    def skip_to(self, offset: Offset) -> None:
        """Nothing up to here concerns this reader."""
        self.read_to = max(self.read_to, offset)
        self._advance()

    def holds(self, offset: Offset) -> bool:
        """Whether this event was read, and has not left."""
        return offset in self._open

    def oldest_open(self) -> Offset | None:
        """What holds the watermark."""
        return self._order[0] if self._order else None

    def _advance(self) -> None:
        while self._order and self._order[0] not in self._open:
            self._order.popleft()
        self.watermark = self._order[0] - 1 if self._order else self.read_to
