"""
The settings document of a source, as Segment's SDKs fetch it: one for browsers and phones. Pure.

Shape and what each SDK makes of it: docs/browsers.md, "The settings document".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from milonga.workspace.model import BrowserDestination

SEGMENT: Final = "Segment.io"
"""What the SDKs call the place they send to. Phones send nothing if it is missing."""

PLUGIN: Final = "Milonga"

PHONES: Final[Mapping[str, Any]] = {
    "rateLimitConfig": {
        "enabled": True,
        "maxRetryCount": 1000,
        "maxRetryInterval": 300,
        "maxRateLimitDuration": 604_800,
    },
    "backoffConfig": {
        "enabled": True,
        "maxRetryCount": 1000,
        "baseBackoffInterval": 0.5,
        "maxBackoffInterval": 300,
        "maxTotalBackoffDuration": 604_800,
        "jitterPercent": 10,
        "default4xxBehavior": "drop",
        "default5xxBehavior": "retry",
        "statusCodeOverrides": {
            "408": "retry",
            "410": "retry",
            "429": "retry",
            "460": "retry",
            "501": "drop",
            "505": "drop",
        },
    },
}
"""
How long a phone tries again; seconds. Served, it makes Kotlin's and Swift's SDKs wait as Retry-After says, and drop
what is refused for good: Swift's would else repeat a 401 for ever. The numbers are the most that either takes (a week,
1,000 tries), for events must outlive an outage of ours. `enabled` must be said, for Swift's takes a missing one as
false, and `jitterPercent` must not be 0, where Swift's crashes. Source: code of analytics-swift 1.9 (HttpConfig.swift,
RetryStateMachine.swift) and analytics-kotlin 1.25 (RetryConfigParser.kt).
"""

BROWSERS: Final[Mapping[str, Any]] = {"rateLimitConfig": {"maxRetryCount": 20}, "backoffConfig": {"maxRetryCount": 20}}
"""
Each page load is a try, and the library's own 10 are soon gone in an outage. Not more than 20: it doubles its wait each
time without a bound, and from the 22nd on the wait is too long for a browser's timer, which then does not wait at all.
Source: code of analytics-next 1.84 (segmentio/index.ts, priority-queue/backoff.ts).
"""


def is_browser(agent: bytes) -> bool:
    """Every browser says so, and none of the SDKs of phones. agent  value of User-Agent"""
    return agent.startswith(b"Mozilla/")


def address(host: str, secure: bool) -> str:
    """`https://events.example.com`"""
    return f"{'https' if secure else 'http'}://{host}"


def document(
    write_key: str,
    destinations: Sequence[BrowserDestination],
    *,
    host: str,
    secure: bool,
    plugin: str | None,
    browser: bool,
) -> dict[str, Any]:
    """
    Always valid, whatever the source. Any further key in `integrations` would cost a browser a chunk.

    write_key     as asked for: the SDK sends with the key of the document, not with that of the page
    destinations  of this source, those that take events
    host          as in Ask; the SDKs want it without scheme and with `/v1`
    plugin        file name of our plugin for pages that bundle the SDK themselves; None if it is not built. It goes by
                  the name of Segment's own, so that it also loads where a page says `All: false`; among the plugins of
                  a page it goes by its creation name
    browser       for one, not for a phone: they try again in different ways
    """
    segment: dict[str, Any] = {"apiKey": write_key, "apiHost": f"{host}/v1"}
    if not secure:
        segment["protocol"] = "http"
    segment["unbundledIntegrations"] = sorted({one.label for one in destinations})
    segment["httpConfig"] = BROWSERS if browser else PHONES
    told = [dict(one.says) for one in destinations if one.says is not None]
    if any(one.get("mode") == "device" and not one.get("paused") for one in told):
        segment["addBundledMetadata"] = False  # our plugin says of each event what the page has done with it
    found: dict[str, Any] = {"integrations": {SEGMENT: segment}, "metrics": {"sampleRate": 0}, "plan": {}}
    if categories := sorted({category for one in destinations for category in one.categories}):
        free = any(not one.categories for one in destinations)
        found["consentSettings"] = {"allCategories": categories, "hasUnmappedDestinations": free}
    if plugin is not None:
        found["remotePlugins"] = [
            {
                "name": SEGMENT,
                "creationName": PLUGIN,
                "libraryName": "milongaPlugin",
                "url": f"{address(host, secure)}/analytics-next/{plugin}",
                "settings": {"destinations": told},
            }
        ]
    return found


_IN_SCRIPTS: Final = ((b"<", b"\\u003c"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def encoded(value: object) -> bytes:
    """As JSON that may also stand in a script: it ends no script element, and no line for old browsers."""
    text = msgspec.json.encode(value)
    for sign, escape in _IN_SCRIPTS:
        text = text.replace(sign, escape)
    return text
