"""What the index must say, worked out from a list of events in the plainest way."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from milonga.index.search import Query
from milonga.spec.stored import Stamp, Stamped

NOW = 1_800_000_000_000
EMPTY = "{}"


class Told(Struct, frozen=True, kw_only=True):
    """One event as a test says it; `name` is a track's event, a page's name, or what a group call calls its account."""

    type: Any
    account: str | None = None
    user: str | None = None
    anonymous: str | None = None
    name: str | None = None
    category: str | None = None
    source: int = 1
    at: int = NOW
    message: str = ""

    def body(self) -> bytes:
        said: dict[str, Any] = {"type": self.type}
        match self.type:
            case "track":
                said["event"] = self.name
                said["properties"] = {} if self.category is None else {"category": self.category}
            case "page" | "screen":
                said |= {"name": self.name, "category": self.category}
            case "group":
                said |= {"groupId": self.account, "traits": {"name": self.name}}
        return json.dumps(said).encode()

    def stamped(self) -> Stamped:
        stamp = Stamp(
            source=self.source,
            type=self.type,
            message_id=self.message,
            own_message_id=False,
            user_id=self.user,
            anonymous_id=self.anonymous,
            account=self.account,
            account_found=None if self.account is None else "context.groupId",
            received_at=self.at,
            timestamp=self.at,
        )
        return Stamped(stamp, self.body())

    def activities(self) -> list[str]:
        if self.type == "track":
            return [self.name] if self.name else []
        if self.type != "page":
            return []
        found = [f"Viewed {self.category} Page"] if self.category else []
        if self.name:
            found.append(f"Viewed {self.category} {self.name} Page" if self.category else f"Viewed {self.name} Page")
        return found

    def names(self) -> set[str]:
        own = {self.name, self.category} if self.type in ("page", "screen") else set[str | None]()
        return {*self.activities(), *(one for one in own if one)}

    def module(self) -> str | None:
        return (self.category or "Application") if self.activities() else None

    def fits(self, query: Query) -> bool:
        return (
            query.type in (None, self.type)
            and (query.name is None or query.name in self.names())
            and query.module in (None, self.module())
            and query.account in (None, self.account or "")
            and query.user in (None, self.user)
            and query.anonymous in (None, self.anonymous)
            and query.message_id in (None, self.message)
            and (query.sources is None or self.source in query.sources)
            and (query.since is None or self.at >= query.since)
            and (query.until is None or self.at < query.until)
        )


def found(events: Sequence[Told], query: Query) -> list[int]:
    """Offsets, newest first."""
    return [offset for offset in range(len(events), 0, -1) if events[offset - 1].fits(query)]


def accounts(events: Sequence[Told]) -> list[str]:
    """Last seen first."""
    return list(dict.fromkeys(event.account for event in reversed(events) if event.account is not None))


def name_of(events: Sequence[Told], account: str) -> str:
    names = [event.name for event in events if event.type == "group" and event.account == account and event.name]
    return names[-1] if names else ""


def counted(events: Sequence[Told], account: str | None, what: str) -> Counter[str]:
    """what  user, module, activity or type; account None: of all"""
    count = Counter[str]()
    for event in events:
        if account is None or event.account == account:
            texts = {"user": [event.user], "module": [event.module()], "type": [event.type]}.get(what)
            count.update(text for text in (event.activities() if texts is None else texts) if text is not None)
    return count


def nameable(events: Sequence[Told]) -> tuple[int, int, int]:
    """Without account, of them with a user, of them with one whom an earlier group call had put into an account."""
    named, result = set[str](), [0, 0, 0]
    for event in events:
        if event.type == "group" and event.account is not None and event.user is not None:
            named.add(event.user)
        if event.account is None and event.type in ("identify", "track", "page"):
            result[0] += 1
            result[1] += event.user is not None
            result[2] += event.user in named
    return result[0], result[1], result[2]
