"""Segment's tracking API, whoever speaks it: the hosted product, or another Milonga. See docs/segment.md."""

from milonga.destinations.contract import Batching, Destination
from milonga.destinations.segment.judge import judge
from milonga.destinations.segment.keys import keys
from milonga.destinations.segment.settings import Settings
from milonga.destinations.segment.translate import NAME, translate
from milonga.destinations.segment.wanted import heeds_all
from milonga.destinations.segment.wire import MAX_BATCH, MAX_EVENTS, WAIT, join

destination = Destination(
    kind="segment",
    label=NAME,
    summary="Forwards events in batches to Segment, or to whoever speaks its tracking API.",
    settings=Settings,
    keys=keys,
    translate=translate,
    judge=judge,
    relays=True,
    heeds_all=heeds_all,
    unproven="A write key is not confirmed: Segment answers 200 to one it does not know. Look into its debugger "
    "whether your first event has arrived. A Milonga answers 401 to it.",
    batch=Batching(events=MAX_EVENTS, size=MAX_BATCH, wait=WAIT, join=join),
)
