"""The judge is not blind: each of these must be complained of."""

import json
import random
from collections.abc import Iterable

import pytest

from tests.fuzz.conversation import Conversation
from tests.fuzz.draft import Draft
from tests.fuzz.judge import complaints, script_flaws, settings_flaws
from tests.fuzz.wire import Heard, Listening, NotHttp, Said

DATE = {"date": "Sun, 22 Nov 2026 00:00:00 GMT"}
JSON = {"content-type": "application/json", **DATE}
OK = Heard(200, JSON, b'{"success": true}')


def draft(**more: object) -> Draft:
    whole: dict[str, object] = {
        "method": b"POST",
        "target": b"/v1/t",
        "headers": [],
        "body": b"{}",
        "aim": "track",
        **more,
    }
    made = Draft(**whole)  # type: ignore[arg-type]
    made.write(random.Random(1))
    return made


def refusal(status: int, code: str, **more: str) -> Heard:
    body = {"success": False, "error": "No.", "code": code, "message": "No."}
    return Heard(status, {**JSON, **more}, json.dumps(body).encode())


def judged(answers: Iterable[Heard], *drafts: Draft, rest: bytes = b"") -> list[str]:
    said = Conversation(1, list(drafts) or [draft()], [], False, "half")
    return list(complaints(said, Said(list(answers), rest, "", False)))


def test_what_is_well_is_well() -> None:
    assert judged([OK]) == []
    assert judged([refusal(400, "invalid_json")]) == []
    assert judged([OK, refusal(400, "invalid_http", connection="close")], draft(), draft(done=["x"]), draft()) == []
    assert judged([], draft(answers="any")) == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (refusal(500, "trouble"), "500"),
        (refusal(503, "trouble", **{"retry-after": "2"}), "503 trouble"),
        (refusal(503, "busy"), "Retry-After"),
        (refusal(400, "made_up"), "not documented"),
        (refusal(401, "invalid_json"), "not documented"),
        (refusal(404, "not_found"), "404"),
        (refusal(400, "invalid_http"), "nothing is wrong with it"),
        (Heard(400, JSON, b"Bad Request"), "without a JSON object"),
        (Heard(400, JSON, b"[]"), "without a JSON object"),
        (Heard(400, JSON, b'{"success":true,"code":"invalid_json"}'), "lacks"),
        (Heard(200, JSON, b'{"success":true}'), "other words"),
        (Heard(200, {"content-type": "text/plain", **DATE}, b"ok"), "content type"),
        (Heard(200, {**JSON, "x-injected": "1"}, OK.body), "strange headers"),
        (Heard(200, {**JSON, "access-control-allow-origin": "https://x.example"}, OK.body), "did not ask"),
        (Heard(200, JSON, OK.body, True), "without having asked"),
        (Heard(302, JSON, b"{}"), "302"),
    ],
)
def test_an_answer_that_must_not_be_is_seen(answer: Heard, says: str) -> None:
    assert any(says in words for words in judged([answer])), judged([answer])


def test_answers_that_are_too_few_or_too_many_are_seen() -> None:
    assert judged([], draft())
    assert judged([OK], draft(), draft())
    assert judged([OK, OK], draft())
    assert judged([OK], draft(), rest=b"HTTP/1.1 200")
    assert judged([Heard(200, {**JSON, "connection": "close"}, OK.body)], draft(), draft())
    assert judged([refusal(400, "invalid_json", connection="close")], draft(), draft())


def test_pages_that_may_not_read_an_answer_are_seen() -> None:
    page = draft(headers=[(b"Origin", b"https://shop.example")])
    shared = {"access-control-allow-origin": "https://shop.example", "access-control-expose-headers": "Retry-After"}
    assert judged([Heard(200, {**JSON, **shared}, OK.body)], page) == []
    assert judged([OK], page)
    assert judged([Heard(200, {**JSON, **shared, "access-control-expose-headers": "x"}, OK.body)], page)
    assert judged([refusal(403, "origin_not_allowed", **shared)], page)


def test_pixels_and_preflights_that_are_none_are_seen() -> None:
    assert judged([refusal(400, "invalid_json")], draft(aim="pixel"))
    assert judged([Heard(200, {"content-type": "image/gif", **DATE}, b"GIF89a")], draft(aim="pixel")) == []
    assert judged([OK], draft(aim="preflight"))
    assert judged([Heard(204, DATE, b"")], draft(aim="preflight")) == []


def test_what_ends_a_script_is_seen() -> None:
    good = b'{"integrations":{"Segment.io":{"apiHost":"events.example.com/v1"}}}'
    assert list(settings_flaws(good)) == []
    assert list(settings_flaws(good.replace(b"events", b"</script>")))
    assert list(settings_flaws(good.replace(b"events.", b"a'b")))
    assert list(settings_flaws(b"{}"))
    assert list(script_flaws(b"alert(7)"))


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: 1\r\na: 2\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: 1\n\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b'{"success":false}\r\n\r\n',
    ],
)
def test_what_is_no_http_is_seen(text: bytes) -> None:
    with pytest.raises(NotHttp):
        Listening([]).feed(text)
