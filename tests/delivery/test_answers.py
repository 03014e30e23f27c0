import msgspec
import pytest

from milonga.delivery.answers import attempt_row, judged, told
from milonga.delivery.outgoing import NoAnswer
from milonga.destinations.contract import Answer, BadSettings, Delivered, Ending, TryAgain
from milonga.eventlog.api import Position
from tests.delivery import paper


def test_an_answer_is_judged_by_its_destination() -> None:
    assert judged(Answer(200, {}, b""), paper.DESTINATION, 0.0) == Delivered()


@pytest.mark.parametrize("code", ["no_connection", "no_address", "tls", "timeout", "connection_lost", "bad_answer"])
def test_no_answer_is_tried_again(code: str) -> None:
    ending = judged(NoAnswer(code, "because", perhaps=True), paper.DESTINATION, 0.0)
    assert ending == TryAgain(code, "because")


@pytest.mark.parametrize("code", ["forbidden_address", "bad_url"])
def test_an_address_that_nothing_can_be_sent_to_is_the_settings_fault(code: str) -> None:
    assert judged(NoAnswer(code, "because", perhaps=False), paper.DESTINATION, 0.0) == BadSettings(code, "because")


def test_a_judge_that_raises_is_no_end_of_the_event() -> None:
    def judge(answer: Answer, now: float) -> Ending:
        raise ZeroDivisionError

    kind = msgspec.structs.replace(paper.DESTINATION, judge=judge)
    assert isinstance(judged(Answer(200, {}, b""), kind, 0.0), TryAgain)


def test_an_attempt_keeps_the_first_kilobyte_of_the_answer_and_the_log_line_none_of_it() -> None:
    reply = Answer(503, {}, b"secret" * 1000)
    row = attempt_row(7, Position(0, 5), "user", reply, TryAgain("http_503", "It answered 503."), 1234, 0.0126)
    assert (row.status, row.ms, row.code, row.at, row.perhaps) == (503, 13, "http_503", 1234, False)
    assert len(row.answer) == 1000
    assert "secret" not in str(told(row))


def test_a_success_after_failures_has_a_row_without_a_code() -> None:
    row = attempt_row(7, Position(0, 5), "user", Answer(200, {}, b""), Delivered(), 1234, 0.01)
    assert (row.code, row.reason) == ("", "")
    assert told(row)["code"] == "delivered"


def test_an_attempt_without_an_answer_says_whether_it_may_have_arrived() -> None:
    reply = NoAnswer("timeout", "No answer within 30 seconds.", perhaps=True)
    row = attempt_row(7, Position(0, 5), "user", reply, TryAgain("timeout", reply.reason), 1234, 30.0)
    assert (row.status, row.perhaps, row.answer) == (None, True, b"")
