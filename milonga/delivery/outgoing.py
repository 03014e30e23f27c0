"""One HTTP call on its way out, and the two ways in which it can come back. The sender's whole vocabulary."""

from msgspec import Struct

from milonga.destinations.contract import Answer


class Outgoing(Struct, frozen=True, kw_only=True):
    """
    method   of HTTP
    url      absolute, http or https
    headers  (name, value), content type included; no line breaks in either
    body     encoded
    timeout  seconds for the whole call, connecting included
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout: float


class NoAnswer(Struct, frozen=True):
    """
    The call ended without an HTTP status.

    code     short name: `no_connection`, `no_address` (DNS), `tls`, `timeout`, `connection_lost`, `bad_answer`,
             `forbidden_address` (private, loopback or link-local target), `bad_url`
    reason   in words, with what to do where that is known
    perhaps  True if the request may have been written before the connection was lost: the receiver may have it
    """

    code: str
    reason: str
    perhaps: bool


Reply = Answer | NoAnswer
