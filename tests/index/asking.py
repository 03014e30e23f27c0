"""What tests ask of an index."""

from milonga.index.index import EventIndex
from milonga.index.search import Query


def pages(index: EventIndex, query: Query, limit: int) -> list[int]:
    """All that is found, a page at a time."""
    offsets, before = list[int](), None
    while True:
        page = index.search(query, limit, before)
        offsets += [event.position.offset for event in page.events]
        if page.before is None:
            return offsets
        before = page.before
