"""What an event that has not ended waits for, in words. Pure."""

from collections.abc import Iterator

from msgspec import Struct

from milonga.outcomes.words import OF_SETTINGS, REFUSED_ALL, instant, sentence, typed
from milonga.workspace.model import DestinationState, StateChange


class Behind(Struct, frozen=True, kw_only=True):
    """
    The first unfinished event of those that must go before it.

    code     of its last failure; "" if it was not tried yet
    next_at  unix milliseconds of its next try; None if it is not tried again
    """

    message_id: str
    offset: int
    code: str = ""
    next_at: int | None = None


class Waits(Struct, frozen=True, kw_only=True):
    """
    now          unix milliseconds
    server_runs  on this data directory
    destination  its name
    change       of the destination's state, the one in force
    ends_off     True if the destination was switched off since: it will not be sent
    code, reason of its own last failure; "" if it was not tried
    next_at      unix milliseconds of its own next try; None if none is set
    breaker      of the destination: "closed", "open" or "half_open"
    breaker_until  unix milliseconds when the next request goes out, if open
    failed_at, failed_code  of the destination's last failure
    behind       see Behind; None if it is the first of its lines, or that is not known
    parked       its place is on disk
    resent       it was a dead letter
    """

    now: int
    server_runs: bool
    destination: str
    change: StateChange
    ends_off: bool = False
    code: str = ""
    reason: str = ""
    next_at: int | None = None
    breaker: str = "closed"
    breaker_until: int | None = None
    failed_at: int | None = None
    failed_code: str = ""
    behind: Behind | None = None
    parked: bool = False
    resent: bool = False

    @property
    def overdue(self) -> bool:
        """The time of its next try has come."""
        return self.next_at is not None and self.next_at <= self.now


class Cause(Struct, frozen=True):
    """
    name  for machines: server, off, paused, breaker, event, time, parked, resent, turn
    why   in words
    fix   what to do about it; "" if nothing needs to be done
    """

    name: str
    why: str
    fix: str = ""


def causes(waits: Waits) -> list[Cause]:
    """What it waits for, the most important first; never empty."""
    found = list(_causes(waits))
    return found or [Cause("turn", "It waits its turn.")]


def _causes(waits: Waits) -> Iterator[Cause]:
    if not waits.server_runs:
        yield Cause("server", "No server is running on this data directory.", "Start it: `milonga serve`.")
    if waits.ends_off:
        yield Cause("off", "The destination was switched off: it ends as skipped (destination_off).")
        return
    if waits.change.state is DestinationState.paused:
        yield paused(waits.destination, waits.change, waits.failed_code or waits.code)
    if waits.breaker != "closed":
        yield _breaker(waits)
    if waits.resent:
        yield Cause("resent", "It was resent, and joined the end of its line.")
    if waits.behind is not None:
        yield _behind(waits.behind, waits.now)
    if waits.parked and not waits.resent:
        yield Cause("parked", "Its line does not move and is parked on disk, in order.")
    if waits.next_at is not None:
        tense = "was due" if waits.overdue else "is due"
        yield Cause("time", f"Its next try {tense} {instant(waits.next_at)}.")


def paused(name: str, change: StateChange, code: str) -> Cause:
    """
    name  of the destination
    code  of its last failure; "" if it is not known
    """
    why = f"The destination is paused since {instant(change.at)}: {sentence(change.reason or 'by hand')}"
    match change.by:
        case "settings":
            fix = REFUSED_ALL.get(code, OF_SETTINGS)
            return Cause("paused", why, fix.format(name=name))
        case "workspace":
            return Cause("paused", why)  # its reason says what to do
        case _:
            return Cause("paused", why, f"`milonga destinations resume {name}` lets it go on.")


def _breaker(waits: Waits) -> Cause:
    last = f" (last: {waits.failed_code}, {instant(waits.failed_at)})" if waits.failed_at else ""
    then = "one request is out to see whether it is back"
    if waits.breaker == "open" and waits.breaker_until is not None:
        tense = "goes" if waits.breaker_until > waits.now else "was to go"
        then = f"the next request {tense} out {instant(waits.breaker_until)}, to see"
    return Cause("breaker", f"The destination does not answer as it should{last}, so nothing is sent; {then}.")


def _behind(behind: Behind, now: int) -> Cause:
    what = "has no answer yet"
    if behind.code:
        what = f"failed ({behind.code})"
        if behind.next_at is not None:
            what += f" and {'is' if behind.next_at > now else 'was'} to be tried again {instant(behind.next_at)}"
    return Cause(
        "event",
        f"It goes after {behind.message_id}, which {what}.",
        f"See `milonga explain {typed(behind.message_id)}`.",
    )
