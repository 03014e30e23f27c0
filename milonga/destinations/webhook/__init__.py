"""A webhook: each event, as JSON, to one URL of yours. See docs/webhook.md."""

from milonga.destinations.contract import Destination
from milonga.destinations.webhook.judge import judge
from milonga.destinations.webhook.ordering import NAME, keys
from milonga.destinations.webhook.settings import Settings
from milonga.destinations.webhook.translate import translate

destination = Destination(
    kind="webhook",
    label=NAME,
    summary="Each event as JSON, to one URL of yours.",
    settings=Settings,
    keys=keys,
    translate=translate,
    judge=judge,
    unproven="Whether your receiver takes the events, and their signature, shows when the first one is sent.",
)
