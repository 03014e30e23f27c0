"""What the collector answers. Every body is a JSON object: Ruby's SDK resends a batch that was answered otherwise."""

from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct, structs

RETRY_AFTER: Final = 2
"""Seconds a sender is asked to wait after a 503. Whole seconds, as Python's and Java's SDKs read them."""

MAX_WAIT: Final = 300
"""Seconds that a 429 may ask for at most: the cap of every SDK that reads Retry-After."""


class Answer(Struct, frozen=True):
    """
    headers  names in lower case
    head     status line and headers as HTTP/1.1 writes them, for whoever writes them himself
    code     of a refusal
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    head: bytes
    code: str = ""


def _json(status: int, value: object, *headers: tuple[bytes, bytes]) -> Answer:
    return _raw(status, msgspec.json.encode(value), *headers)


def _raw(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    return answer_of(status, b"application/json", body, *headers)


def answer_of(status: int, type_: bytes, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    """type_  of the body, for Content-Type"""
    length = str(len(body)).encode()
    return _headed(status, body, [(b"content-type", type_), (b"content-length", length), *headers])


def bare_answer(status: int, *headers: tuple[bytes, bytes]) -> Answer:
    """One whose status allows no body."""
    return _headed(status, b"", list(headers))


def with_headers(answer: Answer, *headers: tuple[bytes, bytes]) -> Answer:
    return _headed(answer.status, answer.body, [*answer.headers, *headers])


def _headed(status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> Answer:
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return Answer(status, headers, body, head + b"".join(b"%b: %b\r\n" % line for line in headers))


def refusal(status: int, code: str, message: str, *headers: tuple[bytes, bytes], **more: str) -> Answer:
    """`error` is for Ruby's SDK, `code` and `message` for Python's."""
    answer = _json(status, {"success": False, "error": message, "code": code, "message": message, **more}, *headers)
    return structs.replace(answer, code=code)


def too_many(seconds: int) -> Answer:
    """429. seconds  until the same request would pass, from 1 on; more than 300 no SDK waits"""
    wait = str(min(max(seconds, 1), MAX_WAIT)).encode()
    return refusal(
        429,
        "rate_limited",
        "The source's rate limit is reached. Wait as long as Retry-After says, then send it again.",
        (b"retry-after", wait),
        (b"x-ratelimit-reset", wait),
    )


def try_again(code: str, message: str, **more: str) -> Answer:
    """503: every SDK retries it, those that read the header after RETRY_AFTER seconds."""
    return refusal(503, code, message, (b"retry-after", str(RETRY_AFTER).encode()), **more)


def ready(disk: str) -> Answer:
    """disk  its level (milonga.eventlog.levels)"""
    return _json(200, {"status": "ready", "disk": disk})


def not_ready(disk: str) -> Answer:
    """See `ready`."""
    said = "Starting, or the event log cannot be written. Send it again."
    if disk in ("high_water", "used_up"):
        said = "The disk is too full to take events, or the log has all it may take. Free space: then it goes on."
    return try_again("not_ready", said, disk=disk)


OK: Final = _raw(200, b'{"success": true}')  # to the letter, blank included, what the hosted API answers
ALIVE: Final = _json(200, {"status": "alive"})


_GIF: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
PIXEL: Final = answer_of(200, b"image/gif", _GIF, (b"cache-control", b"no-store"))
"""One transparent dot, 43 bytes."""

NOT_FOUND: Final = refusal(404, "not_found", "There is nothing here. Events go to POST /v1/batch or /v1/track.")
ONLY_POST: Final = refusal(405, "method_not_allowed", "Use POST here.", (b"allow", b"POST, OPTIONS"))
ONLY_GET: Final = refusal(405, "method_not_allowed", "Use GET here.", (b"allow", b"GET, HEAD"))
TOO_LARGE: Final = refusal(
    400, "body_too_large", "The body is larger than 5 MiB, as sent or unpacked. Send smaller batches."
)
BROKEN_GZIP: Final = refusal(400, "invalid_gzip", "The body is not what its Content-Encoding says, or it is cut off.")
UNKNOWN_ENCODING: Final = refusal(
    415, "unsupported_encoding", "Send the body as it is, or with Content-Encoding: gzip."
)
NO_WRITE_KEY: Final = refusal(
    400,
    "missing_write_key",
    "No write key: send it as the user name of Basic authorization, or as `writeKey` in the body.",
)
UNKNOWN_WRITE_KEY: Final = refusal(
    401, "unknown_write_key", "No source has this write key. Copy it from `milonga sources list`."
)
WRITE_KEY_ENDED: Final = refusal(
    401,
    "write_key_ended",
    "This write key was exchanged, and has ended. Use the newest of `milonga sources list`.",
)
ORIGIN_NOT_ALLOWED: Final = refusal(
    403,
    "origin_not_allowed",
    "This web site may not send to this source. Add it to the source's allowed origins, or allow any.",
)
RATE_LIMITED: Final = too_many(1)  # an example: each says how long to wait
INVALID_HOST: Final = refusal(400, "invalid_host", "The Host header is missing, or not a host name with a port.")
BAD_HTTP: Final = refusal(400, "invalid_http", "This is no HTTP/1.1 request.")
LARGE_HEAD: Final = refusal(
    431, "headers_too_large", "Send at most 64 headers, and 16 KiB of request line and headers."
)
NOT_READY: Final = try_again("not_ready", "Starting, or the event log cannot be written. Send it again.")
# not 408: Ruby, PHP, .NET, C#, the older SDKs of Node, Java and phones drop what was answered with it
SLOW_BODY: Final = try_again("slow_body", "The body did not arrive in time. Send it again.")
SLOW_HEAD: Final = try_again("slow_headers", "The headers did not arrive in time. Send it again.")
BUSY: Final = try_again("busy", "Too much is being received at once. Send it again.")
LOG_FULL: Final = try_again("log_full", "The event log cannot keep more at the moment. Send it again.")
STOPPING: Final = try_again("stopping", "The server is stopping. Send it again.")
TROUBLE: Final = try_again("trouble", "Something went wrong here, not with the request. Send it again.")
