"""What the log keeps of an event: the bytes as they arrived, and beside them what the collector found out."""

from msgspec import UNSET, Raw, Struct, UnsetType

from milonga.spec.event import AccountSource, EventType

FORMAT = 1  #: version of how `Stamped` is written into a log; a reader refuses one it does not know


class Stamp(Struct, frozen=True, kw_only=True, gc=False):
    """
    source              id of the source whose write key it carried
    type                of the event; from the path where the body has none
    message_id          the sender's own (at most 100 characters, see milonga.identity.message_id), or ours
    own_message_id      False if the sender gave none: then it can never be a duplicate
    user_id             text, or None
    anonymous_id        text, or None
    account             id of the account it belongs to, or None
    account_found       how the account was found; None without account
    received_at         unix milliseconds by our clock
    timestamp           unix milliseconds: when it happened, corrected for the sender's clock
    original_timestamp  `timestamp` as the sender wrote it, or None
    sent_at             `sentAt` of the event or its batch as the sender wrote it, or None
    batch_context       the batch's `context` object, to be merged under the event's own; UNSET without
    batch_integrations  likewise
    ip                  the sender's IPv4 address, to stand in for the `context.ip` that the event lacks; None: nothing
                        to add
    erased_at           unix milliseconds when a regulation erased the event: then nothing is left of it but source,
                        type and arrival, and `message_id` is a digest (milonga.privacy.subject). UNSET for all others
    erased_by           id of that regulation

    Not `Raw | None`: msgspec 0.22 writes such a field, but then reads nothing but null in it.
    """

    source: int
    type: EventType
    message_id: str
    own_message_id: bool
    user_id: str | None
    anonymous_id: str | None
    account: str | None
    account_found: AccountSource | None
    received_at: int
    timestamp: int
    original_timestamp: str | None = None
    sent_at: str | None = None
    batch_context: Raw | UnsetType = UNSET
    batch_integrations: Raw | UnsetType = UNSET
    ip: str | None = None
    erased_at: int | UnsetType = UNSET
    erased_by: int | UnsetType = UNSET

    @property
    def is_erased(self) -> bool:
        return self.erased_at is not UNSET


class Stamped(Struct, frozen=True, gc=False):
    """
    stamp  see Stamp
    body   one JSON object in UTF-8: the event as it arrived, mended where it was no JSON (milonga.spec.mend)
    """

    stamp: Stamp
    body: bytes
