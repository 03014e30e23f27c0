"""Trying out: an event, pasted or picked, at a destination with settings edited beside it. Nothing is sent or saved."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from starlette.responses import Response

from milonga.console.forms import Form, form_of, read
from milonga.console.links import position_of, to_event, to_fix
from milonga.console.rendering import pretty
from milonga.console.searching import Asked, look
from milonga.console.settings import fields_posted
from milonga.console.table import changes, shows
from milonga.console.visit import Visit
from milonga.eventlog.api import Stored
from milonga.facts import explain
from milonga.facts.curl import curl
from milonga.facts.destinations import masked
from milonga.facts.facts import Facts
from milonga.facts.preview import MENDED, MOST_PASTED, draft, pasted, preview
from milonga.spec.event import Event
from milonga.spec.read import read_stamped
from milonga.workspace.commands import milliseconds
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.fields import fields_of
from milonga.workspace.model import DestinationConfig
from milonga.workspace.roles import Role

PICKED: Final = 8  #: of the newest events, to choose from
ASKED_OF_DELIVERY: Final = ("filters", "consentCategories")  #: settings of delivery that decide what is sent
OTHERS: Final = frozenset(field.name for field in fields_of(DeliverySettings)) - set(ASKED_OF_DELIVERY)
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "track": {
        "type": "track",
        "userId": "ada",
        "event": "Created Report",
        "properties": {"category": "Reports", "rows": 12},
        "context": {"groupId": "acme"},
    },
    "group": {
        "type": "group",
        "userId": "ada",
        "groupId": "acme",
        "traits": {"name": "Acme Corporation", "plan": "Pro", "createdAt": "2024-03-05T14:22:07Z"},
    },
    "identify": {
        "type": "identify",
        "userId": "ada",
        "traits": {"email": "ada@acme.example", "firstName": "Ada", "lastName": "Lovelace"},
        "context": {"groupId": "acme"},
    },
    "page": {
        "type": "page",
        "userId": "ada",
        "category": "Reports",
        "name": "Weekly",
        "context": {"groupId": "acme"},
    },
}


class Tried(Struct, frozen=True, kw_only=True):
    """
    text     of the event, as typed
    place    of the event it was picked from, as in its address; ""
    config   the destination; None if there is none
    own, shared  forms of its settings, and of those of its delivery that decide what is sent
    edited   labels of settings that differ from what is saved
    found    as milonga.facts.preview has it; None if there is no event yet, or trouble
    trouble  what is wrong, in words; ""
    others   events that were pasted with it, and are not looked at
    mended   that it was no JSON as it was pasted, in words; ""
    """

    text: str
    place: str
    config: DestinationConfig | None
    own: Form = Form(())
    shared: Form = Form(())
    edited: tuple[str, ...] = ()
    found: Mapping[str, Any] | None = None
    trouble: str = ""
    others: int = 0
    mended: str = ""


def page(visit: Visit) -> Response:
    with visit.facts() as facts:
        place = visit.text("event", 40)
        stored = _stored(facts, place)
        example = EXAMPLES.get(visit.text("example"))
        text = pretty(stored.event.body) if stored is not None else "" if example is None else pretty(example)
        config = _chosen(facts, visit.text("destination"), stored)
        return _page(visit, facts, _tried(facts, text, place if stored is not None else "", config, {}))


def tried(visit: Visit) -> Response:
    """htmx asks for the result alone; with it come the settings, if another destination was chosen."""
    with visit.facts() as facts:
        place, text = visit.text("p.event", 40), visit.text("p.text", MOST_PASTED + 1).replace("\r\n", "\n")
        config = _chosen(facts, visit.text("p.destination"), None)
        other = config is not None and visit.text("p.of", 20) != str(config.id)
        found = _tried(facts, text, place, config, {} if other else fields_posted(visit))
        if visit.fragment:
            return visit.page("preview/result.html", {**_values(facts, found), "other": other})
        return _page(visit, facts, found)


def _page(visit: Visit, facts: Facts, found: Tried) -> Response:
    recent = () if found.text else look(visit, facts, Asked(), PICKED).rows
    values = {"recent": recent, "examples": list(EXAMPLES), "to_event": to_event, "other": False}
    return visit.page("preview/page.html", {**_values(facts, found), **values})


def _values(facts: Facts, found: Tried) -> dict[str, Any]:
    config = found.config
    skip = None if found.found is None else found.found["skip"]
    source = "" if config is None else facts.source(config.source)
    return {
        "tried": found,
        "destinations": [(one.name, one.name) for one in _destinations(facts)],
        "fix": None if skip is None or config is None else to_fix(skip["fixAt"], config, source),
        "curl": curl,
    }


def _destinations(facts: Facts) -> list[DestinationConfig]:
    """Those whose kind this Milonga has."""
    there = [place.config for place in facts.places if place.removed_at is None]
    return [config for config in there if config.kind in facts.workspace.kinds]


def _chosen(facts: Facts, name: str, stored: Stored | None) -> DestinationConfig | None:
    """The one that is named, else one of the event's source, else any."""
    there = _destinations(facts)
    for config in there:
        if config.name == name:
            return config
    if stored is not None:
        mine = [config for config in there if config.source == stored.event.stamp.source]
        there = mine or there
    return there[0] if there else None


def _stored(facts: Facts, place: str) -> Stored | None:
    """None also for one that was erased: nothing of it is left to try."""
    position = position_of(place)
    found = None if position is None else explain.at(facts, position)
    return found if isinstance(found, Stored) and not found.event.stamp.is_erased else None


def _tried(
    facts: Facts, text: str, place: str, config: DestinationConfig | None, posted: Mapping[str, list[str]]
) -> Tried:
    if config is None:
        return Tried(text=text, place=place, config=None)
    saved = masked(facts.workspace, config)
    own_changes, own = read(posted, saved) if posted else ({}, form_of(saved))
    shared_changes, shared = read(posted, config.delivery, OTHERS) if posted else ({}, form_of(config.delivery, OTHERS))
    changed = {**own_changes, **shared_changes}
    labels = {one.name: one.label for one in (*own.controls, *shared.controls)}
    found, trouble, others, mended = None, "", 0, ""
    try:
        if text.strip():
            event, others, mended = _event(facts, text, place, config)
            found = preview(event, draft(facts.workspace, config, changed), config.name)
    except UserError as error:
        trouble = str(error)
    return Tried(
        text=text,
        place=place,
        config=config,
        own=own,
        shared=shared,
        edited=tuple(labels.get(name, name) for name in changed),
        found=found,
        trouble=trouble,
        others=others,
        mended=mended,
    )


def _event(facts: Facts, text: str, place: str, config: DestinationConfig) -> tuple[Event, int, str]:
    """With it, `others` and `mended`. One that was picked and not edited is as it was stamped. UserError."""
    stored = _stored(facts, place)
    if stored is not None and pretty(stored.event.body).strip() == text.strip():
        return read_stamped(stored.event), 0, ""
    given = pasted(text, config.source, milliseconds())
    return read_stamped(given.stamped), given.others, MENDED if given.mended else ""


PAGES = [shows("/preview", page), changes("/preview", tried, Role.viewer)]
