"""What must hold when the last hostile request has been answered."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, Final

import msgspec

from milonga.delivery.encode import outgoing
from milonga.destinations.contract import Skip
from milonga.destinations.registry import kinds
from milonga.eventlog.api import START, Damaged, Stored
from milonga.eventlog.reader import SqliteLogReader
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamped
from milonga.workspace.model import Source
from milonga.workspace.store import Workspace
from tests.fuzz.run import Findings, door_of
from tests.fuzz.templates import KEY
from tests.running import PATIENCE, Milonga, track

MOST_MEMORY: Final = 400 * 2**20
"""
Bytes of both processes together (PSS). Bodies may take 64 MiB, and mending one of 5 MiB, which is done one at a time,
50 times its size.
"""

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "totango": {"serviceId": "SP-1-01", "sdrToken": "hush"},
    "segment": {"endpoint": "https://events.example.com/v1", "writeKey": "hush", "instance": "fuzz"},
    "webhook": {"url": "https://hooks.example.com/", "authorization": "hush"},
}


def aftermath(milonga: Milonga, found: Findings) -> list[str]:
    """What is wrong, in words; nothing, if all is well."""
    return [*_server(milonga, found), *asyncio.run(_log(milonga, found))]


def _server(milonga: Milonga, found: Findings) -> Iterator[str]:
    if found.peak > MOST_MEMORY:
        yield f"{found.peak / 2**20:.0f} MiB of memory"
    if found.peak == 0:
        yield "its memory could not be read"
    if (said := ask(milonga, "GET", "/readyz"))[0] != 200:
        yield f"/readyz says {said}"
    events = [track(number, "ada", "acme") for number in range(100)]
    if (said := ask(milonga, "POST", "/v1/batch", json.dumps({"writeKey": KEY, "batch": events}))) != OK:
        yield f"an ordinary batch is answered {said}"
    found.kept.update(event["messageId"] for event in events)
    yield from signs_of_trouble(milonga)


OK: Final = (200, b'{"success": true}')


def ask(milonga: Milonga, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    """Status and body of the answer, over a connection of its own."""
    door = door_of(milonga)
    connection = HTTPConnection(door.host, door.port, timeout=PATIENCE)
    if door.tls is not None:
        connection = HTTPSConnection(door.host, door.port, timeout=PATIENCE, context=door.tls)
    with closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def signs_of_trouble(milonga: Milonga) -> list[str]:
    """In what the server writes for its operator."""
    text = milonga.log_text()
    signs = [sign for sign in ("Traceback", "request_failed", "error", "Exception", "critical") if sign in text]
    return [f"the server's log has {sign}: {text[max(0, text.index(sign) - 300) :][:1800]}" for sign in signs]


async def _log(milonga: Milonga, found: Findings) -> list[str]:
    """Everything in the log can be read and translated, nothing is there twice, and all that must be is."""
    wrong: list[str] = []
    seen: Counter[tuple[int, str]] = Counter()
    events = 0
    async for stored in _stored(milonga):
        events += 1
        if isinstance(stored, Damaged):
            wrong.append(f"damaged: {stored.reason}")
            continue
        seen[stored.event.stamp.source, stored.event.stamp.message_id] += 1
        try:
            _read(stored.event)
        except Exception as error:  # whatever it is, it would be met on the road
            wrong.append(f"{stored.position}: {type(error).__name__}: {error} of {stored.event.body[:300]!r}")
    sources = {source.name: source.id for source in _sources(milonga)}
    missing = {id_ for id_ in found.kept if not seen[sources["open"], id_]}
    if missing:
        wrong.append(f"{len(missing)} events were answered with 200 and are not kept, such as {min(missing)}")
    twice = [id_ for id_, times in seen.items() if times > 1]
    if twice:
        wrong.append(f"{len(twice)} are kept more than once, such as {twice[0]}")
    if any(source == sources["off"] for source, _ in seen):
        wrong.append("events were kept of a source that is switched off")
    found.events = events
    return wrong[:50]


def _sources(milonga: Milonga) -> tuple[Source, ...]:
    with Workspace.open(milonga.data) as workspace:
        return workspace.sources.all()


async def _stored(milonga: Milonga) -> AsyncIterator[Stored | Damaged]:
    reader = SqliteLogReader(milonga.data / "log")
    try:
        after = START
        while found := await reader.read(0, after, 1000):
            for stored in found:
                yield stored
            after = found[-1].position.offset
    finally:
        await reader.close()


def _read(stamped: Stamped) -> None:
    """As every destination does it, up to the bytes that would leave."""
    event = read_stamped(stamped)
    for name, kind in kinds().items():
        settings = msgspec.convert(SETTINGS[name], kind.settings)
        for key in kind.keys(event, settings):
            msgspec.json.encode(key)
        kind.lifetime(event, settings)
        translated = kind.translate(event, settings)
        if isinstance(translated, Skip):
            continue
        for request in translated:
            outgoing(request, timeout=1, now=0)
