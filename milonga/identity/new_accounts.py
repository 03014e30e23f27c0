"""
Which accounts a source has not named before, and how many an hour. Browsers' write keys are public: whoever makes up
accounts by the thousand is noticed, and can be stopped. Pure; memory is bounded.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import Final

from msgspec import Struct
from rbloom import Bloom

from milonga.spec.stored import Stamped

HOUR: Final = 3600.0  #: seconds
ACCOUNTS_PER_FILTER: Final = 1_000_000  #: makes a filter 1.8 MB; there are three
FALSE_HITS: Final = 0.001  #: share of new accounts that pass for known: the count is as much too low, no more
SLICE: Final = 500  #: accounts added without a pause


class Standing(Enum):
    """
    known    named before, as far as that is known
    new      named for the first time
    alarm    likewise, and the first of this hour that is too many
    refused  likewise, but beyond the cap: not remembered
    """

    known = 1
    new = 2
    alarm = 3
    refused = 4


class _Hour(Struct):
    began: float
    count: int = 0
    alarmed: bool = False


class NewAccounts:
    """
    Until it is told what is stored (`know`), every account passes for known. Accounts that nobody names while a
    million others are named are forgotten, and would be new again.
    """

    def __init__(self, *, accounts_per_filter: int = ACCOUNTS_PER_FILTER) -> None:
        self._per_filter = accounts_per_filter
        self._recent, self._former = self._empty(), self._empty()
        self._count = 0  # of those in `_recent`
        self._stored: Bloom | None = None
        self._hours: dict[int, _Hour] = {}

    def _empty(self) -> Bloom:
        return Bloom(self._per_filter, FALSE_HITS)

    def filter_of(self, accounts: Iterable[str], pause: Callable[[], None] = lambda: None) -> Bloom:
        """
        For `know`; may be made in another thread.

        pause  called after each SLICE, so that other threads get the interpreter
        """
        found = self._empty()
        rest: Iterator[str] = iter(accounts)
        while part := list(islice(rest, SLICE)):
            found.update(part)
            pause()
        return found

    def know(self, stored: Bloom) -> None:
        """What is stored, of whichever source: from now on there are new ones."""
        self._stored = stored

    def strangers(self, source: int, events: Sequence[Stamped]) -> list[int]:
        """
        Places of the events whose account was not named of late, and has to be judged. Quick: of a source's events,
        hardly any names one.
        """
        recent = self._recent
        return [
            place
            for place, event in enumerate(events)
            if (account := event.stamp.account) is not None and (source, account) not in recent
        ]

    def judge(self, source: int, account: str, now: float, *, alarm: int, cap: int) -> Standing:
        """
        now         seconds, never going back
        alarm, cap  new accounts an hour; 0 for none
        """
        key = (source, account)
        if key in self._recent:
            return Standing.known
        if self._stored is None or key in self._former or account in self._stored:
            self._remember(key)
            return Standing.known
        hour = self._hours.get(source)
        if hour is None or now - hour.began >= HOUR:
            hour = self._hours[source] = _Hour(now)
        if cap and hour.count >= cap:
            return Standing.refused
        self._remember(key)
        hour.count += 1
        if alarm and hour.count >= alarm and not hour.alarmed:
            hour.alarmed = True
            return Standing.alarm
        return Standing.new

    def _remember(self, key: tuple[int, str]) -> None:
        if self._count >= self._per_filter:
            self._former, self._recent, self._count = self._recent, self._empty(), 0
        self._recent.add(key)
        self._count += 1
