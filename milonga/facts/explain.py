"""Events by the message id that a person has, wherever what is left of them lies."""

import json
import re
from typing import Final

from milonga.eventlog.api import Damaged, Discard, Position, Stored
from milonga.facts.facts import Facts
from milonga.facts.summary import discarded as discards
from milonga.facts.summary import refused
from milonga.outcomes.words import instant, sentence
from milonga.privacy.digest import erased_message_id

MOST_LETTERS: Final = 10_000  #: dead letters looked through for an event that left the log
MOST_DISCARDS: Final = 10_000  #: samples of discarded events looked through for one that never entered it
DISCARDS_SHOWN: Final = 20  #: by `milonga events discarded`, unless told otherwise


def by_message_id(facts: Facts, message_id: str) -> list[Stored]:
    """Newest first; of the dead letters, if the log has none; or what is left of erased ones."""
    return facts.log.by_message_id(message_id) or _letters(facts, message_id) or _erased(facts, message_id)


def at(facts: Facts, position: Position) -> Stored | Damaged | None:
    """The event at this place: of the log; else of a dead letter, or of a parked line that took a copy with it."""
    found = facts.log.at(position)
    if found is not None and found.position != position:
        return None  # a partition that there is not
    if found is not None or facts.delivery is None:
        return found
    for place in facts.places:
        letter = facts.delivery.dead(place.config.id, position)
        if letter is not None:
            return Stored(position, letter.event)
        parked = facts.delivery.parked(place.config.id, position)
        if parked is not None and parked.event is not None:
            return Stored(position, parked.event)
    return None


def discarded(facts: Facts, message_id: str) -> tuple[int, Discard] | None:
    """
    A sample of what was not accepted that names this id, and how many newest ones a page must have to show it: pages
    end between two milliseconds.
    """
    forms = {json.dumps(message_id, ensure_ascii=ascii_).encode(errors="replace") for ascii_ in (True, False)}
    named = re.compile(rb'"messageId"\s*:\s*(?:%b)' % b"|".join(map(re.escape, forms)))
    newest = facts.log.discards(MOST_DISCARDS)
    for one in newest:
        if named.search(one.excerpt):
            return sum(other.at >= one.at for other in newest), one
    return None


def why_not_kept(facts: Facts, message_id: str) -> list[str]:
    """What may have become of an event of which nothing is kept. Sentences."""
    since = facts.log.since()
    kept = f"The log keeps events since {instant(since)}." if since else "The log is empty."
    found = discarded(facts, message_id)
    if found is None:
        return [f"{kept} Ids are case-sensitive.", *discards(facts), *refused(facts)]
    number, one = found
    source = f" from source {facts.source(one.source)}" if one.source else ""
    more = f" --limit {number}" if number > DISCARDS_SHOWN else ""
    why = f"It was discarded as it came, {instant(one.at)}{source}: {one.code}. {sentence(one.reason)}"
    return [f"{kept} {why}", f"`milonga events discarded{more}` shows it."]


def _letters(facts: Facts, message_id: str) -> list[Stored]:
    """Dead letters outlive the log."""
    letters = [] if facts.delivery is None else facts.delivery.dead_letters(limit=MOST_LETTERS)
    mine = {one.position: one.event for one in letters if one.event.stamp.message_id == message_id}
    return [Stored(position, event) for position, event in mine.items()]


def _erased(facts: Facts, message_id: str) -> list[Stored]:
    """Of an event that a regulation erased, the log has a digest of the id."""
    return facts.log.by_message_id(erased_message_id(facts.workspace.regulations.salt, message_id))
