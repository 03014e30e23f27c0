"""Sources: all of them, a new one, how one stands, its settings, its end."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from milonga.console.forms import Form, form_of, read
from milonga.console.pages._source import at, frame, name_of
from milonga.console.table import changes, shows
from milonga.console.visit import Visit
from milonga.facts import over_time
from milonga.facts.sources import refused_of_nobody, standing, standings
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.key_ends import ending_later
from milonga.workspace.model import SourceSettings
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace


def every(visit: Visit) -> Response:
    now = milliseconds()
    with visit.facts() as facts:
        values: dict[str, Any] = {"sources": standings(facts, now), "refused": refused_of_nobody(facts, now)}
    return visit.page("sources/list-part.html" if visit.fragment else "sources/list.html", values)


# A new one


def new(visit: Visit) -> Response:
    return visit.page("sources/new.html", {"name": "", "origins": "", "wrong": {}})


def create(visit: Visit) -> Response:
    name, origins = visit.text("name").strip(), visit.text("origins", 100_000)
    wrong: dict[str, str] = {}
    with visit.workspace() as workspace:
        try:
            _check_origins(origins)
        except UserError as error:
            wrong["origins"] = str(error).removeprefix("origins: ")
        try:
            if not wrong:
                workspace.sources.add(name, by=visit.by)
        except UserError as error:
            wrong["name"] = str(error)
        if not wrong and origins.strip():
            workspace.sources.set_settings(name, {"origins": _lines(origins)}, by=visit.by)
    if wrong:
        return visit.page("sources/new.html", {"name": name, "origins": origins, "wrong": wrong}, status=422)
    return visit.go(at(name, "/setup"), f"Source {name} is there. Set up what sends to it.")


def _check_origins(typed: str) -> None:
    """UserError if a line of it is none."""
    try:
        SourceSettings(origins=_lines(typed))
    except ValueError as error:
        raise UserError(str(error)) from None


def _lines(typed: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in typed.replace(",", "\n").splitlines() if one.strip())


# How one stands


def overview(visit: Visit) -> Response:
    now = milliseconds()
    with visit.facts() as facts:
        source = facts.workspace.sources.named(name_of(visit))
        values: dict[str, Any] = {
            "found": standing(facts, source, now),
            "exchanged": list(ending_later(facts.workspace.write_keys.of(source.name), now)),
            "destinations": [place.config for place in facts.places if place.config.source == source.id],
            "refused": refused_of_nobody(facts, now),
        }
    span = visit.text("range") if visit.text("range") in over_time.SPANS else "1h"
    template = "sources/overview-part.html" if visit.fragment else "sources/overview.html"
    return visit.page(template, frame(source) | values | {"span": span, "spans": over_time.SPANS})


# Settings


def settings(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        source = workspace.sources.named(name_of(visit))
    return visit.page("sources/settings.html", frame(source, "/settings") | {"form": form_of(source.settings)})


def save(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        source = workspace.sources.named(name_of(visit))
        posted: Mapping[str, list[str]] = {name: visit.texts(name, 100_000) for name in visit.form}
        wanted, form = read(posted, source.settings)
        if form.good:
            form = _saved(visit, workspace, source.name, wanted, form)
        if form.good:
            done = "Saved. In force within 5 seconds, in the pipeline and in browsers."
            return visit.go(at(source.name, "/settings"), done if wanted else "Nothing was changed.")
    return visit.page("sources/settings.html", frame(source, "/settings") | {"form": form}, status=422)


def _saved(visit: Visit, workspace: Workspace, name: str, wanted: Mapping[str, object], form: Form) -> Form:
    """The form, with what the change was refused for."""
    try:
        if wanted:
            workspace.sources.set_settings(name, wanted, by=visit.by)
    except NotThere:
        raise
    except UserError as error:
        return form.refused(str(error))
    return form


def remove(visit: Visit) -> Response:
    name = name_of(visit)
    with visit.workspace() as workspace:
        workspace.sources.remove(name, by=visit.by)
    return visit.go("/sources", f"Source {name} is removed. Calls with its write keys are refused.")


PAGES = [
    shows("/sources", every),
    shows("/sources/new", new, Role.editor),
    changes("/sources/new", create),
    shows("/sources/{name}", overview),
    shows("/sources/{name}/settings", settings),
    changes("/sources/{name}/settings", save),
    changes("/sources/{name}/remove", remove),
]
