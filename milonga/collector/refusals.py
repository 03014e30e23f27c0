"""
What was refused at the door, where no event's outcome can tell of it: how often, for the books; the latest few, for the
server's log. A stranger can raise the numbers, but neither what is held in memory nor how often anything is written.
"""

from collections.abc import Callable
from math import inf
from typing import Final

import structlog
from msgspec import Struct, field

from milonga.eventlog.api import Ledger, Refusal
from milonga.workspace.model import Source

_log = structlog.get_logger("milonga.collector")

HOUR: Final = 3600.0  #: seconds between two warnings of one code and source
LATEST: Final = 5  #: different senders that a warning names
LONGEST: Final = 100  #: characters shown of what a sender says
KEY_SHOWN: Final = 6  #: of an unknown write key, which may be a good one that was mistyped

HELP: Final[dict[str, str]] = {
    "unknown_write_key": (
        "No source has this write key: it is mistyped, was removed, or is another server's. `milonga sources list` "
        "shows those there are."
    ),
    "write_key_ended": (
        "The write key was exchanged, and has ended: give the sender the newest of `milonga sources keys list NAME`, "
        "or let the old one go on with `milonga sources keys end NAME KEY --never`."
    ),
    "missing_write_key": "The request names no write key: give the sender one of `milonga sources list`.",
    "origin_not_allowed": (
        "The page's site is not among the allowed origins. All of them are named in `milonga sources set NAME "
        "origins=...`, each like https://www.example.com. Pages do not send it again."
    ),
    "rate_limited": (
        "The source's rate limit is reached; SDKs wait and come again. `milonga sources set NAME rateLimit=...` "
        "changes it."
    ),
    "not_found": (
        "Nothing takes events at this path. SDKs put their own behind the host they are given, some want /v1 there and "
        "some nothing: `milonga sources setup NAME` has the line of each. It may also be a scanner of the network."
    ),
    "invalid_json": "Nothing in the body could be read: mend the sender. SDKs do not send it again.",
    "body_too_large": "The body is over 5 MiB, as sent or unpacked: have the sender make smaller batches.",
    "invalid_gzip": "The body is not what its Content-Encoding says, or was cut off: look at sender and proxies.",
    "unsupported_encoding": "The body is packed in a way that is not taken: have the sender use gzip, or nothing.",
    "headers_too_large": "Over 64 headers, or 16 KiB of them: look at what sender and proxies add, such as cookies.",
    "slow_body": "The body stopped arriving: look at the network, and at proxies. SDKs come again.",
    "busy": "Too many connections or bodies at once; SDKs come again. If it goes on, look for who sends so much.",
    "log_full": "The disk is nearly full or cannot be written; SDKs come again. Free space, or raise --log-size.",
}
"""
What helps, by the code of the answer. What is not here is no more than noise from the network (`invalid_http`), is no
event's way in (`invalid_host`), or has a log line of its own (`trouble`).
"""


class _Kind(Struct):
    """
    Of one code and source.

    source   its name; None if none is known
    new      requests that the ledger has not been told of
    untold   requests that the log has not been told of
    told_at  by the clock: when the log was told last
    latest   who sent them, each once, the latest at the end
    """

    source: str | None
    new: int = 0
    untold: int = 0
    told_at: float = -inf
    latest: dict[str, None] = field(default_factory=dict)


class Refusals:
    def __init__(self, clock: Callable[[], float]) -> None:
        """clock  seconds, never going back"""
        self._clock = clock
        self._kinds: dict[tuple[str, int], _Kind] = {}  # as many as there are codes and sources

    def add(self, code: str, source: Source | None = None, sender: str = "") -> None:
        """
        A request was refused.

        sender  who it was, in words for the log; what came from outside is to be `shown`
        """
        if code not in HELP:
            return
        key = (code, 0 if source is None else source.id)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(None if source is None else source.name)
        kind.new += 1
        kind.untold += 1
        if sender:
            kind.latest.pop(sender, None)
            kind.latest[sender] = None
            if len(kind.latest) > LATEST:
                del kind.latest[next(iter(kind.latest))]

    def tell(self, ledger: Ledger, at: int) -> None:
        """
        Tell the ledger what is new, and the log what it has not heard of for an hour. To be called every few seconds.

        at  unix milliseconds: now
        """
        now = self._clock()
        counted: list[Refusal] = []
        for (code, source), kind in self._kinds.items():
            if kind.new:
                counted.append(Refusal(source=source, at=at, code=code, count=kind.new))
                kind.new = 0
            if kind.untold and now - kind.told_at >= HOUR:
                _log.warning(
                    "refused",
                    code=code,
                    source=kind.source,
                    requests=kind.untold,
                    latest=list(kind.latest),
                    help=HELP[code],
                    counts="`milonga events counts`",
                )
                kind.untold, kind.told_at = 0, now
                kind.latest.clear()
        if counted:
            ledger.refused(counted)


def shown(said: str, most: int = LONGEST) -> str:
    """The beginning of what a sender said, with nothing in it that a terminal could act upon."""
    cut = said[:most].encode("unicode_escape").decode("ascii")
    return f"{cut}..." if len(said) > most else cut
