"""
Which events a 200 has promised to keep. What can be read in a body is asked of the product's own decoder, which has
tests of its own (tests/spec): here it is about what becomes of an event behind it, among all the others.
"""

from milonga.collector.routes import Route, route_to
from milonga.collector.unpack import unpack
from milonga.collector.write_key import key_in_header
from milonga.identity.message_id import message_id
from milonga.spec.decode import decode, decode_mended
from tests.fuzz.draft import Draft
from tests.fuzz.templates import KEY


def owed(draft: Draft) -> set[str]:
    """messageIds, as they are stored, of the events of a request that was answered with 200."""
    if draft.honest:
        return set(draft.honest)
    if draft.aim != "track" or draft.answers != "one":
        return set()
    route = route_to(draft.method, draft.target)
    assert isinstance(route, Route), draft.target
    body = unpack(draft.body, draft.header(b"content-encoding"))
    decoded = decode(body, route.type) or decode_mended(body, route.type)
    key = key_in_header(draft.header(b"authorization")) or decoded.write_key
    if key != KEY:
        return set()
    return {message_id(event.message_id, str)[0] for event in decoded.events if event.message_id is not None}
