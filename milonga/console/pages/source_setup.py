"""What sends to a source is set up here: the snippet, a line for each SDK; and the first event is waited for."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import anyio.to_thread
from starlette.responses import Response

from milonga.collector.cdn.assets import NotBuilt
from milonga.console.events import ALIVE, event
from milonga.console.live import Wish
from milonga.console.live_rows import shown
from milonga.console.pages._source import frame, name_of
from milonga.console.rendering import render
from milonga.console.table import shows, streams
from milonga.console.tail import Crowded
from milonga.console.visit import Visit
from milonga.eventlog.api import START
from milonga.facts import setup
from milonga.facts.facts import Facts
from milonga.facts.keys import key_for
from milonga.facts.sources import standing
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import UserError
from milonga.workspace.model import Source

KINDS: Final = (("server", "Servers"), ("phone", "Phones and apps"), ("other", "Without an SDK"))
LOOPBACK: Final = ("127.", "localhost", "[::1]")


def page(visit: Visit) -> Response:
    with visit.facts() as facts:
        source = facts.workspace.sources.named(name_of(visit))
        last = standing(facts, source, milliseconds())["last"]
        end = newest(facts)
    values: dict[str, Any] = {
        "kinds": KINDS,
        "plugin": setup.PLUGIN,
        "last": last,
        "end": end,
        "wrong": "",
        "host": visit.text("host", 300),
        "choices": [(key, key) for key in source.write_keys] if visit.may("editor") else [],
    }
    try:
        values |= _texts(visit, source)
    except UserError as error:
        values |= {"wrong": str(error), "sdks": ()}
    return visit.page("sources/setup.html", frame(source, "/setup") | values)


def _texts(visit: Visit, source: Source) -> dict[str, Any]:
    """UserError if there is no write key that could be pasted, or no such address."""
    if not source.write_keys:
        raise UserError("This source has no write key. Add one under Write keys.")
    wanted = visit.text("key", 200)
    key = wanted if wanted in source.write_keys and visit.may("editor") else source.write_keys[-1]
    setup.check_key(key)
    key = key_for(visit.role, key)
    at = setup.address_of(visit.text("host", 300) or visit.config.events_url)
    try:
        snippet = setup.snippet(key, at)
    except NotBuilt as error:
        raise UserError(str(error)) from error
    return {
        "key": key,
        "at": at,
        "here": at.host.startswith(LOOPBACK),
        "snippet": snippet,
        "npm": setup.npm(key, at),
        "curl": setup.curl(key, at),
        "sdks": setup.sdks(key, at),
    }


def newest(facts: Facts) -> int:
    """The log's newest offset."""
    found = facts.log.newest(1)
    return found[0].position.offset if found else START


async def first(visit: Visit) -> AsyncIterator[str | bytes]:
    """Until an event of this source is kept: then the words that say so. One that is discarded is told of, too."""
    source = await anyio.to_thread.run_sync(_source, visit)
    if source is None:
        return
    after = visit.number("after", START, START, 2**62)
    try:
        async with aclosing(visit.services.tail.rows(Wish(source=source.id), after)) as rows:
            async for row in rows:
                if row is None:
                    yield ALIVE
                    continue
                yield event(render("sources/first.html", {"source": source, "row": shown(row)}), "first")
                if row.position is not None:
                    break
    except Crowded:
        pass
    yield event("", "done")


def _source(visit: Visit) -> Source | None:
    try:
        with visit.workspace() as workspace:
            return workspace.sources.named(name_of(visit))
    except UserError:
        return None


PAGES = [shows("/sources/{name}/setup", page), streams("/sources/{name}/first", first)]
