"""Whether an answer may be given to what was asked: what docs/tracking-api.md says, read anew for each answer."""

import gzip
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.conversation import Conversation
from tests.fuzz.draft import Draft
from tests.fuzz.fetches import ASSETS
from tests.fuzz.wire import Heard, Said

_DOC: Final = (Path(__file__).parents[2] / "docs" / "tracking-api.md").read_text()
DOCUMENTED: Final = {
    (int(status), code) for status, code in re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", _DOC, re.MULTILINE)
}
"""Every refusal there is, from the table in docs/tracking-api.md."""

DELIBERATE: Final = {"busy"}  #: codes with which a 503 is deliberate while the disk has room and nothing is stopping
CLOSING: Final = {"invalid_http", "headers_too_large", "body_too_large", "busy"}
"""Refusals after which nothing more is read: where the next request begins is unknown, or too much would come."""

HEADERS: Final = {
    *("content-type", "content-length", "date", "connection", "allow", "retry-after", "vary", "etag", "cache-control"),
    *(
        "content-encoding",
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
    ),
    *(
        "access-control-allow-credentials",
        "access-control-expose-headers",
        "access-control-max-age",
        "x-content-type-options",
    ),
    *("x-ratelimit-reset",),
}
"""No others are ever sent: what a request says cannot become a header."""


def complaints(said: Conversation, heard: Said) -> Iterator[str]:
    """Everything about a conversation that must not be; nothing, most of the time."""
    if heard.fault:
        yield heard.fault
    answers, drafts = heard.answers, said.drafts
    for number, answer in enumerate(answers):
        draft = drafts[min(number, len(drafts) - 1)]
        beyond = number >= len(drafts) or draft.answers != "one"
        bare = number < len(drafts) and draft.method == b"HEAD"
        yield from (f"request {number}: {words}" for words in of_answer(answer, None if beyond else draft, bare=bare))
        if answer.headers.get("connection") == "close" and number < len(answers) - 1:
            yield f"request {number}: an answer after the last one"
    if said.end != "half" or heard.fault:
        return
    if (
        heard.rest
        and not heard.cut
        and not (answers and _is_no_head(drafts[min(len(answers), len(drafts)) - 1], answers[-1]))
    ):
        yield f"it ended within an answer: {heard.rest[:100]!r}"
    if len(answers) > len(drafts) and drafts[-1].answers == "one":
        yield f"{len(answers)} answers to {len(drafts)} requests"
    wanted = sum(draft.answers == "one" or (draft.answers == "some" and not heard.cut) for draft in drafts)
    if len(answers) < wanted and not (answers and _may_be_last(drafts[len(answers) - 1], answers[-1])):
        yield f"only {len(answers)} answers to {wanted} requests"


def _may_be_last(draft: Draft, answer: Heard) -> bool:
    if answer.headers.get("connection") != "close":
        return False
    refused = {400, 431, 503} if draft.method == b"HEAD" else set()  # its code is not told
    return draft.ends or code_of(answer) in CLOSING or answer.status in refused


def _is_no_head(draft: Draft, answer: Heard) -> bool:
    """A request line that is none was not seen to ask for HEAD: its refusal comes with a body."""
    return draft.method == b"HEAD" and answer.status == 400 and answer.headers.get("connection") == "close"


def code_of(answer: Heard) -> str:
    """Of a refusal; else ""."""
    if answer.status < 400:
        return ""
    try:
        said = msgspec.json.decode(answer.body)
    except msgspec.MsgspecError:
        return ""
    return str(said.get("code", "")) if isinstance(said, dict) else ""


def of_answer(answer: Heard, draft: Draft | None, *, bare: bool) -> Iterator[str]:
    """
    draft  what it answers; None if nobody can tell
    bare   it has no body, as HEAD was asked
    """
    status, headers = answer.status, answer.headers
    if strange := set(headers) - HEADERS:
        yield f"strange headers: {strange}"
    if answer.continued and draft is not None and draft.header(b"expect") is None:
        yield "told to go on without having asked"
    if "date" not in headers:
        yield "no date"
    if status in (204, 304):
        if answer.body:
            yield f"a body with {status}"
    elif status == 200:
        yield from _success(answer, bare)
    elif not bare:
        yield from _refusal(answer)
    if draft is not None:
        yield from _for(draft, answer)


def _success(answer: Heard, bare: bool) -> Iterator[str]:
    match answer.headers.get("content-type", "").partition(";")[0]:
        case "application/json":
            if not bare and "content-encoding" not in answer.headers:
                try:
                    msgspec.json.decode(answer.body, type=dict)
                except msgspec.MsgspecError:
                    yield f"200 with a body that is no JSON object: {answer.body[:100]!r}"
        case "image/gif":
            if not bare and not answer.body.startswith(b"GIF89a"):
                yield "no gif"
        case "text/javascript" | "application/javascript" | "text/html" | "text/css":
            pass
        case other:
            yield f"200 with content type {other!r}"


