"""A request in the making: what it asks, what was done to it, what may come back, and how it is written."""

import random
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Aim: TypeAlias = Literal["track", "metrics", "health", "pixel", "script", "settings", "chunk", "preflight", "anything"]
"""
What the path is certain to mean to the server. `anything`: after what was done to method or path that is the
server's to say, and only what holds for every answer is asked of it.
"""

Answers: TypeAlias = Literal["one", "some", "any"]
"""
one   it is a whole request, however bad: exactly one answer comes
some  where it ends is a matter of opinion: at least one answer comes, then nothing that was sent behind it counts
any   it may not be whole, so that silence is an answer too
"""

Framing: TypeAlias = Literal["length", "chunked", "none"]


@dataclass(slots=True)
class Draft:
    """
    headers  without those that say how long the body is
    framing  how the length of the body is told: `none` also if there is a body, which is a lie then
    frame    header lines that tell it otherwise, each with its CRLF; None: as `framing` says
    ends     it may be the last of its connection by its own wish
    honest   messageIds of events that must be kept, as nothing is wrong with the request
    done     names of what was done to it
    raw      all of it as it is written, if it is no longer made of its parts
    """

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    aim: Aim
    version: bytes = b"HTTP/1.1"
    framing: Framing = "length"
    frame: bytes | None = None
    answers: Answers = "one"
    ends: bool = False
    honest: tuple[str, ...] = ()
    done: list[str] = field(default_factory=list)
    raw: bytes | None = None

    def header(self, name: bytes) -> bytes | None:
        """Of several the last, which is the one that counts."""
        for key, value in reversed(self.headers):
            if key.lower() == name:
                return value
        return None

    def put(self, name: bytes, value: bytes) -> None:
        """In place of all of that name."""
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        self.headers.append((name, value))

    def write(self, dice: random.Random) -> bytes:
        if self.raw is not None:
            return self.raw
        body, frame = self.body, self.frame
        if frame is None:
            match self.framing:
                case "length":
                    frame = b"Content-Length: %d\r\n" % len(body)
                case "chunked":
                    frame, body = b"Transfer-Encoding: chunked\r\n", chunked(body, dice)
                case "none":
                    frame = b""
        lines = b"".join([b"%b: %b\r\n" % line for line in self.headers])
        self.raw = b"%b %b %b\r\n%b%b\r\n%b" % (self.method, self.target, self.version, lines, frame, body)
        return self.raw


def chunked(body: bytes, dice: random.Random) -> bytes:
    """In chunks of any size, written in every way that is allowed."""
    most = max(1, len(body))
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        size = min(dice.choice((1, 7, 100, most, most // 3 + 1)), len(body) - at)
        if len(parts) > 50:
            size = len(body) - at
        length = dice.choice((b"%x", b"%X", b"00%x")) % size
        extension = dice.choice((b"", b"", b"", b";a=b", b';a="x y"', b";" + b"e" * 30))
        parts.append(b"%b%b\r\n%b\r\n" % (length, extension, body[at : at + size]))
        at += size
    trailer = dice.choice((b"", b"", b"", b"X-Trailer: 1\r\n", b"Authorization: Basic eDo=\r\nOrigin: x\r\nHost: \r\n"))
    return b"%b0\r\n%b\r\n" % (b"".join(parts), trailer)
