"""A destination's filters: which events it gets, and how much of them; tried on the newest events before they hold."""

from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins
from starlette.responses import Response

from milonga.console.destinations import config_of, frame, home, in_force, place_of
from milonga.console.filter_form import DEEDS, Typed, marked, names_in, problem_of, read, typed_in, typed_of
from milonga.console.lines import WORK
from milonga.console.settings import kind_or_refuse, newer_changes, posted, save, shown_form
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.facts.directory import log_end
from milonga.facts.facts import HOUR, Facts
from milonga.facts.filters import on_recent
from milonga.filters.chain import KEPT_BACK, UNSURE, check
from milonga.filters.rule import LONGEST_WHEN, Filter
from milonga.filters.words import deed
from milonga.outcomes.words import why_skipped
from milonga.workspace.commands import milliseconds
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.fields import fields_of
from milonga.workspace.model import DestinationConfig
from milonga.workspace.roles import Role

CONSENT = "consentCategories"
ALL_BUT_CONSENT = frozenset(field.name for field in fields_of(DeliverySettings)) - {CONSENT}


def every(visit: Visit) -> Response:
    with visit.facts() as facts:
        return _every(visit, facts)


def _every(visit: Visit, facts: Facts, form: Any = None) -> Response:
    """form  of the consent categories, if it comes back"""
    config = config_of(visit, facts)
    kind_or_refuse(facts.workspace, config)
    rules = config.delivery.filters
    form = form or shown_form(facts.workspace, config, delivery=True, leave_out=ALL_BUT_CONSENT)
    values = {
        **frame(visit, facts, place_of(visit, facts), "/filters"),
        "rules": [(one, deed(one), edit_at(config, one.name)) for one in rules],
        "dropped": _dropped(facts, config),
        "form": form,
        "force": in_force(facts, config),
    }
    return visit.page("destinations/filters.html", values, status=200 if form.good else 422)


def edit_at(config: DestinationConfig, name: str) -> str:
    return address(f"{home(config)}/filters/edit/{{}}", [name])


def _dropped(facts: Facts, config: DestinationConfig) -> dict[str, int]:
    """Filter -> how many events of the last hour it kept back."""
    found: dict[str, int] = {}
    for (number, _, code), n in facts.outcomes.totals(milliseconds() - HOUR).items():
        for start in (KEPT_BACK, UNSURE):
            if number == config.id and code.startswith(start):
                name = code.removeprefix(start)
                found[name] = found.get(name, 0) + n
    return found


# -- one filter


def new(visit: Visit) -> Response:
    with visit.facts() as facts:
        return _edit(visit, facts, config_of(visit, facts), None, Typed(when=visit.text("when", LONGEST_WHEN)), {})


def edit(visit: Visit) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        one = _named(config, visit.path["filter"])
        return _edit(visit, facts, config, one.name, typed_of(one), {})


def _edit(
    visit: Visit, facts: Facts, config: DestinationConfig, name: str | None, typed: Typed, wrong: dict[str, str]
) -> Response:
    """name  of the filter that is edited; None: of a new one"""
    kind_or_refuse(facts.workspace, config)
    values = {
        **frame(visit, facts, place_of(visit, facts), "/filters"),
        "editing": name,
        "to": f"{home(config)}/filters/new" if name is None else edit_at(config, name),
        "typed": typed,
        "wrong": wrong,
        "deeds": DEEDS,
        **_checked(typed.when),
    }
    return visit.page("destinations/filter.html", values, status=422 if wrong else 200)


def add(visit: Visit) -> Response:
    return _save(visit, None)


def change(visit: Visit) -> Response:
    return _save(visit, visit.path["filter"])


def _save(visit: Visit, name: str | None) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        typed = typed_in(lambda field: visit.text(field, 20_000))
        found = read(typed)
        wrong = dict(found.wrong)
        if found.filter is not None:
            version = visit.number("version", config.settings_version, 0, 1 << 40)
            who = newer_changes(facts.workspace, config, version).get("filters")
            rules = _with(config, name, found.filter)
            try:
                check(rules)
            except ValueError as error:
                wrong["name"] = str(error)
            if who is not None:
                wrong["all"] = (
                    f"{who} has changed the filters since this page was loaded. Look at them, and save again."
                )
            if not wrong:
                return _set(visit, facts, config, rules, f"{found.filter.name} was saved.")
        return _edit(visit, facts, config, name, typed, wrong)


