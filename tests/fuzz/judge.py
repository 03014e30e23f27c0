"""Whether an answer may be given to what was asked: what docs/tracking-api.md says, read anew for each answer."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.conversation import Conversation
from tests.fuzz.draft import Draft
from tests.fuzz.wire import Heard, Said

_DOC: Final = (Path(__file__).parents[2] / "docs" / "tracking-api.md").read_text()
DOCUMENTED: Final = {
    (int(status), code) for status, code in re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", _DOC, re.MULTILINE)
}
"""Every refusal there is, from the table in docs/tracking-api.md."""

DELIBERATE: Final = {"busy"}  #: codes with which a 503 is deliberate while the disk has room and nothing is stopping
CLOSING: Final = {"invalid_http", "headers_too_large", "body_too_large", "busy"}
"""Refusals after which nothing more is read: where the next request begins is unknown, or too much would come."""

GIF: Final = "image/gif"
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
    *("cross-origin-resource-policy", "timing-allow-origin", "pragma", "expires"),
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
        yield from (f"request {number}: {words}" for words in of_answer(answer, None if beyond else draft))
        if answer.headers.get("connection") == "close" and number < len(answers) - 1:
            yield f"request {number}: an answer after the last one"
    if said.end != "half" or heard.fault:
        return
    if heard.rest:
        yield f"it ended within an answer: {heard.rest[:100]!r}"
    if len(answers) > len(drafts) and drafts[-1].answers == "one":
        yield f"{len(answers)} answers to {len(drafts)} requests"
    wanted = sum(draft.answers != "any" for draft in drafts)
    if len(answers) < wanted and not (answers and _may_be_last(drafts[len(answers) - 1], answers[-1])):
        yield f"only {len(answers)} answers to {wanted} requests"


def _may_be_last(draft: Draft, answer: Heard) -> bool:
    return answer.headers.get("connection") == "close" and (draft.ends or code_of(answer) in CLOSING)


def code_of(answer: Heard) -> str:
    """Of a refusal; else ""."""
    if answer.status < 400:
        return ""
    try:
        said = msgspec.json.decode(answer.body)
    except msgspec.MsgspecError:
        return ""
    return str(said.get("code", "")) if isinstance(said, dict) else ""


def of_answer(answer: Heard, draft: Draft | None) -> Iterator[str]:
    """draft  what it answers; None if nobody can tell"""
    status, headers = answer.status, answer.headers
    bare = draft is not None and draft.method == b"HEAD"
    if strange := set(headers) - HEADERS:
        yield f"strange headers: {strange}"
    if answer.continued and (draft is None or draft.header(b"expect") is None):
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
    code = code_of(answer)
    if code in ("invalid_http", "headers_too_large"):
        if not draft.done:
            yield f"nothing is wrong with it, but {code}"
        return
    if draft.honest and answer.status != 200 and code not in DELIBERATE:
        yield f"nothing is wrong with it, but {answer.status} {answer.body[:200]!r}"
    match draft.aim:
        case "track" | "metrics":
            if answer.status == 200 and answer.body != b'{"success": true}':
                yield f"success in other words: {answer.body[:100]!r}"
            if answer.status in (204, 304, 404, 405):
                yield f"{answer.status} from {draft.target[:60]!r}"
        case "health":
            if answer.status != 200:
                yield f"{answer.status} from {draft.target[:60]!r}"
