"""
How long to wait before another password may be tried: pure rules, the clock an argument, memory bounded.

Each failed attempt counts against the name it was for and the address it came from. After some that are free, each
doubles the wait. An address from which a user logged in before is not held up by what others try with that user's name:
else anybody could keep anybody out.
"""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final

from msgspec import Struct

FORGOTTEN: Final = 3_600.0  #: seconds without a failure after which nothing is held against anybody
MOST: Final = 10_000  #: names, addresses and known pairs remembered, of each; the longest untouched goes
LONGEST_NAME: Final = 100  #: characters of a name that are remembered


class Limit(Struct, frozen=True):
    """
    free     failures without a wait
    longest  seconds that a wait doubles up to, from 1
    """

    free: int
    longest: float


OF_NAME: Final = Limit(free=5, longest=60.0)
OF_ADDRESS: Final = Limit(free=20, longest=300.0)
"""More are free, for a whole office may be behind one."""


class Failures(Struct):
    count: int
    last: float


def wait_of(limit: Limit, failures: Failures | None, now: float) -> float:
    """Seconds from `now`; 0: none."""
    if failures is None or failures.count < limit.free or now - failures.last >= FORGOTTEN:
        return 0.0
    doubled = min(2.0 ** min(failures.count - limit.free, 30), limit.longest)
    return max(0.0, min(failures.last + doubled - now, limit.longest))


class Throttle:
    """`now` is in seconds, of a clock that never goes back. Not for several threads at once."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._names: OrderedDict[str, Failures] = OrderedDict()
        self._addresses: OrderedDict[str, Failures] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def admit(self, name: str, address: str, now: float) -> float:
        """
        0.0: try, and it is counted as failed from now on, so that a hundred at once are a hundred; say so if it
        succeeded. Else the seconds to wait, and nothing was counted.
        """
        who, where = _name(name), network_of(address)
        known = (who, where) in self._known
        waits = [wait_of(OF_ADDRESS, self._addresses.get(where), now)]
        if not known:
            waits.append(wait_of(OF_NAME, self._names.get(who), now))
        if (wait := max(waits)) > 0.0:
            return wait
        self._count(self._addresses, where, now)
        if not known:
            self._count(self._names, who, now)
        return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """What was counted for this attempt, and all held against the name, is forgotten."""
        who, where = _name(name), network_of(address)
        self._names.pop(who, None)
        if (failures := self._addresses.get(where)) is not None:
            failures.count -= 1
        self._known[who, where] = None
        self._known.move_to_end((who, where))
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def _count(self, failures: OrderedDict[str, Failures], key: str, now: float) -> None:
        before = failures.get(key)
        count = before.count if before is not None and now - before.last < FORGOTTEN else 0
        failures[key] = Failures(count + 1, now)
        failures.move_to_end(key)
        while len(failures) > self._most:
            failures.popitem(last=False)

    def __len__(self) -> int:
        return len(self._names) + len(self._addresses) + len(self._known)


def network_of(address: str) -> str:
    """What one sender can be expected to choose from: an IPv4 address, 64 bits of an IPv6 one."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:LONGEST_NAME]
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64))


def _name(name: str) -> str:
    return name[:LONGEST_NAME].casefold()