def _with(config: DestinationConfig, name: str | None, one: Filter) -> tuple[Filter, ...]:
    """In the place of the one of this name; a new one comes last."""
    rules = config.delivery.filters
    if name is None:
        return (*rules, one)
    _named(config, name)
    return tuple(one if rule.name == name else rule for rule in rules)


def _named(config: DestinationConfig, name: str) -> Filter:
    found = next((one for one in config.delivery.filters if one.name == name), None)
    if found is None:
        raise NotThere(f"{config.name} has no filter {name[:40]}. It may have been removed, or has another name now.")
    return found


def move(visit: Visit) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        one = _named(config, visit.text("filter", 40))
        rules = list(config.delivery.filters)
        place = rules.index(one)
        to = min(max(place + (-1 if visit.text("way") == "up" else 1), 0), len(rules) - 1)
        rules.insert(to, rules.pop(place))
        return _set(visit, facts, config, rules, f"{one.name} is number {to + 1} now.")


def remove(visit: Visit) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        one = _named(config, visit.text("filter", 40))
        rules = [rule for rule in config.delivery.filters if rule is not one]
        return _set(visit, facts, config, rules, f"{one.name} was removed.")


def _set(visit: Visit, facts: Facts, config: DestinationConfig, rules: Sequence[Filter], said: str) -> Response:
    facts.workspace.set_settings(
        config.id,
        {"filters": to_builtins(tuple(rules))},
        log_end(visit.config.data),
        by=visit.by,
        if_settings_version=config.settings_version,
    )
    return visit.go(f"{home(config)}/filters", said)


def consent(visit: Visit) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        asked = posted(visit, facts.workspace, config, delivery=True, leave_out=ALL_BUT_CONSENT)
        form, said = save(visit, facts.workspace, config, asked)
        return visit.go(f"{home(config)}/filters", said) if form.good else _every(visit, facts, form)


# -- before it holds


def checked(visit: Visit) -> Response:
    """Of a condition, as it is typed."""
    return visit.page("destinations/condition.html", _checked(visit.text("when", 20_000).replace("\r\n", "\n")))


def _checked(when: str) -> dict[str, Any]:
    problem = problem_of(when)
    return {
        "when": when,
        "problem": problem,
        "marked": marked(when, problem),
        "names": names_in(when) if when.strip() and not problem else (),
    }


def try_present(visit: Visit) -> Response:
    """The filters as they are, on the newest events."""
    with visit.facts() as facts:
        config = config_of(visit, facts)
        return _tried(visit, facts, config, config.delivery.filters)


def try_edited(visit: Visit) -> Response:
    """With the one that is in the form."""
    with visit.facts() as facts:
        config = config_of(visit, facts)
        found = read(typed_in(lambda field: visit.text(field, 20_000)))
        if found.filter is None:
            raise UserError(" ".join(found.wrong.values()))
        rules = _with(config, visit.text("editing", 40) or None, found.filter)
        try:
            check(rules)
        except ValueError as error:
            raise UserError(str(error)) from None
        return _tried(visit, facts, config, rules)


def _tried(visit: Visit, facts: Facts, config: DestinationConfig, rules: tuple[Filter, ...]) -> Response:
    found = on_recent(facts, config, rules, config.delivery.consent_categories)
    values = {"found": found, "source": facts.source(config.source), "home": home(config), "words": why_skipped}
    return visit.page("destinations/tried.html" if visit.fragment else "destinations/tried-page.html", values)


PAGES = [
    shows("/destinations/{name}/filters", every),
    shows("/destinations/{name}/filters/new", new, Role.editor),
    changes("/destinations/{name}/filters/new", add),
    shows("/destinations/{name}/filters/edit/{filter}", edit, Role.editor),
    changes("/destinations/{name}/filters/edit/{filter}", change),
    changes("/destinations/{name}/filters/move", move),
    changes("/destinations/{name}/filters/remove", remove),
    changes("/destinations/{name}/filters/consent", consent),
    changes("/destinations/{name}/filters/check", checked),
    shows("/destinations/{name}/filters/tried", try_present, line=WORK),
    changes("/destinations/{name}/filters/try", try_edited, line=WORK),
]
