"""A destination's settings, those of its delivery, a test of its connection, its history, and going back in it."""

from typing import Any, Final

from msgspec import Struct
from starlette.responses import Response

from milonga.console.changes import entries
from milonga.console.destinations import config_of, frame, home, in_force, place_of
from milonga.console.forms import Form
from milonga.console.lines import NETWORK
from milonga.console.settings import OF_FILTERS, kind_or_refuse, posted, save, shown_form
from milonga.console.table import changes, shows
from milonga.console.visit import Visit
from milonga.facts.directory import log_end
from milonga.facts.facts import Facts
from milonga.facts.probing import refused, tested
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.settings import missing

ENTRIES: Final = 50  #: of the history, on one page


class Tab(Struct, frozen=True):
    """Of the two that are forms: the end of its address, its template, and what it leaves to other pages."""

    end: str
    template: str
    delivery: bool
    leave_out: frozenset[str]


OWN = Tab("/settings", "destinations/settings.html", False, frozenset())
DELIVERY = Tab("/delivery", "destinations/delivery.html", True, OF_FILTERS)


def settings(visit: Visit) -> Response:
    with visit.facts() as facts:
        return _form(visit, facts, OWN, None)


def delivery(visit: Visit) -> Response:
    with visit.facts() as facts:
        return _form(visit, facts, DELIVERY, None)


def _form(visit: Visit, facts: Facts, tab: Tab, form: Form | None, **more: Any) -> Response:
    """form  as it was posted; None: of what is in force"""
    place = place_of(visit, facts)
    config = config_of(visit, facts)
    kind_or_refuse(facts.workspace, config)
    if form is None:
        form = shown_form(facts.workspace, config, delivery=tab.delivery, leave_out=tab.leave_out)
    values = {
        **frame(visit, facts, place, tab.end),
        "form": form,
        "force": in_force(facts, config),
        "found": None,
        **more,
    }
    return visit.page(tab.template, values, status=200 if form.good else 422)


def save_settings(visit: Visit) -> Response:
    return _save(visit, OWN)


def save_delivery(visit: Visit) -> Response:
    return _save(visit, DELIVERY)


def _save(visit: Visit, tab: Tab) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        kind_or_refuse(facts.workspace, config)
        asked = posted(visit, facts.workspace, config, delivery=tab.delivery, leave_out=tab.leave_out)
        form, said = save(visit, facts.workspace, config, asked)
        if form.good:
            return visit.go(home(config) + tab.end, said)
        return _form(visit, facts, tab, form)


def try_connection(visit: Visit) -> Response:
    """With what is typed in the form; nothing is stored."""
    with visit.facts() as facts:
        config = config_of(visit, facts)
        kind_or_refuse(facts.workspace, config)
        asked = posted(visit, facts.workspace, config, delivery=False)
        bad = [one for one in asked.form.errors if one.name in asked.changes or not one.given]
        found = _tested(visit, facts, config, asked.changes) if not bad else None
        if visit.fragment:
            return visit.page("destinations/tested.html", {"found": found, "form": asked.form})
        return _form(visit, facts, OWN, asked.form, found=found)


def _tested(visit: Visit, facts: Facts, config: DestinationConfig, typed: Any) -> dict[str, Any]:
    try:
        return tested(facts.workspace, config, typed, allow_private=visit.config.allow_private)
    except UserError as error:
        return refused(error)


# -- history


def history(visit: Visit) -> Response:
    with visit.facts() as facts:
        place = place_of(visit, facts)
        before = visit.number("before", 0, 0, 1 << 40) or None
        found, older = entries(facts.workspace, place.config, before, ENTRIES)
        values = {
            **frame(visit, facts, place, "/history"),
            "entries": found,
            "older": None if older is None else visit.here(before=older),
            "newer": None if before is None else visit.here(before=None),
        }
    return visit.page("destinations/history.html", values)


def undo(visit: Visit) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        version = visit.number("version", config.settings_version - 1, 0, 1 << 40)
        if config.state is not DestinationState.off and 0 < version <= config.settings_version:
            lacking = missing(facts.workspace.settings_at(config.id, version))
            if lacking:
                raise UserError(
                    f"In version {version} {lacking[0].label} was empty: with it nothing can be sent. "
                    f"Switch {config.name} off first."
                )
        undone = facts.workspace.revert_settings(config.id, version, log_end(visit.config.data), by=visit.by)
    after, at = undone.config, f"{home(config)}/history"
    if after.settings_version == config.settings_version:
        return visit.go(at, f"Nothing was changed: these are the settings of version {version} already.")
    said = f"Saved as version {after.settings_version}, equal to version {version}."
    if undone.lost:
        lost = ", ".join(undone.lost)
        said += f" {lost} of then cannot be read any more and is as before: type it again if it was another."
    return visit.go(at, said)


PAGES = [
    shows("/destinations/{name}/settings", settings),
    changes("/destinations/{name}/settings", save_settings),
    changes("/destinations/{name}/settings/test", try_connection, line=NETWORK),
    shows("/destinations/{name}/delivery", delivery),
    changes("/destinations/{name}/delivery", save_delivery),
    shows("/destinations/{name}/history", history),
    changes("/destinations/{name}/undo", undo),
]
