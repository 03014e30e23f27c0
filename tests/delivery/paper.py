"""A log in memory, a destination of few words, and events for it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from milonga.destinations import http
from milonga.destinations.contract import Batching, Destination, Json, Key, Request, Requests, Skip
from milonga.eventlog.api import START, Damaged, Offset, Page, Passing, Position, Stored
from milonga.spec.event import Event, EventType
from milonga.spec.stored import Stamp, Stamped
from milonga.workspace.model import DestinationConfig, DestinationState, StateChange

SOURCE, OTHER_SOURCE = 1, 2


class ListLog:
    """The reading half of an EventLog, over lists."""

    def __init__(self, partitions: int = 1) -> None:
        self.events: list[list[Stored | Damaged]] = [[] for _ in range(partitions)]
        self._stamps: list[list[Stamp]] = [[] for _ in range(partitions)]  # what may be read of a damaged one
        self.trimmed = 0  #: offsets up to here are gone, in every partition
        self._grown = asyncio.Event()

    def add(self, event: Stamped, partition: int = 0) -> Position:
        position = Position(partition, len(self.events[partition]) + 1)
        self.events[partition].append(Stored(position, event))
        self._stamps[partition].append(event.stamp)
        self._grown.set()
        return position

    def ends(self) -> dict[int, Offset]:
        return {partition: len(events) for partition, events in enumerate(self.events)}

    async def read(self, partition: int, after: Offset, limit: int) -> list[Stored | Damaged]:
        await asyncio.sleep(0)
        after = max(after, self.trimmed)
        return self.events[partition][after : after + limit]

    async def skim(self, partition: int, after: Offset, limit: int, most: int, passing: Passing) -> Page | None:
        await asyncio.sleep(0)
        if after < self.trimmed:
            return None
        items: list[Stored | Damaged] = []
        passed: Counter[str] = Counter()
        upto = after
        for item in self.events[partition][after : after + limit]:
            offset = item.position.offset
            stamp = item.event.stamp if isinstance(item, Stored) else self._stamps[partition][offset - 1]
            who = stamp.account or stamp.user_id
            if who in passing.accounts and stamp.source == passing.source and stamp.type not in passing.but:
                passed[who or ""] += 1
            elif len(items) < most:
                items.append(item)
            else:
                break
            upto = offset
        return Page(items, upto, passed) if passed else None

    async def wait(self, partition: int, after: Offset, timeout: float) -> bool:
        if len(self.events[partition]) <= after:
            self._grown.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._grown.wait()
            except TimeoutError:
                pass
        return len(self.events[partition]) > after

    async def end(self, partition: int) -> Offset:
        return len(self.events[partition])

    async def begin(self, partition: int) -> Offset:
        return self.trimmed + 1 if self.events[partition] else START

    def assignments(self, reader: str) -> list[int]:
        return list(range(len(self.events)))

    async def close(self) -> None:
        pass


class Settings(Struct, frozen=True):
    word: str = "first"


def keys(event: Event, _settings: Settings = Settings()) -> tuple[Key, ...]:  # noqa: B008 - frozen
    """As Totango's; an event with `"free": true` need not wait for any other."""
    if event.account is None or event.received.get("free"):
        return ()
    account, user = event.account.id, event.user_id
    if event.type != "group":
        return ((account, user or ""),)
    found: list[Key] = [(account,)]
    if user is not None:
        found.append((account, user))
    if product := event.received.get("product"):
        found.append((product,))
    return tuple(found)


def translate(event: Event, settings: Settings) -> Requests | Skip:
    """As many requests as `parts` says; `skip` and `fail` do as they say."""
    said = event.received
    if said.get("fail"):
        raise ZeroDivisionError
    if said.get("skip"):
        return Skip("told_to_skip", "Do not say so.")
    return [
        Request(
            part=f"part-{number}",
            method="POST",
            url="https://receiver.example/",
            body=Json({"n": said["n"], "part": f"part-{number}", "word": settings.word}),
        )
        for number in range(said.get("parts", 1))
    ]


DESTINATION = Destination(
    kind="paper",
    label="Paper",
    summary="For tests.",
    settings=Settings,
    keys=keys,
    crossing=frozenset({"group"}),
    translate=translate,
    judge=lambda answer, now: http.judge(answer, now, receiver="Paper", delivered=frozenset({200})),
)


def join(requests: Requests) -> Request:
    """The bodies, one behind the other."""
    bodies_ = [request.body.value for request in requests if isinstance(request.body, Json)]
    return replace(requests[0], body=Json({"batch": bodies_}))


BATCHED = replace(DESTINATION, batch=Batching(events=4, size=250, wait=0.005, join=join))
"""The same in batches: four events, or three or so by their bytes."""


def said_in(body: bytes) -> list[dict[str, Any]]:
    """What a request says of each of its events."""
    said: dict[str, Any] = msgspec.json.decode(body)
    found: list[dict[str, Any]] = said.get("batch", [said])
    return found


def event(
    n: int,
    account: str | None = "acme",
    user: str | None = "ada",
    *,
    type_: EventType = "track",
    source: int = SOURCE,
    received_at: int = 0,
    **said: Any,
) -> Stamped:
    """The n-th event; what else it says stands at the top level of its body."""
    body: dict[str, Any] = {"type": type_, "event": f"e{n}", "userId": user, "n": n, **said}
    if account is not None:
        body["groupId" if type_ == "group" else "context"] = account if type_ == "group" else {"groupId": account}
    stamp = Stamp(
        source=source,
        type=type_,
        message_id=f"m{n}",
        own_message_id=True,
        user_id=user,
        anonymous_id=None,
        account=account,
        account_found=None if account is None else "context.groupId",
        received_at=received_at,
        timestamp=received_at,
    )
    return Stamped(stamp, msgspec.json.encode(body))


def config(
    *states: StateChange, number: int = 7, version: int = 1, settings: Struct | None = None
) -> DestinationConfig:
    """Without states: on from the log's first event."""
    return DestinationConfig(
        id=number,
        name="paper",
        kind="paper",
        source=SOURCE,
        settings=settings or Settings(),
        settings_version=version,
        changes=states or (change(DestinationState.on),),
    )


def change(
    state: DestinationState, at: int = 0, by: str = "cli", reason: str = "", end: dict[int, Offset] | None = None
) -> StateChange:
    return StateChange(at=at, state=state, by=by, reason=reason, end=end or {})


def bodies(stored: Sequence[Stored]) -> list[int]:
    return [msgspec.json.decode(item.event.body)["n"] for item in stored]
