"""Totango: accounts, users and activities, over its collection endpoint. Rules and sources: docs/totango.md."""

from milonga.destinations.contract import Destination
from milonga.destinations.totango.browser import browser
from milonga.destinations.totango.gate import NAME
from milonga.destinations.totango.heartbeat import lifetime
from milonga.destinations.totango.judge import judge
from milonga.destinations.totango.keys import keys
from milonga.destinations.totango.notices import notices
from milonga.destinations.totango.overwriting import BEFORE_REPLAY, OVERWRITING, sets
from milonga.destinations.totango.settings import Settings
from milonga.destinations.totango.translate import translate
from milonga.destinations.totango.wire import address

destination = Destination(
    kind="totango",
    label=NAME,
    summary="Customer success: accounts, their users, and what they do in your product.",
    settings=Settings,
    keys=keys,
    crossing=frozenset({"group"}),
    translate=translate,
    judge=judge,
    browser=browser,
    lifetime=lifetime,
    overwriting=OVERWRITING,
    sets=sets,
    notices=notices,
    before_replay=BEFORE_REPLAY,
    reaches=lambda settings: address(settings.endpoint, settings.region),
    unproven="Totango answers 200 to any Service ID and any token, so it confirms neither: look there whether your "
    "first event has arrived.",
)
