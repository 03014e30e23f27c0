"""
Files that are made while somebody takes them: each keeps files of the data directory open for as long as that takes,
which whoever takes it decides. So there are few at a time.
"""

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from typing import Final

from milonga.workspace.errors import UserError

AT_ONCE: Final = 8
OF_ONE: Final = 2  #: of one person


class Downloads:
    """For pages in several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # an end may come at any moment, whatever this thread is at
        self._under_way: Counter[str] = Counter()

    def begin(self, who: str, parts: Iterable[bytes]) -> Generator[bytes, None, None]:
        """The same parts. It ends with the last, or once nobody holds them. UserError if there are too many."""
        with self._lock:
            if self._under_way[who] >= OF_ONE or self._under_way.total() >= AT_ONCE:
                raise UserError("Too many downloads are under way. Wait for one of them to end, then try again.")
            self._under_way[who] += 1
        ends: list[Callable[[], object]] = []

        def counted() -> Generator[bytes, None, None]:
            try:
                yield from parts
            finally:
                ends[0]()

        content = counted()
        end = weakref.finalize(content, self._end, who)  # once, also of one that is never begun
        end.atexit = False
        ends.append(end)
        return content

    def _end(self, who: str) -> None:
        with self._lock:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]
