"""
What a user can set about the delivery to a destination, whatever its kind: declared once, as a kind declares its own.

They stand beside the kind's own settings in every command, so no kind may have one of the same name (a test), and each
change of either makes a new version of both. docs/operate.md, "Delivery settings", says when to use which.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from milonga.filters.gate import Gate, gate_of
from milonga.filters.rule import MOST_FILTERS, Filter

DAY: Final = 86_400  #: seconds
LONGEST_AGE: Final = 7 * DAY  #: seconds; so long, and no longer, the log keeps what is not delivered
LEAST_RATE: Final = 0.001  #: requests a second, one in 17 minutes


class DeliverySettings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All times in seconds."""

    concurrency: Annotated[
        int,
        Meta(
            title="Requests at once",
            description="So many requests are under way at the same time, at most. Fewer spare a small receiver; more "
            "help one that is quick to take but slow to answer.",
            ge=1,
            le=1_000,
        ),
    ] = 64
    rate_limit: Annotated[
        float,
        Meta(
            title="Requests a second",
            description="No more than this, evenly, retries included; 0.5 is one every two seconds. 0 sets no limit.",
            ge=0,
            le=100_000,
        ),
    ] = 0.0
    timeout: Annotated[
        float,
        Meta(
            title="Timeout (seconds)",
            description="A request that has no answer by then is broken off and tried again; the receiver may have it "
            "nevertheless.",
            ge=0.1,
            le=300,
        ),
    ] = 30.0
    max_age: Annotated[
        int,
        Meta(
            title="Maximum age (seconds)",
            description="An event that was not delivered so long after it arrived ends as expired (too_old). It stands "
            "still while the destination is paused. 86400 is a day; at most 604800, 7 days.",
            ge=1,
            le=LONGEST_AGE,
        ),
    ] = DAY
    retry_window: Annotated[
        int,
        Meta(
            title="Retry window (seconds)",
            description="An event that still fails so long after its first failure ends as expired (tried_too_long), "
            "and those behind it go on. 0: it is tried until its maximum age.",
            ge=0,
            le=LONGEST_AGE,
        ),
    ] = 0
    consent_categories: Annotated[
        tuple[str, ...],
        Meta(
            title="Consent categories",
            description="Ids of the consent categories that a user must have agreed to, all of them, separated by "
            "commas, for an event that says what its user agreed to (context.consent). Empty: it needs no consent.",
            max_length=50,
        ),
    ] = ()
    filters: Annotated[
        tuple[Filter, ...],
        Meta(
            title="Filters",
            description="Which events are sent, and how much of them: milonga destinations filters NAME lists, adds, "
            "removes and tries them.",
            max_length=MOST_FILTERS,
        ),
    ] = ()

    def __post_init__(self) -> None:
        """ValueError for a rate at which nobody would live to see the next request."""
        if 0.0 < self.rate_limit < LEAST_RATE:
            raise ValueError(f"rateLimit: {LEAST_RATE} requests a second are the least; 0 sets no limit.")

    @property
    def gate(self) -> Gate:
        """Of consent, `integrations` and filters, compiled once for equal settings."""
        return gate_of(self.filters, self.consent_categories)
