"""
Every limit on what a sender may send, with its source. "HTTP API" is Segment's page of that name
(docs/connections/sources/catalog/libraries/server/http-api), "Rate limits" docs/connections/rate-limits.
"""

from typing import Final

MAX_REQUEST: Final = 5 * 1024 * 1024
"""
Bytes of one request body, as sent and again once unpacked. Segment documents 500 KB for a batch (HTTP API, "Max
request size"); its own Node SDK 3.1.0 sends 1 MB and more, because its size check counts wrongly, so ours is wider.
"""

MAX_EVENT: Final = 32 * 1024
"""Bytes of one event as received, the batch's own context and integrations included. HTTP API, "Max request size"."""

MAX_BATCH: Final = 2500
"""Events of one request; those after it are discarded, the request is accepted. HTTP API, "Batch"."""

MAX_PROPERTIES: Final = 10_000
"""
Properties of one event; Segment drops the rest (Rate limits, "Max properties per event"). Nothing checks it here: the
shortest property, `"":1,`, takes 5 bytes, so an event within MAX_EVENT has fewer.
"""

MAX_MESSAGE_ID: Final = 100
"""Characters of a messageId. Common fields, "messageId". Longer ones are shortened (milonga.identity.message_id)."""

MAX_DEPTH: Final = 64
"""
Levels of objects and lists in one event, the event itself being the first. Ours: Segment documents none. Real events
have about 5; Python's own limit, which is 1,000 calls deep, must never be met half-way down the road.
"""

MAX_EXCERPT: Final = 2000
"""Bytes of a discarded event that are kept to look at. Ours."""
