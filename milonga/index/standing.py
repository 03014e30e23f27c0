"""How far the index is."""

from typing import Final

from msgspec import Struct

from milonga.eventlog.api import Offset

FRESH: Final = 500  #: events behind which nobody needs to be told of


class Standing(Struct, frozen=True):
    """
    upto       offset of the last event that is in it; 0 for none
    at         when that event arrived, unix milliseconds; None without
    end        offset of the newest event of the log
    repairing  stretches of the log that are being read again, because their file was lost or events were erased
    settled    nothing is left to do until another event comes
    trouble    why it does not get on, in words; "" if it does
    """

    upto: Offset
    at: int | None
    end: Offset
    repairing: int = 0
    settled: bool = False
    trouble: str = ""

    @property
    def behind(self) -> int:
        """Events."""
        return max(0, self.end - self.upto)

    @property
    def is_fresh(self) -> bool:
        return self.behind < FRESH and not self.repairing and not self.trouble
