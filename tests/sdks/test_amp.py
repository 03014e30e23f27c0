"""AMP's built-in `segment` vendor: pixels with dotted names, as its public description says."""

from urllib.parse import urlencode

from tests.receiving import Receiving
from tests.sdks.by_hand import answer
from tests.sdks.gate import Gate
from tests.sdks.session import KEY, PAGES, TRACK, check_held

SENDS = {
    "context.library.name": "amp",
    "context.locale": "en-us",
    "context.page.path": "/docs",
    "context.page.url": "https://www.example.com/docs",
    "context.page.referrer": "",
    "context.page.title": "Docs",
    "context.screen.width": "600",
    "context.screen.height": "800",
    "anonymousId": "amp-5a3f",
}
"""With every request."""


def test_what_amp_sends(gate: Gate, totango: Receiving, account: str) -> None:
    """A page view and an event. Who it was and for which account, the page adds as `extraUrlParams`."""
    extra = {"userId": "ada", "context.groupId": account, "writeKey": KEY}
    page = {"name": "Index", "category": "Docs"}
    track = {"event": "Report exported", "properties.category": "Reports"}
    for path, more in (("page", page), ("track", track)):
        got = answer(gate, "GET", f"/v1/pixel/{path}?{urlencode({**SENDS, **extra, **more})}")
        assert got[:2] == (200, "image/gif")
        assert got[2].startswith(b"GIF89a")
    check_held(totango, account, [*PAGES, TRACK])
