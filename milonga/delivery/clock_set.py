"""What has to be written, and told, when the machine's clock was set (milonga.delivery.clock)."""

import structlog

from milonga.delivery.clock import SET, TOLD, Clock, Skips, skips_after
from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.retry import Backoff
from milonga.delivery.store import DeliveryStore

log = structlog.get_logger("milonga.delivery")


def clock_since(store: DeliveryStore, clock: Clock, backoff: Backoff) -> Skips:
    """
    At the start, before anything waits: catch up with what the clock was set by since this store was written, if the
    machine has run since. If it was started anew nobody can tell; but no wait is longer than one that begins now.
    """
    now, booted = int(clock() * 1000), clock.booted
    known, skips = store.clock.known(), store.clock.skips()
    with store.transaction():
        if known is not None and booted and known[0] == booted:
            seconds = clock.offset - known[1]
            if abs(seconds) >= SET:
                tell(seconds)
                skips = skips_after(skips, now - round(seconds * 1000), now)
                store.clock.set_by(round(seconds * 1000), skips)
        store.clock.bound_waits(now + round(backoff.longest * 1000), now + round((backoff.asked + 1.0) * 1000))
        store.clock.know(booted, clock.offset)
    return skips


def record_clock(recorder: Recorder, clock: Clock, seconds: float, skips: Skips) -> None:
    """
    The store's waits move too. Lines are looked at only then: what was read before, and is written back meanwhile,
    may still be by the old clock.
    """
    booted, offset = clock.booted, clock.offset

    def move(store: DeliveryStore) -> None:
        store.clock.set_by(round(seconds * 1000), skips)
        store.clock.know(booted, offset)

    def look_again() -> None:
        now = int(clock() * 1000)
        recorder.record(Record(before=lambda store: store.clock.look_at_waiting(now)))

    recorder.record(Record(before=move, then=look_again))


def tell(seconds: float) -> None:
    if abs(seconds) < TOLD:
        return
    log.warning(
        "delivery.clock_set",
        seconds=round(seconds),
        fix="Somebody, or a time service, set this machine's clock. Nothing is lost, and retries wait as long as they"
        " would have; times in outcomes, and ages, are by the clock of their moment.",
    )
