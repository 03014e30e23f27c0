"""
Whether an event is for a destination at all, and how much of it: what the user agreed to, what the sender says in
`integrations`, and the destination's own filters, in this order. It is the same for every kind. Pure.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from milonga.filters.chain import Chain, Dropped
from milonga.filters.consent import withheld
from milonga.filters.integrations import allowed
from milonga.filters.rule import Filter
from milonga.spec.event import Event

NO_CONSENT: Final = "FILTERED_BY_END_USER_CONSENT"
NOT_MEANT: Final = "FILTERED_BY_INTEGRATIONS_OBJECT"
"""Source of both: Segment, Delivery Overview, "Filtered at destination"."""


class Gate:
    """
    Make one with `gate_of`.

    is_open     only the sender's own `integrations` can keep anything back
    categories  of consent that the destination asks for
    """

    def __init__(self, filters: tuple[Filter, ...], categories: tuple[str, ...]) -> None:
        self.categories = categories
        self.is_open = not filters and not categories
        self.chain = Chain(filters) if filters else None

    def admit(
        self,
        event: Event,
        label: str,
        unsure: Callable[[str, str], None] | None = None,
        *,
        heeds_all: bool = True,
    ) -> Event | Dropped:
        """
        The event as the destination may have it. Never raises.

        label      of the destination, its exact name in `integrations`
        unsure     see Chain.run
        heeds_all  whether `All` in `integrations` is about it too
        """
        refused = self.refused(event, label, heeds_all=heeds_all)
        if refused is not None:
            return refused
        return event if self.chain is None else self.chain.run(event, unsure)

    def refused(self, event: Event, label: str, *, heeds_all: bool = True) -> Dropped | None:
        """By the user or the sender, before any filter is asked."""
        return self.lacks_consent(event) or self.not_meant(event, label, heeds_all=heeds_all)

    def lacks_consent(self, event: Event) -> Dropped | None:
        """By the user."""
        if self.categories and (lacking := withheld(event, self.categories)):
            return Dropped(
                NO_CONSENT,
                f"Nothing is to be done: the user did not agree to {', '.join(lacking)} "
                "(`context.consent.categoryPreferences`), which the destination's consentCategories ask for.",
            )
        return None

    def not_meant(self, event: Event, label: str, *, heeds_all: bool = True) -> Dropped | None:
        """By the sender."""
        if event.integrations and not allowed(event.integrations, label, heeds_all=heeds_all):
            return Dropped(
                NOT_MEANT,
                f"The call's own `integrations` switches {label} off. Send it without `{label}: false` or "
                f"`All: false`, or with `{label}: true`.",
            )
        return None


@lru_cache(maxsize=256)
def gate_of(filters: tuple[Filter, ...], categories: tuple[str, ...]) -> Gate:
    """Compiled once for settings that are equal."""
    return Gate(filters, categories)


OPEN: Final = gate_of((), ())
"""Of a destination without filters and consent categories."""
