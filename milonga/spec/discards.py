"""Why an event was not accepted: the codes, what each means, and the value that carries one."""

from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

from milonga.spec.limits import MAX_EXCERPT
from milonga.spec.text import CUT, beginning

SegmentCode: TypeAlias = Literal[
    "source_disabled",
    "empty_batch",
    "missing_type",
    "invalid_type",
    "no_user_anon_id",
    "id_required",
    "id_not_string",
    "event_not_defined",
    "event_not_string",
    "properties_not_object",
    "traits_not_object",
    "name_not_string",
    "category_not_string",
    "consent_categorypreferences_should_exist",
    "consent_categorypreferences_fields_should_be_object",
    "consent_categorypreferences_fields_should_be_bool",
    "device_advertisingid_should_be_string",
    "consent_version_should_be_number",
]
"""Segment's own. Source: Segment docs, Delivery Overview, "Failed on Ingest"."""

OwnCode: TypeAlias = Literal[
    "malformed_json",
    "not_an_object",
    "event_too_large",
    "event_too_deep",
    "batch_too_long",
    "origin_not_allowed",
    "too_many_new_accounts",
    "rate_limited",
    "user_suppressed",
]
"""Ours, where Segment documents none."""

Code: TypeAlias = SegmentCode | OwnCode

MEANING: Final[dict[str, str]] = {
    "source_disabled": "The source is switched off.",
    "empty_batch": "The request holds no event.",
    "missing_type": "The event has no `type`.",
    "invalid_type": "`type` is none of identify, group, track, page, screen, alias.",
    "no_user_anon_id": "Neither `userId` nor `anonymousId` is given.",
    "id_required": "A group without `groupId`, or an alias without `userId` or `previousId`.",
    "id_not_string": "An id is neither text nor a number, or the only ids given are empty text.",
    "event_not_defined": "A track without `event`.",
    "event_not_string": "The `event` of a track is not text.",
    "properties_not_object": "`properties` is not an object.",
    "traits_not_object": "`traits` is not an object.",
    "name_not_string": "The `name` of a page or screen is not text.",
    "category_not_string": "The `category` of a page or screen is not text.",
    "consent_categorypreferences_should_exist": "Consent event without `context.consent.categoryPreferences`.",
    "consent_categorypreferences_fields_should_be_object": "Its `categoryPreferences` is not an object.",
    "consent_categorypreferences_fields_should_be_bool": "One of its preferences is not true or false.",
    "device_advertisingid_should_be_string": "Its `context.device.advertisingId` is not text.",
    "consent_version_should_be_number": "Its `context.consent.version` is not a number.",
    "malformed_json": "It is not JSON, even after mending.",
    "not_an_object": "What stands in the place of an event is not an object.",
    "event_too_large": "The event is larger than 32 KiB.",
    "event_too_deep": "The event has more than 64 levels of objects and lists.",
    "batch_too_long": "The event came after the 2,500th of its request, or after what 5 MiB of shared context allow.",
    "origin_not_allowed": "The web site that sent it is not among the source's allowed origins.",
    "too_many_new_accounts": "It names a new account, and the source has reached its cap of them for this hour.",
    "rate_limited": "It came by pixel, beyond the source's rate limit.",
    "user_suppressed": "A regulation says that nothing is kept of its user.",
}

FIX: Final[dict[str, str]] = {
    "source_disabled": "Switch the source on in its settings if its events are wanted.",
    "empty_batch": "Nothing is lost. If it goes on, look for what sends batches without events.",
    "missing_type": "Have the sender name the call in `type`; SDKs do so by themselves.",
    "invalid_type": "Have the sender use one of these names, in small letters.",
    "no_user_anon_id": "Have each call say whom it is about: a `userId`, or else an `anonymousId`.",
    "id_required": "Have the call pass the id that is missing.",
    "id_not_string": "Have the sender pass ids as text that is not empty.",
    "event_not_defined": "Have the track call pass a name for what was done.",
    "event_not_string": "Have the track call pass its name as text.",
    "properties_not_object": 'Have the sender pass an object, such as `{"plan": "Paying"}`.',
    "traits_not_object": 'Have the sender pass an object, such as `{"plan": "Paying"}`.',
    "name_not_string": "Have the call pass it as text, or leave it out.",
    "category_not_string": "Have the call pass it as text, or leave it out.",
    "consent_categorypreferences_should_exist": "Have the consent tool send true or false by category.",
    "consent_categorypreferences_fields_should_be_object": "Have the consent tool send true or false by category.",
    "consent_categorypreferences_fields_should_be_bool": "Have the consent tool send true or false by category.",
    "device_advertisingid_should_be_string": "Have the sender pass it as text, or leave it out.",
    "consent_version_should_be_number": "Have the consent tool send it as a number, or leave it out.",
    "malformed_json": "Look at how it begins: something cuts it off, or builds it by hand. SDKs do neither.",
    "not_an_object": "Have the sender put one call, an object, into each place of the batch.",
    "event_too_large": "Have the call carry less: no whole records, no long lists. What its batch shares counts, too.",
    "event_too_deep": "Have the call carry values that are nested less deeply.",
    "batch_too_long": "Have the sender make smaller batches; SDKs do so by themselves.",
    "origin_not_allowed": "If the site is yours, add it to the allowed origins in the source's settings.",
    "too_many_new_accounts": "Are these account ids real? Then raise the cap in the source's settings.",
    "rate_limited": "Raise the rate limit in the source's settings, or have fewer pixels sent.",
    "user_suppressed": "Nothing: somebody asked for it. A regulation that unsuppresses the user lets events in again.",
}
"""What to do about it, for whoever can change the sender or the source."""

CODES: Final[frozenset[str]] = frozenset((*get_args(SegmentCode), *get_args(OwnCode)))


class Rejected(Struct, frozen=True, kw_only=True):
    """
    An event, or what stands in its place, that is not accepted.

    code     see MEANING
    reason   in words, with the place: "Expected text, got a number - at `$.batch[1].event`"
    excerpt  the first bytes of it, at most limits.MAX_EXCERPT
    count    how many events this stands for; more than one only where they were left unread
    """

    code: Code
    reason: str
    excerpt: bytes
    count: int = 1


def excerpt_told(excerpt: bytes, most: int = MAX_EXCERPT) -> str:
    """
    As text, so many characters at most, … where it goes on. What began as JSON and does not end as such was cut, too:
    it may have become shorter since, by its sender's address.
    """
    is_cut = len(excerpt) >= MAX_EXCERPT or (excerpt[:1] in (b"{", b"[") and excerpt.rstrip()[-1:] not in (b"}", b"]"))
    text = beginning(excerpt, is_cut)
    return text if len(text) <= most + 1 else f"{text[:most]}{CUT}"
