"""The filters of a destination: which events it gets, and how much of them."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, ValidationError, convert, to_builtins

from milonga.api import shapes
from milonga.api.problem import Problem, misfit
from milonga.api.route import Asked, Listed, NoQuery, Route
from milonga.facts.directory import log_end
from milonga.facts.filters import on_recent
from milonga.facts.trying import given_event, tried
from milonga.filters.chain import check
from milonga.filters.rule import MOST_FILTERS, Filter
from milonga.spec.read import read_stamped
from milonga.spec.text import well_formed
from milonga.workspace.errors import Clash, NotThere
from milonga.workspace.model import DestinationConfig
from milonga.workspace.roles import Role
from milonga.workspace.rows import kind_named

Place = Annotated[int, Meta(ge=1, description="1: it is asked first.")]


class NewFilter(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """As the Nth of them (place), the last unless given. docs/filters.md says what each field is."""

    name: str
    do: str
    when: str = ""
    share: float | None = None
    by: str = ""
    fields: list[str] = []
    place: Place | None = None


class FilterChange(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What changes; a `do` that needs other fields needs them, too."""

    do: str | None = None
    when: str | None = None
    share: float | None = None
    by: str | None = None
    fields: list[str] | None = None
    place: Place | None = None


class Trial(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An event as an SDK would send it, or the message id of one in the log."""

    event: dict[str, Any] | None = None
    message_id: str | None = None


class RecentTrial(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Filters that need not be saved, and consent categories; null: those in force."""

    filters: Annotated[list[Filter], Meta(max_length=MOST_FILTERS)] | None = None
    consent_categories: Annotated[list[str], Meta(max_length=100)] | None = None


def list_filters(asked: Asked[NoQuery, None]) -> Listed:
    return Listed([to_builtins(one) for one in _config(asked).delivery.filters])


def show(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    return _row(_named(_config(asked), asked.names["filter"]))


def create(asked: Asked[NoQuery, NewFilter]) -> dict[str, Any]:
    config, body = _config(asked), asked.body
    if any(one.name == body.name for one in config.delivery.filters):
        raise Clash(f"There is a filter {body.name} already. Remove it first, or take another name.")
    given = {name: value for name, value in to_builtins(body).items() if name != "place"}
    new = _read(given)
    _set(asked, config, _inserted(config.delivery.filters, new, body.place))
    return _row(new)


def change(asked: Asked[NoQuery, FilterChange]) -> dict[str, Any]:
    config, body = _config(asked), asked.body
    before = _named(config, asked.names["filter"])
    given = {name: value for name, value in to_builtins(body).items() if name != "place" and value is not None}
    new = _read(to_builtins(before) | given) if given else before
    filters = config.delivery.filters
    if body.place is None:
        _set(asked, config, [new if one is before else one for one in filters])
    else:
        _set(asked, config, _inserted([one for one in filters if one is not before], new, body.place))
    return _row(new)


def remove(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    config = _config(asked)
    gone = _named(config, asked.names["filter"])
    _set(asked, config, [one for one in config.delivery.filters if one is not gone])
    return {"removed": gone.name}


def try_(asked: Asked[NoQuery, Trial]) -> list[dict[str, Any]]:
    body, config = asked.body, _config(asked)
    if (body.event is None) == (body.message_id is None):
        raise Problem(422, "invalid_body", "Name one of: event, messageId.")
    kind = kind_named(asked.workspace.kinds, config.kind, config.name)
    if body.message_id is not None:
        found = asked.facts.log.by_message_id(body.message_id)
        if not found:
            said = well_formed(body.message_id)
            raise NotThere(f"No event with message id {said} is in the log. Ids are case-sensitive.")
        events = [read_stamped(stored.event) for stored in found]
    else:
        events = [given_event(body.event or {})]
    return [tried(event, kind, config).as_json(config.name) for event in events]


def try_on_recent(asked: Asked[NoQuery, RecentTrial]) -> dict[str, Any]:
    body, config = asked.body, _config(asked)
    filters = config.delivery.filters if body.filters is None else tuple(body.filters)
    categories = config.delivery.consent_categories if body.consent_categories is None else body.consent_categories
    try:
        check(filters)
    except ValueError as error:
        raise Problem(422, "invalid_body", str(error), field="$.filters") from None
    found = on_recent(asked.facts, config, filters, tuple(categories))
    return found | {"examples": [{"code": code, "events": some} for code, some in found["examples"].items()]}


def _config(asked: Asked[Any, Any]) -> DestinationConfig:
    return asked.workspace.destination(asked.names["destination"])


def _named(config: DestinationConfig, name: str) -> Filter:
    filters = config.delivery.filters
    found = next((one for one in filters if one.name == name), None)
    if found is None:
        there = f"There are: {', '.join(one.name for one in filters)}." if filters else "There are none."
        raise NotThere(f"{config.name} has no filter {well_formed(name[:100])}. {there}")
    return found


def _read(given: dict[str, Any]) -> Filter:
    try:
        found = convert(given, Filter)
    except ValidationError as error:
        raise misfit(error, part="body") from None
    try:
        check((found,))
    except ValueError as error:
        raise Problem(422, "invalid_body", str(error), field="$.when") from None
    return found


def _inserted(filters: Sequence[Filter], one: Filter, place: int | None) -> list[Filter]:
    if place is not None and place > len(filters) + 1:
        raise Problem(422, "invalid_body", f"There is no place {place}: 1 to {len(filters) + 1}.", field="$.place")
    at = len(filters) if place is None else place - 1
    return [*filters[:at], one, *filters[at:]]


def _set(asked: Asked[Any, Any], before: DestinationConfig, filters: Sequence[Filter]) -> None:
    asked.workspace.set_settings(
        before.id,
        {"filters": to_builtins(tuple(filters))},
        log_end(asked.reading.path),
        by=asked.caller.name,
        if_settings_version=before.settings_version,
    )


def _row(one: Filter) -> dict[str, Any]:
    found: dict[str, Any] = to_builtins(one)
    return found


ROUTES: Final = (
    Route(
        method="GET",
        path="/destinations/{destination}/filters",
        role=Role.viewer,
        name="listFilters",
        summary="List the filters of a destination, in the order in which they apply.",
        answer=Filter,
        listed=True,
        handle=list_filters,
        tag="filters",
    ),
    Route(
        method="POST",
        path="/destinations/{destination}/filters",
        role=Role.editor,
        name="createFilter",
        summary="Add a filter: a condition, and one thing to do.",
        body=NewFilter,
        answer=Filter,
        status=201,
        handle=create,
        tag="filters",
    ),
    Route(
        method="GET",
        path="/destinations/{destination}/filters/{filter}",
        role=Role.viewer,
        name="getFilter",
        summary="One filter.",
        answer=Filter,
        handle=show,
        tag="filters",
    ),
    Route(
        method="PATCH",
        path="/destinations/{destination}/filters/{filter}",
        role=Role.editor,
        name="updateFilter",
        summary="Change a filter, or its place.",
        body=FilterChange,
        answer=Filter,
        handle=change,
        tag="filters",
    ),
    Route(
        method="DELETE",
        path="/destinations/{destination}/filters/{filter}",
        role=Role.editor,
        name="removeFilter",
        summary="Remove a filter.",
        answer=shapes.Removed,
        handle=remove,
        tag="filters",
    ),
    Route(
        method="POST",
        path="/destinations/{destination}/filters/preview",
        role=Role.viewer,
        name="tryFilters",
        summary="Show what the filters make of an event, one after the other; nothing is sent.",
        body=Trial,
        answer=list[shapes.FilterTrial],
        handle=try_,
        tag="filters",
    ),
    Route(
        method="POST",
        path="/destinations/{destination}/filters/recent",
        role=Role.viewer,
        name="tryFiltersOnRecent",
        summary="Count what filters, saved or not, would make of the newest events of the source; nothing is sent.",
        body=RecentTrial,
        answer=shapes.RecentTrialFound,
        handle=try_on_recent,
        slow=True,
        tag="filters",
    ),
)
