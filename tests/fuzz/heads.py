"""Changes to request lines and headers, and to what they say of the body's length."""

import base64
import random
from collections.abc import Callable
from typing import Final, TypeAlias

from tests.fuzz.draft import Draft
from tests.fuzz.tables import (
    AUTHORIZATIONS,
    CONNECTIONS,
    HOSTS,
    LINES,
    LINES_THAT_BREAK,
    METHODS,
    ORIGINS,
    STEPS,
    STRANGE_METHODS,
    TARGETS,
    VERSIONS,
)
from tests.fuzz.templates import KEYS
from tests.fuzz.values import WORDS

Change: TypeAlias = Callable[[Draft, random.Random], None]


def method(draft: Draft, dice: random.Random) -> None:
    draft.method = dice.choice(METHODS)
    draft.aim = "anything"


def strange_method(draft: Draft, dice: random.Random) -> None:
    draft.method = dice.choice(STRANGE_METHODS)
    draft.aim = "anything"
    draft.ends = True


def version(draft: Draft, dice: random.Random) -> None:
    """What version 1.0 makes of chunks is a matter of opinion."""
    draft.version = dice.choice(VERSIONS)
    draft.ends = True
    draft.aim = "anything"
    if draft.framing == "chunked":
        draft.answers = "some"


def same_path(draft: Draft, dice: random.Random) -> None:
    """Spelled otherwise, it means the same."""
    if draft.aim == "anything":
        return
    path, _, query = draft.target.partition(b"?")
    match dice.randrange(5):
        case 0:
            path = path.replace(b"/", b"//")
        case 1:
            path += b"/"
        case 2:
            at = dice.randrange(1, len(path))
            if path[at : at + 1] not in b"/%" and b"%" not in path:
                path = path[:at] + b"%%%02X" % path[at] + path[at + 1 :]
        case 3:
            path = b"http://events.example.com" + path.replace(b"//", b"/")
        case _:
            more = dice.choice((b"a=b", b"%", b"writeKey=x", b"&&&", b"a=%00", b"\xff"[:0], b"q=" + b"x" * 300))
            query = query + b"&" + more if query else more
    draft.target = path + (b"?" + query if query else b"")


def path(draft: Draft, dice: random.Random) -> None:
    draft.aim = "anything"
    match dice.randrange(4):
        case 0:
            draft.target = dice.choice(TARGETS)
        case 1:
            draft.target = b"/" + b"/".join([dice.choice(STEPS) for _ in range(dice.choice((1, 2, 3, 4, 12)))])
        case 2:
            at = dice.randrange(len(draft.target) + 1)
            draft.target = draft.target[:at] + dice.choice(STEPS) + draft.target[at + dice.choice((0, 1, 4)) :]
        case _:
            draft.target = draft.target + b"/" + dice.choice(STEPS)


def a_line(draft: Draft, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 5))):
        draft.headers.insert(dice.randrange(len(draft.headers) + 1), dice.choice(LINES))


def twice(draft: Draft, dice: random.Random) -> None:
    if draft.headers:
        name, value = dice.choice(draft.headers)
        draft.headers.append((dice.choice((name, name.upper(), name.lower())), dice.choice((value, b"", value[::-1]))))


def many(draft: Draft, dice: random.Random) -> None:
    """Around the limits: 64 names, 16 KiB."""
    count = dice.choice((40, 62, 64, 70, 500, 2000))
    same = dice.random() < 0.3
    draft.headers += [(b"X-Same" if same else b"X-%d" % number, b"1") for number in range(count)]


def huge(draft: Draft, dice: random.Random) -> None:
    draft.headers.append((b"X-Huge", b"h" * dice.choice((1000, 15_000, 16_300, 16_384, 17_000, 70_000, 300_000))))


def origin(draft: Draft, dice: random.Random) -> None:
    """Now and then one that nobody has seen: what is remembered of them must be bounded."""
    own = b"https://%d.example%b" % (dice.randrange(10**9), dice.choice((b"", b"x" * dice.choice((200, 300, 12_000)))))
    draft.put(b"Origin", own if dice.random() < 0.3 else dice.choice(ORIGINS))


def host(draft: Draft, dice: random.Random) -> None:
    draft.put(b"Host", dice.choice(HOSTS))
    if dice.random() < 0.2:
        draft.headers = [line for line in draft.headers if line[0].lower() != b"host"]
    elif dice.random() < 0.1:
        draft.headers.append((b"Host", dice.choice(HOSTS)))


def authorization(draft: Draft, dice: random.Random) -> None:
    if dice.random() < 0.5:
        name = dice.choice((*KEYS, *WORDS)).encode("utf-8", "surrogatepass")
        draft.put(
            b"Authorization", b"Basic " + base64.b64encode(name + dice.choice((b":", b":", b"", b":secret", b"::")))
        )
    else:
        draft.put(b"Authorization", dice.choice(AUTHORIZATIONS))
    if dice.random() < 0.3:
        draft.headers = [line for line in draft.headers if line[0].lower() != b"authorization"]


def connection(draft: Draft, dice: random.Random) -> None:
    draft.put(b"Connection", dice.choice(CONNECTIONS))
    draft.ends = True


def upgrade(draft: Draft, dice: random.Random) -> None:
    draft.put(b"Upgrade", dice.choice((b"h2c", b"websocket", b"TLS/1.0", b"", b"h2c, websocket", b"\xff")))
    draft.put(b"Connection", dice.choice((b"Upgrade", b"Upgrade, HTTP2-Settings", b"keep-alive")))
    draft.put(b"HTTP2-Settings", b"AAMAAABkAAQAAP__")
    draft.ends = True


def expect(draft: Draft, dice: random.Random) -> None:
    """Who is told not to send the body sends it all the same."""
    draft.put(b"Expect", dice.choice((b"100-continue", b"100-Continue", b"200-ok", b"", b"100-continue, x", b"\xff")))
    draft.ends = True


def a_broken_line(draft: Draft, dice: random.Random) -> None:
    """Where the request ends is still plain, but it may be refused for its form."""
    line = dice.choice(LINES_THAT_BREAK)
    draft.frame = line + dice.choice((b"", line)) + b"Content-Length: %d\r\n" % len(draft.body)
    if b"\r\n\r\n" in line or line.startswith((b" ", b"\t")):
        draft.answers = "some"


MILD: Final[tuple[Change, ...]] = (
    *(same_path, same_path, path, path, a_line, a_line, a_line, twice, origin, origin, host, authorization),
    *(authorization, method),
)
ROUGH: Final[tuple[Change, ...]] = (version, many, huge, connection, upgrade, expect, a_broken_line, strange_method)
"""Behind these the connection often ends."""


def bend(draft: Draft, dice: random.Random, *, last: bool) -> None:
    """After it, it can still be told where the request ends."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        rough = dice.random() < (0.5 if last else 0.04)
        change = dice.choice(ROUGH if rough else MILD)
        draft.done.append(change.__name__)
        change(draft, dice)
