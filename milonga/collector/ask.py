"""A request for something that is served to browsers and phones: the library, its chunks, settings, the sample site."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from milonga.collector.answers import Answer


class Ask(Struct, frozen=True, kw_only=True):
    """
    path           percent-decoded, without doubled slashes
    host           by what name and port the sender knows us, such as `events.example.com` or `127.0.0.1:8080`; checked
                   to be a host and nothing else, so that it may be written into a script
    secure         whether the sender speaks https, to us or to a proxy that we trust
    accepts        value of Accept-Encoding, or b""
    if_none_match  value of that header, or b""
    agent          value of User-Agent, or b""
    """

    path: str
    host: str
    secure: bool
    accepts: bytes = b""
    if_none_match: bytes = b""
    agent: bytes = b""


Serve: TypeAlias = Callable[[Ask], Answer]
"""Answers at once, from memory; NOT_FOUND for what it does not have. HEAD and CORS are the caller's."""
