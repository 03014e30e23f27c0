"""A request as both front ends hand it to the collector."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.origins import Shared
from milonga.collector.routes import Route


class Peer(Struct, frozen=True):
    """
    The other end of a connection.

    address  of it, as text; None if it has none
    trusted  it is a proxy whose word about the sender counts
    secure   the connection is TLS
    """

    address: str | None = None
    trusted: bool = False
    secure: bool = False


NOBODY: Final = Peer()
_NONE: Final[Mapping[bytes, bytes]] = MappingProxyType({})  # not {}: each request would get one of its own


class Request(Struct, gc=False):
    """
    to      where it goes; or what to answer without asking the collector
    target  as in the request line
    peer    who sends it, or a proxy
    fields  its headers, names in lower case
    body    as sent; the room of so many bytes is taken
    keep    whether another request may follow on its connection
    bare    HEAD: the answer goes without its body
    shared  what its answer carries besides, so that the page that asked may read it
    """

    to: Route | Answer = answers.NOT_FOUND
    target: bytes = b""
    peer: Peer = NOBODY
    fields: Mapping[bytes, bytes] = _NONE
    authorization: bytes | None = None
    encoding: bytes | None = None
    body: bytes = b""
    keep: bool = False
    bare: bool = False
    shared: Shared | None = None
