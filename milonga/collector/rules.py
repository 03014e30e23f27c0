"""What a source's settings say of its events: how many may come, and how many new accounts they may name."""

import math
from collections.abc import Callable

import structlog

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.rates import Rates
from milonga.collector.refusals import shown
from milonga.identity.new_accounts import NewAccounts, Standing
from milonga.spec.discards import Rejected
from milonga.spec.limits import MAX_EXCERPT
from milonga.spec.stored import Stamped
from milonga.workspace.model import Source

_log = structlog.get_logger("milonga.collector")


class Rules:
    def __init__(self, clock: Callable[[], float], accounts: NewAccounts) -> None:
        """clock  seconds, never going back"""
        self._clock = clock
        self._rates = Rates(clock)
        self._accounts = accounts

    def too_many(self, source: Source, events: int) -> Answer | None:
        """429 if they are more than the source, which has a limit, may send now."""
        wait = self._rates.take(source.id, source.settings.rate_limit, events)
        return answers.too_many(math.ceil(wait)) if wait else None

    def admit(self, source: Source, stamped: list[Stamped]) -> tuple[list[Stamped], list[Rejected], int]:
        """The events to keep, those refused because of a new account too many, and how many accounts were new."""
        alarm, cap = source.settings.new_accounts_alarm, source.settings.new_accounts_cap
        if not alarm and not cap:
            return stamped, [], 0
        strangers = self._accounts.strangers(source.id, stamped)
        if not strangers:
            return stamped, [], 0
        now, new = self._clock(), 0
        refused: list[int] = []
        for place in strangers:
            account = stamped[place].stamp.account or ""
            standing = self._accounts.judge(source.id, account, now, alarm=alarm, cap=cap)
            if standing is Standing.refused:
                refused.append(place)
            elif standing is not Standing.known:
                new += 1
                if standing is Standing.alarm:
                    _log.warning("new_accounts", source=source.name, in_an_hour=alarm, newest=shown(account), cap=cap)
        if not refused:
            return stamped, [], new
        beyond = set(refused)
        kept = [event for place, event in enumerate(stamped) if place not in beyond]
        reason = f"Expected at most {cap} new accounts an hour, got %r - at `$.%s`"
        return kept, [_rejected(stamped[place], reason) for place in refused], new


def _rejected(event: Stamped, reason: str) -> Rejected:
    stamp = event.stamp
    return Rejected(
        code="too_many_new_accounts",
        reason=reason % ((stamp.account or "")[:100], stamp.account_found),
        excerpt=event.body[:MAX_EXCERPT],
    )
