"""What tests ask of an index."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

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


@contextmanager
def in_peace() -> Iterator[None]:
    """However busy the machine is, nothing is given up because it takes too long."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("accounts", "counting"):
            patch.setattr(f"milonga.index.{module}.BUDGET", 60.0)
        yield
