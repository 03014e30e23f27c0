"""
Consent: what an event says its user agreed to, and what a destination needs.
Source: Segment, "Consent in Segment Connections"; docs/filters.md, "Consent".
"""

from collections.abc import Mapping, Sequence
from typing import Final

from milonga.spec.event import Event, Track

UPDATED: Final = "Segment Consent Preference Updated"
"""The event that tells a change of preferences goes to every destination, whatever they are."""


def withheld(event: Event, categories: Sequence[str]) -> tuple[str, ...]:
    """
    The categories of the destination to which the user did not agree; none: it may have the event.

    A destination without categories gets everything. An event without a consent object, or with an empty one, goes
    everywhere; otherwise each of the destination's categories must be `true`, and one that is not named is not.
    """
    if not categories or not (consent := event.context.get("consent")) or not isinstance(consent, Mapping):
        return ()
    if isinstance(event.call, Track) and event.call.name == UPDATED:
        return ()
    preferences = consent.get("categoryPreferences")
    if not isinstance(preferences, Mapping):
        return tuple(categories)
    return tuple(category for category in categories if preferences.get(category) is not True)
