"""
A posted form of a destination's settings, on its way to a change: compared with what was shown, held against what
others changed meanwhile, refused where nothing could be sent any more.
"""

from collections.abc import Collection, Mapping

from msgspec import Struct

from milonga.console.forms import Form, form_of, read
from milonga.console.visit import Visit
from milonga.facts.destinations import masked
from milonga.facts.directory import log_end
from milonga.outcomes.words import person
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.store import Workspace


class Posted(Struct, frozen=True):
    """
    form     as it was typed, with what is wrong
    changes  that it asks for; all of them if the form is good
    """

    form: Form
    changes: Mapping[str, object]


def fields_posted(visit: Visit) -> dict[str, list[str]]:
    return {
        name: [value for value in visit.form.getlist(name) if isinstance(value, str)]
        for name in visit.form.keys()  # noqa: SIM118
    }


def shown_form(workspace: Workspace, config: DestinationConfig, *, delivery: bool, leave_out: Collection[str]) -> Form:
    """Of the settings in force: the kind's own, or those of the delivery."""
    return form_of(config.delivery if delivery else masked(workspace, config), leave_out)


def posted(
    visit: Visit, workspace: Workspace, config: DestinationConfig, *, delivery: bool, leave_out: Collection[str] = ()
) -> Posted:
    """NotThere if the form is of a version that never was."""
    version = visit.number("version", config.settings_version, 0, 1 << 40)
    try:
        shown = _of_version(workspace, config, version, delivery=delivery)
    except KeyError:
        raise NotThere(f"This form is of settings that {config.name} never had. Load the page again.") from None
    changes, form = read(fields_posted(visit), shown, leave_out)
    if newer := newer_changes(workspace, config, version):
        touched = {*changes, *(one.name for one in form.errors)}
        form = _on_top(shown_form(workspace, config, delivery=delivery, leave_out=leave_out), form, touched)
        for name in newer.keys() & changes.keys():
            said = f"{person(newer[name])} has changed it since this page was loaded. Look at it, and save again."
            form = form.with_error(name, said)
    if config.state is not DestinationState.off:
        for control in form.lacking:
            said = "Without it nothing can be sent. Switch the destination off first, if it is to be empty."
            form = form.with_error(control.name, said)
    return Posted(form, changes)


def _of_version(workspace: Workspace, config: DestinationConfig, version: int, *, delivery: bool) -> Struct:
    at = workspace.delivery_settings_at if delivery else workspace.settings_at
    return at(config.id, version)


def _on_top(present: Form, typed: Form, touched: Collection[str]) -> Form:
    """What was typed, over what others have set meanwhile: sent again, the form must not take their changes back."""
    return Form(tuple(typed.control(one.name) if one.name in touched else one for one in present.controls))


def newer_changes(workspace: Workspace, config: DestinationConfig, version: int) -> dict[str, str]:
    """Name -> who, of what newer versions than this changed."""
    if version >= config.settings_version:
        return {}
    newer = workspace.settings_changes(config.id, limit=min(config.settings_version - version, 1_000))
    return {change.name: one.by for one in reversed(newer) for change in one.changes}


def save(visit: Visit, workspace: Workspace, config: DestinationConfig, asked: Posted) -> tuple[Form, str]:
    """The form, with what is wrong, and what to say if nothing is."""
    if not asked.form.good:
        return asked.form, ""
    try:
        after = workspace.set_settings(
            config.id,
            asked.changes,
            log_end(visit.config.data),
            by=visit.by,
            new_key=visit.text("new_key") == "true",
            if_settings_version=config.settings_version,
        )
    except UserError as error:
        return asked.form.refused(str(error)), ""
    if after.settings_version == config.settings_version:
        return asked.form, "Nothing was changed: these are its settings already."
    on = " It is on again." if after.state is DestinationState.on and config.state is DestinationState.paused else ""
    return asked.form, f"Saved as version {after.settings_version}.{on}"


def kind_or_refuse(workspace: Workspace, config: DestinationConfig) -> str:
    """The label of its kind. UserError if this Milonga does not have it."""
    kind = workspace.kinds.get(config.kind)
    if kind is None:
        raise UserError(f"{config.name} is of kind {config.kind}, which this Milonga does not have: it has no form.")
    return kind.label


OF_FILTERS = frozenset({"filters", "consentCategories"})
"""Delivery settings that have a page of their own."""
