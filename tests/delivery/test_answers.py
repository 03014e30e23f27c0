import html
import json
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from milonga.delivery.answers import attempt_row, judged, told
from milonga.delivery.outgoing import NoAnswer
from milonga.destinations.contract import Answer, BadEvent, BadSettings, Delivered, Ending, Form, Request, TryAgain
from milonga.eventlog.api import Position
from tests.delivery import paper

TOKEN = 'tök"en+/ 12345678'
REQUEST = Request(
    part="user",
    method="POST",
    url="http://receiver.example/",
    headers={"Authorization": "Bearer hook-5678-secret"},
    body=Form({"api-token": TOKEN, "sdr_a": "visible"}),
    secrets=frozenset({"api-token", "Authorization"}),
)


def test_an_answer_is_judged_by_its_destination() -> None:
    assert judged(Answer(200, {}, b""), paper.DESTINATION, REQUEST, 0.0) == Delivered()


@pytest.mark.parametrize("code", ["no_connection", "no_address", "tls", "timeout", "connection_lost", "bad_answer"])
def test_no_answer_is_tried_again(code: str) -> None:
    ending = judged(NoAnswer(code, "because", perhaps=True), paper.DESTINATION, REQUEST, 0.0)
    assert ending == TryAgain(code, "because")


@pytest.mark.parametrize("code", ["forbidden_address", "bad_url"])
def test_an_address_that_nothing_can_be_sent_to_is_the_settings_fault(code: str) -> None:
    assert judged(NoAnswer(code, "because", perhaps=False), paper.DESTINATION, REQUEST, 0.0) == BadSettings(
        code, "because"
    )


def test_a_judge_that_raises_is_no_end_of_the_event() -> None:
    def judge(answer: Answer, now: float) -> Ending:
        raise ZeroDivisionError

    kind = msgspec.structs.replace(paper.DESTINATION, judge=judge)
    assert isinstance(judged(Answer(200, {}, b""), kind, REQUEST, 0.0), TryAgain)


def test_an_attempt_keeps_the_first_kilobyte_of_the_answer_and_the_log_line_none_of_it() -> None:
    reply = Answer(503, {}, b"what it says" * 1000)
    row = attempt_row(7, Position(0, 5), REQUEST, reply, TryAgain("http_503", "It answered 503."), 1234, 0.0126)
    assert (row.status, row.ms, row.code, row.at, row.perhaps) == (503, 13, "http_503", 1234, False)
    assert len(row.answer) == 1000
    assert "says" not in str(told(row))


def test_a_success_after_failures_has_a_row_without_a_code() -> None:
    row = attempt_row(7, Position(0, 5), REQUEST, Answer(200, {}, b""), Delivered(), 1234, 0.01)
    assert (row.code, row.reason) == ("", "")
    assert told(row)["code"] == "delivered"


def test_an_attempt_without_an_answer_says_whether_it_may_have_arrived() -> None:
    reply = NoAnswer("timeout", "No answer within 30 seconds.", perhaps=True)
    row = attempt_row(7, Position(0, 5), REQUEST, reply, TryAgain("timeout", reply.reason), 1234, 30.0)
    assert (row.status, row.perhaps, row.answer) == (None, True, b"")


def kept(body: bytes) -> bytes:
    return attempt_row(7, Position(0, 5), REQUEST, Answer(500, {}, body), TryAgain("http_500", ""), 1, 0.0).answer


@pytest.mark.parametrize(
    "spelling",
    [
        TOKEN,
        quote(TOKEN),
        quote(TOKEN, safe=""),
        quote_plus(TOKEN),
        quote_plus(TOKEN).replace("%C3%B6", "%c3%b6").replace("%2B", "%2b").replace("%2F", "%2f"),
        json.dumps(TOKEN),
        json.dumps(TOKEN, ensure_ascii=False),
        json.dumps(TOKEN).replace("/", "\\/"),
        html.escape(TOKEN),
        "Bearer hook-5678-secret",
        "hook-5678-secret",
        "the token hook-5678... is unknown",
    ],
)
def test_a_receiver_that_repeats_a_secret_has_it_masked_in_every_spelling(spelling: str) -> None:
    found = kept(b"You sent: sdr_a=visible&" + spelling.encode() + b"&more").decode()
    assert "12345678" not in found
    assert "5678" not in found
    assert found.startswith("You sent: sdr_a=visible&")
    assert found.endswith("more")


@pytest.mark.parametrize("left", range(1, 24))
def test_an_answer_that_was_cut_within_a_secret_leaks_no_longer_a_beginning_than_a_guess(left: int) -> None:
    secret = b"hook-5678-secret and more that was never kept"
    found = kept(b"x" * (1_000 - left) + secret[:left])
    assert b"hook-567" not in found
    assert found.startswith(b"x" * (1_000 - left))


def test_masking_comes_before_cutting() -> None:
    assert kept(b"x" * 990 + b"hook-5678-secret").endswith(b"x***")


def test_no_secret_is_in_a_reason() -> None:
    def judge(answer: Answer, now: float) -> Ending:
        return BadEvent("odd", f"It said: {answer.body.decode()}.")

    kind = msgspec.structs.replace(paper.DESTINATION, judge=judge)
    ending = judged(Answer(400, {}, b"hook-5678-secret is no good"), kind, REQUEST, 0.0)
    assert ending == BadEvent("odd", "It said: *** is no good.")
    lost = judged(NoAnswer("connection_lost", "after hook-5678-secret", perhaps=True), kind, REQUEST, 0.0)
    assert lost == TryAgain("connection_lost", "after ***")


def test_what_stands_in_the_query_of_an_address_is_masked_where_a_receiver_repeats_it() -> None:
    request = msgspec.structs.replace(REQUEST, url="https://receiver.example/hook?key=query-4711-secret&v=2")
    answer = Answer(500, {}, b"POST /hook?key=query-4711-secret&v=2 failed")
    ending = judged(answer, paper.DESTINATION, request, 0.0)
    row = attempt_row(7, Position(0, 1), request, answer, ending, 0, 0.1)
    assert row.answer == b"POST /hook?key=***&v=2 failed"
