"""Sources and their write keys."""

from collections.abc import Iterable
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.changes import merged
from milonga.api.route import Asked, Listed, NoQuery, PageQuery, Route, Told
from milonga.collector.cdn.assets import NotBuilt
from milonga.facts import setup
from milonga.facts.destinations import as_row as destination_row
from milonga.facts.keys import key_for, key_warnings
from milonga.facts.sources import as_row
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import NotThere
from milonga.workspace.model import Source, SourceSettings
from milonga.workspace.roles import Role
from milonga.workspace.settings import by_name, changed

LOCAL: Final = "http://127.0.0.1:8080"  #: where `milonga serve` listens unless told


class NewSource(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """write_key: a random one is made unless it is given."""

    name: str
    write_key: str | None = None
    settings: dict[str, Any] = {}


class SourceChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """settings: what changes; null puts back a default."""

    settings: dict[str, Any]


class SetUpQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """For one of its write keys; the newest unless told."""

    host: (
        Annotated[
            str, Meta(description="Under which senders reach this Milonga, as https://HOST; its own unless told.")
        ]
        | None
    ) = None
    write_key: str | None = None


def list_sources(asked: Asked[PageQuery, None]) -> Listed:
    destinations = asked.workspace.destinations()
    query = asked.query
    sources = asked.workspace.sources.all()
    return paging.of_all(
        sources,
        lambda one: (0, one.id),
        query.cursor,
        query.count,
        lambda one: as_row(one, destinations, asked.caller.role),
        [*(said for one in sources if (said := trouble(one))), *_ending_soon(asked, sources)],
    )


def list_connected(asked: Asked[PageQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    number = asked.workspace.sources.named(asked.names["source"]).id
    return paging.of_all(
        [place for place in facts.places if place.removed_at is None and place.config.source == number],
        lambda place: (0, place.config.id),
        query.cursor,
        query.count,
        lambda place: destination_row(facts, place),
    )


def create(asked: Asked[NoQuery, NewSource]) -> dict[str, Any]:
    body, by = asked.body, asked.caller.name
    given = by_name(SourceSettings, merged(body.settings, SourceSettings), "A source")
    changed(SourceSettings(), given, "A source")  # before anything is made
    source = asked.workspace.sources.add(body.name, body.write_key, by=by)
    if given:
        source = asked.workspace.sources.set_settings(body.name, given, by=by)
    return as_row(source, (), asked.caller.role)


def show(asked: Asked[NoQuery, None]) -> Told:
    return _told(asked)


def change(asked: Asked[NoQuery, SourceChange]) -> Told:
    workspace, name = asked.workspace, asked.names["source"]
    changes = merged(asked.body.settings, SourceSettings)
    if changes:
        workspace.sources.set_settings(name, changes, by=asked.caller.name)
    return _told(asked)


def remove(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    name = asked.names["source"]
    asked.workspace.sources.remove(name, by=asked.caller.name)
    return {"removed": name}


def set_up(asked: Asked[SetUpQuery, None]) -> Told:
    source, query = asked.workspace.sources.named(asked.names["source"]), asked.query
    key = key_for(asked.caller.role, _chosen(source, query.write_key))
    at = setup.address_of(query.host or asked.reading.events_url or LOCAL)
    try:
        snippet: str | None = setup.snippet(key, at)
    except NotBuilt as error:
        snippet, notes = None, [str(error)]
    else:
        notes = []
    found = {
        "source": source.name,
        "writeKey": key,
        "host": at.url,
        "snippet": snippet,
        "npm": setup.npm(key, at),
        "sdks": [{"sdk": one.sdk, "text": one.text, "httpsOnly": one.tls} for one in setup.sdks(key, at)],
    }
    return Told(found, notes)


def trouble(source: Source) -> str:
    """What to tell of one whose settings cannot be used as they are stored."""
    if not source.trouble:
        return ""
    return f"{source.trouble} To mend it, set anything: milonga sources set {source.name} KEY=VALUE"


def _told(asked: Asked[Any, Any]) -> Told:
    source = asked.workspace.sources.named(asked.names["source"])
    notes = [*([said] if (said := trouble(source)) else []), *_ending_soon(asked, (source,))]
    return Told(as_row(source, asked.workspace.destinations(), asked.caller.role), notes)


def _ending_soon(asked: Asked[Any, Any], sources: Iterable[Source]) -> list[str]:
    """Keys that end soon, or have ended, although something sends with them."""
    keys, role, now = asked.workspace.write_keys, asked.caller.role, milliseconds()
    soon = {one.name: [key for key in keys.of(one.name) if key.ends_soon_in_use(now)] for one in sources}
    return [said for name, some in soon.items() for said in key_warnings(name, some, role, now)]


def _chosen(source: Source, write_key: str | None) -> str:
    """The newest, unless one is named: the older ones are those to be given up."""
    if write_key is not None and write_key not in source.write_keys:
        raise NotThere(f"Source {source.name} has no such write key. See `milonga sources show {source.name}`.")
    if not source.write_keys:
        raise NotThere(f"Source {source.name} has no write key. Add one: milonga sources keys add {source.name}")
    key = write_key or source.write_keys[-1]
    setup.check_key(key)
    return key


ROUTES: Final = (
    Route(
        method="GET",
        path="/sources",
        role=Role.viewer,
        name="listSources",
        summary="List the sources with their write keys, of which viewers see how each begins.",
        query=PageQuery,
        answer=shapes.Source,
        listed=True,
        handle=list_sources,
    ),
    Route(
        method="POST",
        path="/sources",
        role=Role.editor,
        name="createSource",
        summary="Add a source.",
        body=NewSource,
        answer=shapes.Source,
        status=201,
        handle=create,
    ),
    Route(
        method="GET",
        path="/sources/{source}",
        role=Role.viewer,
        name="getSource",
        summary="One source: its write keys, its destinations, its settings.",
        answer=shapes.Source,
        handle=show,
    ),
    Route(
        method="PATCH",
        path="/sources/{source}",
        role=Role.editor,
        name="updateSource",
        summary="Change settings of a source.",
        body=SourceChange,
        answer=shapes.Source,
        handle=change,
    ),
    Route(
        method="DELETE",
        path="/sources/{source}",
        role=Role.editor,
        name="removeSource",
        summary="Remove a source: its write keys let nobody in any more; events that arrived stay.",
        answer=shapes.Removed,
        handle=remove,
    ),
    Route(
        method="GET",
        path="/sources/{source}/connected-destinations",
        role=Role.viewer,
        name="listConnectedDestinations",
        summary="List the destinations that get a source's events, and how they stand.",
        query=PageQuery,
        answer=shapes.Destination,
        listed=True,
        handle=list_connected,
    ),
    Route(
        method="GET",
        path="/sources/{source}/setup",
        role=Role.viewer,
        name="getSourceSetup",
        summary="What to paste so that Segment's SDKs send here.",
        query=SetUpQuery,
        answer=shapes.SetUp,
        handle=set_up,
    ),
)
