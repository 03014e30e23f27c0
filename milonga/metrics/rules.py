"""
When an alert fires and when it resolves. Pure: a table of rules over the figures of one moment. docs/metrics.md shows
the table, and a test says that it does.

Each rule has room between its two conditions, so that what hovers about a threshold alerts once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from milonga.eventlog.levels import SAYS
from milonga.metrics.figures import DestinationFigures, Figures, SourceFigures
from milonga.outcomes.words import instant

MB: Final = 1024 * 1024
DAY: Final = 86_400.0  #: seconds
LEAST: Final = 20  #: events that must have ended before their share says anything
STEADY: Final = 300.0  #: seconds that a destination which resumed by itself must stay on


class Thresholds(Struct, frozen=True, kw_only=True):
    """
    When alerts fire: options of `milonga serve`. 0 switches one off.

    no_traffic   minutes without an event from a source that had some within a day
    success      percent of the events that ended within 15 minutes which must have been delivered
    backlog      minutes that the oldest waiting event may be old
    disk         times the reserve that must be free
    certificate  days it must be valid
    """

    no_traffic: float = 60.0
    success: float = 95.0
    backlog: float = 15.0
    disk: float = 2.0
    certificate: float = 14.0


class Finding(Struct, frozen=True, kw_only=True):
    """
    How one thing stands by one rule. If it neither fires nor resolves, all stays as it was.

    name      of the source or destination; "" if it is the server itself
    value     what was measured, in the unit of the threshold; None if that is not known
    says      how it stands now, in words
    """

    name: str
    fires: bool
    resolves: bool
    value: float | None
    says: str


class Rule(Struct, frozen=True, kw_only=True):
    """
    name       of the alert
    fires, resolves  the conditions in words, for the docs
    fix        what to do about it
    threshold  of this rule; None if it has none
    find       one finding for each thing it watches
    """

    name: str
    fires: str
    resolves: str
    fix: str
    threshold: Callable[[Thresholds], float] | None
    find: Callable[[Figures, Thresholds], Iterable[Finding]]


class Alert(Struct, frozen=True, kw_only=True):
    """
    One that fires.

    rule   its name
    name   see Finding
    since  unix seconds
    """

    rule: str
    name: str
    since: float


class Change(Struct, frozen=True, kw_only=True):
    """
    firing  or, if not, resolved
    value, says  see Finding
    """

    alert: Alert
    firing: bool
    value: float | None
    says: str


def step(
    active: Iterable[Alert], figures: Figures, thresholds: Thresholds
) -> tuple[tuple[Alert, ...], tuple[Change, ...]]:
    """
    The alerts that fire now, and what changed: each fires once and resolves once. One whose source or destination is
    gone, or switched off, resolves; so does one whose rule is switched off.
    """
    before = {(alert.rule, alert.name): alert for alert in active}
    after: dict[tuple[str, str], Alert] = {}
    changes: list[Change] = []
    for rule in RULES:
        if rule.threshold is not None and rule.threshold(thresholds) <= 0:
            continue
        for found in rule.find(figures, thresholds):
            key = (rule.name, found.name)
            alert = before.pop(key, None)
            if alert is None and found.fires:
                after[key] = alert = Alert(rule=rule.name, name=found.name, since=figures.at)
                changes.append(Change(alert=alert, firing=True, value=found.value, says=found.says))
            elif alert is not None and found.resolves and not found.fires:
                changes.append(Change(alert=alert, firing=False, value=found.value, says=found.says))
            elif alert is not None:
                after[key] = alert
    for alert in before.values():
        says = f"{alert.name or 'It'} is gone, switched off, or no longer watched."
        changes.append(Change(alert=alert, firing=False, value=None, says=says))
    return tuple(after.values()), tuple(changes)


# The rules


def _no_traffic(figures: Figures, thresholds: Thresholds) -> Iterator[Finding]:
    limit = thresholds.no_traffic * 60
    for one in figures.sources:
        if one.enabled:
            yield _silence(one, figures, limit)


def _silence(one: SourceFigures, figures: Figures, limit: float) -> Finding:
    """While no server ran, no source could send: that time does not count."""
    if one.last_accepted is None:
        return Finding(name=one.name, fires=False, resolves=False, value=None, says=f"{one.name} has sent nothing yet.")
    quiet = max(0.0, figures.at - one.last_accepted)
    silent = min(quiet, figures.at - figures.started)
    return Finding(
        name=one.name,
        fires=silent >= limit and quiet < DAY + limit,
        resolves=quiet < limit,
        value=round(quiet / 60, 1),
        says=f"The newest event from source {one.name} arrived {_duration(quiet)} ago.",
    )


def _write_key(figures: Figures, thresholds: Thresholds) -> Iterator[Finding]:
    for one in figures.sources:
        said = "; ".join(one.ending_keys)
        yield Finding(
            name=one.name,
            fires=one.enabled and bool(said),
            resolves=not one.enabled or not said,
            value=None,
            says=f"Of source {one.name}: {said}."
            if said
            else f"Nothing sends to {one.name} with a key that ends soon.",
        )


def _success(figures: Figures, thresholds: Thresholds) -> Iterator[Finding]:
    for one in figures.destinations:
        if one.state == "off":
            continue
        delivered, failed = one.lately
        ended = delivered + failed
        percent = 100.0 * delivered / ended if ended else 100.0
        middle = (thresholds.success + 100.0) / 2
        yield Finding(
            name=one.name,
            fires=ended >= LEAST and percent < thresholds.success,
            resolves=not failed or (ended >= LEAST and percent >= min(middle, 100.0)),
            value=round(percent, 2),
            says=f"Of {ended:,} events that ended at {one.name} within 15 minutes, {failed:,} were refused or expired.",
        )


def _backlog(figures: Figures, thresholds: Thresholds) -> Iterator[Finding]:
    """What a paused destination keeps is no news: its pause is an alert of its own."""
    limit = thresholds.backlog * 60
    for one in figures.destinations:
        if one.state != "on":
            continue
        found = one.delivery
        if found is None:
            yield Finding(name=one.name, fires=False, resolves=False, value=None, says="")
            continue
        age = 0.0 if found.oldest_waiting_at is None else max(0.0, figures.at - found.oldest_waiting_at)
        says = f"Nothing waits for {one.name}."
        if found.oldest_waiting_at is not None:
            says = f"{max(1, found.waiting):,} events wait for {one.name}; the oldest arrived {_duration(age)} ago."
        yield Finding(name=one.name, fires=age >= limit, resolves=age < limit / 2, value=round(age / 60, 1), says=says)


def _paused(figures: Figures, thresholds: Thresholds) -> Iterator[Finding]:
    for one in figures.destinations:
        if one.state == "off":
            continue
        paused = one.state == "paused"
        yield Finding(
            name=one.name,
            fires=paused,
            resolves=not paused and (one.by != "probe" or figures.at - one.since >= STEADY),
            value=None,
            says=_how(one) if paused else f"{one.name} is on.",
        )


def _how(one: DestinationFigures) -> str:
    why = one.reason.strip().rstrip(".") or "by hand"
    return f"{one.name} is paused since {instant(int(one.since * 1000))}: {why}. Its events are kept."


def _disk(figures: Figures, thresholds: Thresholds) -> Iterator[Finding]:
    free, mark = figures.disk_free, figures.disk_reserve * thresholds.disk
    refuses = figures.disk_level.refuses
    level = f"{SAYS[figures.disk_level]} " if refuses else ""
    yield Finding(
        name="",
        fires=free < mark or (refuses and thresholds.disk > 0),
        resolves=free >= mark * 1.1 and not refuses,
        value=round(free / figures.disk_reserve, 2) if figures.disk_reserve else None,
        says=f"{level}{free // MB:,} MB of the disk are free; below {figures.disk_reserve // MB:,} MB senders get 503.",
    )


def _certificate(figures: Figures, thresholds: Thresholds) -> Iterator[Finding]:
    if figures.certificate_ends is None:
        return
    when = instant(int(figures.certificate_ends * 1000))
    days = (figures.certificate_ends - figures.at) / DAY
    yield Finding(
        name="",
        fires=days < thresholds.certificate,
        resolves=days >= thresholds.certificate + 1,
        value=round(days, 1),
        says=f"The TLS certificate {'expires' if days > 0 else 'expired'} {when}.",
    )


RULES: Final = (
    Rule(
        name="no_traffic",
        fires="a source that is on sent nothing for 60 minutes, although it had within a day before",
        resolves="an event arrives",
        fix="Look at whoever sends: `milonga events counts` and `milonga events discarded` show what came last.",
        threshold=lambda thresholds: thresholds.no_traffic,
        find=_no_traffic,
    ),
    Rule(
        name="write_key",
        fires="something has sent within a day, to a source that is on, with a write key that ends within 3 days or "
        "has ended",
        resolves="nothing has for a day, or the key has a later end, or none",
        fix="Change what sends with it over to the newest key, or give it more time: `milonga sources keys list NAME`.",
        threshold=None,
        find=_write_key,
    ),
    Rule(
        name="success_rate",
        fires="of the 20 or more events that ended at a destination within 15 minutes, less than 95 % were delivered; "
        "skipped ones do not count, nor what was worth sending only at once (`too_late`)",
        resolves="it is back half of the way to 100 %, or none failed within 15 minutes",
        fix="`milonga dead list` shows what was refused and why; `milonga dead resend` sends it again.",
        threshold=lambda thresholds: thresholds.success,
        find=_success,
    ),
    Rule(
        name="backlog",
        fires="the oldest event that waits for a destination that is on arrived 15 minutes ago or more",
        resolves="it is younger than half of that",
        fix="`milonga destinations show NAME` tells the last failure, and whether its breaker is open.",
        threshold=lambda thresholds: thresholds.backlog,
        find=_backlog,
    ),
    Rule(
        name="destination_paused",
        fires="a destination is paused, by hand or because its receiver refuses everything",
        resolves="it is on again; if it resumed by itself, for 5 minutes",
        fix="`milonga destinations show NAME` says why; `destinations set`, or `resume`.",
        threshold=None,
        find=_paused,
    ),
    Rule(
        name="disk",
        fires="less of the disk is free than twice what the log leaves to delivery, or senders get 503 `log_full` "
        "because the log may not grow",
        resolves="a tenth more than that is free, and the log may grow",
        fix="Free space, or let the log have more (`--log-size`); senders come again by themselves.",
        threshold=lambda thresholds: thresholds.disk,
        find=_disk,
    ),
    Rule(
        name="certificate",
        fires="the TLS certificate of `--tls-cert` expires within 14 days",
        resolves="it is valid for a day more than that",
        fix="Renew it; a running server takes the new files up by itself.",
        threshold=lambda thresholds: thresholds.certificate,
        find=_certificate,
    ),
)
RULE: Final[Mapping[str, Rule]] = {rule.name: rule for rule in RULES}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
