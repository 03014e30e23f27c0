"""Adding a destination: the catalogue of kinds, then the form that is made from what the kind declares."""

from typing import Any

from starlette.responses import Response

from milonga.console.destinations import home
from milonga.console.forms import Form, form_of, read
from milonga.console.lines import NETWORK
from milonga.console.settings import fields_posted
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.destinations.contract import Destination
from milonga.facts.directory import log_end
from milonga.facts.probing import of_settings, refused
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.fields import fields_of
from milonga.workspace.model import DestinationState
from milonga.workspace.names import NAME_RULE, is_name
from milonga.workspace.roles import Role
from milonga.workspace.settings import changed
from milonga.workspace.store import Workspace


def catalogue(visit: Visit) -> Response:
    source = visit.text("source", 64)
    with visit.workspace() as workspace:
        counts = dict.fromkeys(workspace.kinds, 0)
        for one in workspace.destinations():
            counts[one.kind] = counts.get(one.kind, 0) + 1
        kinds = [
            (kind, _needs(kind), counts[kind.kind], address("/destinations/new/{}", [kind.kind], source=source or None))
            for kind in workspace.kinds.values()
        ]
        values = {"kinds": kinds, "sources": bool(workspace.sources.all())}
    return visit.page("destinations/catalogue.html", values)


def _needs(kind: Destination) -> str:
    return " and ".join(field.label for field in fields_of(kind.settings) if field.required)


def new(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        kind = _kind(visit, workspace)
        return _form(visit, workspace, kind, form_of(kind.settings()), _free_name(workspace, kind.kind), {})


def add(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        kind = _kind(visit, workspace)
        name, source = visit.text("name", 100).strip(), visit.text("source", 64)
        state = DestinationState.off if visit.text("state") == "off" else DestinationState.on
        given, form = read(fields_posted(visit), kind.settings())
        if state is DestinationState.on:
            for control in form.lacking:
                form = form.with_error(control.name, "Without it nothing can be sent. Set it, or add it switched off.")
        wrong = _wrong(workspace, name, source)
        if form.good and not wrong:
            try:
                added = workspace.add_destination(
                    kind.kind, source, name, given, state, log_end(visit.config.data), by=visit.by
                )
            except Clash:  # somebody was quicker
                wrong = {"name": _taken(name)}
            except UserError as error:
                form = form.refused(str(error))
            else:
                begins = "gets the events that arrive from now on" if state is DestinationState.on else "is off"
                return visit.go(home(added), f"{name} was added and {begins}.")
        return _form(visit, workspace, kind, form.refused(form.problem) if wrong else form, name, wrong)


def try_connection(visit: Visit) -> Response:
    """With what is typed; nothing is stored."""
    with visit.workspace() as workspace:
        kind = _kind(visit, workspace)
        given, form = read(fields_posted(visit), kind.settings())
        found = None if [one for one in form.errors if not one.given] else _tested(visit, kind, given)
        if visit.fragment:
            return visit.page("destinations/tested.html", {"found": found, "form": form})
        name = visit.text("name", 100).strip()
        return _form(visit, workspace, kind, form, name, {}, found)


def _tested(visit: Visit, kind: Destination, given: dict[str, object]) -> dict[str, Any]:
    try:
        settings = changed(kind.settings(), given, kind.label)
        return of_settings(kind, settings, allow_private=visit.config.allow_private)
    except UserError as error:
        return refused(error)


def _form(
    visit: Visit,
    workspace: Workspace,
    kind: Destination,
    form: Form,
    name: str,
    wrong: dict[str, str],
    found: dict[str, Any] | None = None,
) -> Response:
    sources = [one.name for one in workspace.sources.all()]
    source = visit.text("source", 64) or (sources[0] if len(sources) == 1 else "")
    values: dict[str, Any] = {
        "kind": kind,
        "form": form,
        "sources": sources,
        "options": [*([] if source in sources else [("", "Choose one")]), *((one, one) for one in sources)],
        "name": name,
        "source": source,
        "state": "off" if visit.text("state") == "off" else "on",
        "wrong": wrong,
        "found": found,
    }
    return visit.page("destinations/new.html", values, status=200 if form.good and not wrong else 422)


def _kind(visit: Visit, workspace: Workspace) -> Destination:
    kind = workspace.kinds.get(visit.path["kind"])
    if kind is None:
        raise NotThere(f"There is no kind of destination called {visit.path['kind'][:64]}.")
    return kind


def _wrong(workspace: Workspace, name: str, source: str) -> dict[str, str]:
    """Of what is no setting: by field, in words."""
    wrong = {}
    if not is_name(name):
        wrong["name"] = f"A name has {NAME_RULE}."
    elif any(one.name == name for one in workspace.destinations()):
        wrong["name"] = _taken(name)
    if all(one.name != source for one in workspace.sources.all()):
        wrong["source"] = "Choose the source whose events it gets."
    return wrong


def _taken(name: str) -> str:
    return f"There is a destination called {name} already. Choose another name."


def _free_name(workspace: Workspace, kind: str) -> str:
    """The kind's own, or with a number."""
    there = {one.name for one in workspace.destinations()}
    if kind not in there:
        return kind
    return next(name for number in range(2, len(there) + 3) if (name := f"{kind}-{number}") not in there)


PAGES = [
    shows("/destinations/new", catalogue),
    shows("/destinations/new/{kind}", new, Role.editor),
    changes("/destinations/new/{kind}", add),
    changes("/destinations/new/{kind}/test", try_connection, line=NETWORK),
]