def _refusal(answer: Heard) -> Iterator[str]:
    try:
        said = msgspec.json.decode(answer.body)
    except msgspec.MsgspecError:
        said = None
    if not isinstance(said, dict) or answer.headers.get("content-type") != "application/json":
        yield f"{answer.status} without a JSON object: {answer.body[:100]!r}"
        return
    code, message = said.get("code"), said.get("message")
    if said.get("success") is not False or not isinstance(message, str) or not message or said.get("error") != message:
        yield f"{answer.status} whose JSON lacks something: {answer.body[:200]!r}"
    if (answer.status, code) not in DOCUMENTED:
        yield f"{answer.status} {code} is not documented"
    if answer.status >= 500 and (answer.status != 503 or code not in DELIBERATE):
        yield f"{answer.status} {code}"
    if answer.status in (429, 503) and not answer.headers.get("retry-after", "").isdecimal():
        yield f"{answer.status} without Retry-After"
    if answer.status == 405 and not answer.headers.get("allow"):
        yield "405 without Allow"


BAD_HEAD: Final = {400, 431}  #: any request may be refused for the form of its head


def _for(draft: Draft, answer: Heard) -> Iterator[str]:
    """What is due to this path and no other."""
    code, status, where = code_of(answer), answer.status, draft.target[:60]
    if code in ("invalid_http", "headers_too_large"):
        if not draft.done:
            yield f"nothing is wrong with it, but {code}"
        return
    if draft.honest and status != 200 and code not in DELIBERATE:
        yield f"nothing is wrong with it, but {status} {answer.body[:200]!r}"
    yield from _sharing(draft, answer)
    match draft.aim:
        case "track" | "metrics":
            if status == 200 and answer.body != b'{"success": true}':
                yield f"success in other words: {answer.body[:100]!r}"
            if status in (204, 304, 404, 405):
                yield f"{status} from {where!r}"
        case "health" if status != 200:
            yield f"{status} from {where!r}"
        case "pixel" if code not in CLOSING and (status != 200 or answer.headers.get("content-type") != "image/gif"):
            yield f"a pixel that is none: {status} {answer.headers.get('content-type')}"
        case "preflight" if status != 204:
            yield f"{status} to a preflight of {where!r}"
        case "settings" | "script" | "chunk" if status not in (200, 304) and code not in {"not_found", "invalid_host"}:
            yield f"{status} {code} from {where!r}"
        case "settings" if status == 200:
            yield from settings_flaws(unpacked(answer))
        case "script" if status == 200:
            yield from script_flaws(unpacked(answer))
        case _:
            pass


_PLAIN_ORIGIN: Final = re.compile(rb"https?://[a-z0-9.-]{1,200}(?::[0-9]{1,5})?")


def _sharing(draft: Draft, answer: Heard) -> Iterator[str]:
    """CORS: whose pages may read the answer. Source: docs/tracking-api.md, "Browsers"."""
    allowed = answer.headers.get("access-control-allow-origin")
    origin = draft.header(b"origin")
    if allowed is not None and origin is None and allowed != "*":
        yield f"shared with {allowed}, who did not ask"
    if draft.aim in ("track", "metrics", "preflight", "pixel"):
        plain = origin is not None and _PLAIN_ORIGIN.fullmatch(origin) is not None
        if code_of(answer) == "origin_not_allowed":
            if allowed is not None:
                yield "refused, and shared all the same"
        elif plain and origin is not None and allowed != origin.decode():
            yield f"not shared with {origin!r}, but {allowed!r}"
        elif plain and "Retry-After" not in answer.headers.get("access-control-expose-headers", ""):
            yield "Retry-After cannot be read"
    elif draft.aim == "settings" and answer.status in (200, 304) and allowed != "*":
        yield f"settings are shared with {allowed!r}"


def unpacked(answer: Heard) -> bytes:
    return gzip.decompress(answer.body) if answer.headers.get("content-encoding") == "gzip" else answer.body


_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def settings_flaws(text: bytes) -> Iterator[str]:
    """Of a settings document, also of one within a script."""
    if any(sign in text for sign in (b"<", b"\xe2\x80\xa8", b"\xe2\x80\xa9")):
        yield "settings that could end a script"
    try:
        document = msgspec.json.decode(text)
        host = document["integrations"]["Segment.io"]["apiHost"]
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        yield f"no settings: {error!r} of {text[:300]!r}"
        return
    if not host.endswith("/v1") or _HOST.fullmatch(host.removesuffix("/v1")) is None:
        yield f"settings that name {host!r} as a host"


def script_flaws(text: bytes) -> Iterator[str]:
    """The library as it was built, with nothing in the places to fill in that could be more than a text."""
    at = 0
    for number, (name, fixed) in enumerate(_library()):
        found = text.find(fixed, at) if fixed else len(text)
        if found < 0 or (number == 0 and found != 0):
            yield f"not the library, from its part {number} on"
            return
        filled, at = text[at:found], found + len(fixed)
        if name == "settings":
            yield from settings_flaws(filled)
        elif name and _IN_A_STRING.fullmatch(filled) is None:
            yield f"a script with {filled[:100]!r} in it"
    if at != len(text):
        yield "something behind the library"


_IN_A_STRING: Final = re.compile(rb"(?:[A-Za-z0-9.:/_-]|\\u[0-9a-f]{4})*")
_PLACE: Final = re.compile(rb"""(__WRITE_KEY__|__MILONGA_CDN__|["'`]__MILONGA_SETTINGS__["'`])""")


@cache
def _library() -> list[tuple[str, bytes]]:
    """What is filled in, and the text behind it; the first with nothing before it."""
    parts = _PLACE.split((ASSETS / "analytics.min.js").read_bytes())
    names = ["", *("settings" if b"SETTINGS" in place else "text" for place in parts[1::2])]
    return list(zip(names, parts[::2], strict=True))
