"""
Request heads that were read before. On a kept connection an SDK sends the same head with every event, but for the
digits of Content-Length: what llhttp and we made of one holds for all that are the same byte for byte.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from milonga.collector.origins import Shared
from milonga.collector.request import Request
from milonga.collector.routes import Kind, Route

MOST: Final = 1024  #: heads
LONGEST: Final = 1024  #: bytes; longer heads are read each time, so that the memory of them stays below some 4 MB
END: Final = b"\r\n\r\n"

_UNUSUAL: Final = frozenset((b"connection", b"expect", b"transfer-encoding", b"upgrade"))
"""With these a head says more than how long its body is."""


class Head(Struct, frozen=True, gc=False):
    """
    length  bytes of the body
    others  as in Request
    """

    length: int
    to: Route
    target: bytes
    fields: Mapping[bytes, bytes]
    authorization: bytes | None
    encoding: bytes | None
    shared: Shared | None


class Heads:
    """Those of all connections: they say nothing of who sent them."""

    def __init__(self) -> None:
        self.known: dict[bytes, Head] = {}
        self.find = self.known.get

    def learn(self, data: bytes, request: Request) -> None:
        """data  one read, which held this request and nothing else; nothing is learned from an unusual one"""
        size = data.find(END) + len(END)
        to, fields = request.to, request.fields
        if size > LONGEST or not isinstance(to, Route) or not (to.kind is Kind.single or to.kind is Kind.batch):
            return
        if not request.keep or not _UNUSUAL.isdisjoint(fields):
            return
        length = fields.get(b"content-length", b"")
        if not length.isdigit() or int(length) != len(data) - size:
            return
        if len(self.known) >= MOST:
            self.known.clear()  # what is sent again and again is soon back
        self.known[data[:size]] = Head(
            int(length), to, request.target, fields, request.authorization, request.encoding, request.shared
        )
