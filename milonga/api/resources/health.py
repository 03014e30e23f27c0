"""How the server stands, and what needs somebody."""

from collections.abc import Mapping
from typing import Any, Final

from milonga import __version__
from milonga.api import shapes
from milonga.api.route import Asked, NoQuery, Route, Told
from milonga.eventlog.levels import MB, SAYS, Level
from milonga.facts.directory import LOG_FOLDER
from milonga.facts.disk import figures, told_of
from milonga.facts.overview import overview
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds
from milonga.workspace.roles import Role


def show(asked: Asked[NoQuery, None]) -> Told:
    facts, path = asked.facts, asked.reading.path
    disk = told_of(path, path / LOG_FOLDER)
    since = facts.log.since()
    healths = [facts.health(place.config.id) for place in facts.places if place.removed_at is None]
    found = {
        "version": __version__,
        "serverRunning": facts.server_runs,
        "disk": None if disk is None else {"level": disk.level.value, **figures(disk)},
        "keptSince": None if since is None else instant(since),
        "waiting": sum(one.waiting for one in healths if one is not None),
        "suppressed": facts.workspace.regulations.count_suppressed(),
    }
    notes = []
    if disk is not None and disk.level is not Level.fine:
        notes.append(f"The disk is at level {disk.level.value}: {disk.free // MB:,} MB are free. {SAYS[disk.level]}")
    return Told(found, notes)


def attention(asked: Asked[NoQuery, None]) -> list[dict[str, Any]]:
    found = overview(asked.facts, milliseconds())["attention"]
    return [
        {"severity": one["tone"], "title": one["title"], "words": one["words"], "page": one["to"] or None}
        for one in found
    ]


def standings(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    found = overview(asked.facts, milliseconds())
    del found["attention"]
    return found | {"sources": [one | {"troubles": _troubles(one)} for one in found["sources"]]}


def _troubles(source: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "severity": one["tone"],
            "title": one["title"],
            "words": one["words"],
            "page": f"/sources/{source['name']}/{one['tab']}",
        }
        for one in source["troubles"]
    ]


ROUTES: Final = (
    Route(
        method="GET",
        path="/health",
        role=Role.viewer,
        name="getHealth",
        summary="How the server stands: whether it runs, its disk, since when events are kept, what waits.",
        answer=shapes.Health,
        handle=show,
    ),
    Route(
        method="GET",
        path="/attention",
        role=Role.viewer,
        name="listAttention",
        summary="What needs somebody now, as on the console's first page, the worst first.",
        answer=list[shapes.Attention],
        handle=attention,
        slow=True,
    ),
    Route(
        method="GET",
        path="/overview",
        role=Role.viewer,
        name="getOverview",
        summary="How each source and destination stands, with the figures of its last hour.",
        answer=shapes.Overview,
        handle=standings,
        slow=True,
    ),
)
