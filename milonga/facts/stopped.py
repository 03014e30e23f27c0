"""A destination that sends nothing at all just now: why, by whom, since when, and what lets it go on. In words."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from milonga.delivery.rows import Health
from milonga.facts.facts import Facts
from milonga.outcomes.waiting import paused
from milonga.outcomes.words import instant, person, sentence
from milonga.workspace.model import DestinationConfig, DestinationState, StateChange

BY_ITSELF: Final = ("settings", "workspace")  #: by whom a pause is that no person wanted


class Stopped(Struct, frozen=True):
    """tone: "bad" or "warn"."""

    title: str
    words: str
    tone: str


def stopped(facts: Facts, config: DestinationConfig, waits: str) -> Stopped | None:
    """
    None if it sends.

    waits  what of that one looks at waits for it, as a clause such as "3 of its events wait"
    """
    health = facts.health(config.id) or Health(at=0)
    name = config.name
    match config.state:
        case DestinationState.off:
            words = "Nothing is sent there, and what arrives meanwhile is not kept for it."
            return Stopped(f"{name} is off", words, "warn")
        case DestinationState.paused:
            return _paused(name, config.changes[-1], health, waits)
        case DestinationState.on if health.breaker != "closed":
            return _down(name, health, waits)
    return None


def waits_there(configs: Iterable[DestinationConfig], what: str) -> str:
    """
    Of what was asked to go to these destinations just now; "" if none is paused.

    what  the subject of a sentence, such as "What was resent"
    """
    names = sorted({config.name for config in configs if config.state is DestinationState.paused})
    return f"{what} waits: {', '.join(names)} {'is' if len(names) == 1 else 'are'} paused." if names else ""


def _paused(name: str, change: StateChange, health: Health, waits: str) -> Stopped:
    by_itself = change.by in BY_ITSELF
    who = "by Milonga" if by_itself else "at the command line" if change.by == "cli" else f"by {person(change.by)}"
    said = [
        sentence(change.reason) or "Nobody said why.",
        f"Paused {who} since {instant(change.at)}.",
        f"{waits}; nothing is lost: what waits is kept for 7 days.",
        paused(name, change, health.last_failure_code).fix,
    ]
    return Stopped(f"{name} is paused", " ".join(filter(None, said)), "bad" if by_itself else "warn")


def _down(name: str, health: Health, waits: str) -> Stopped:
    said = [sentence(health.last_failure_reason or health.last_failure_code)]
    if health.breaker_until is None:
        said.append("One request is out to see whether it is back.")
    else:
        said.append(f"The next request goes out {instant(health.breaker_until)}, to see whether it is back.")
    said.append(f"{waits}; nothing is lost.")
    return Stopped(f"{name} does not answer", " ".join(filter(None, said)), "bad")
