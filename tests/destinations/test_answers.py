"""How answers are judged, and which addresses are taken."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from milonga.destinations import http
from milonga.destinations.contract import Answer, BadEvent, BadSettings, Delivered, Ending, TryAgain
from milonga.destinations.http import MAX_WAIT, address_problem, retry_after
from milonga.destinations.registry import kind

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()


def judged(name: str, status: int, **headers: str) -> Ending:
    return kind(name).judge(Answer(status, headers, b""), NOW)


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (200, Delivered),
        (201, Delivered),
        (202, TryAgain),
        (204, TryAgain),
        (301, BadEvent),
        (304, BadEvent),
        (400, BadEvent),
        (401, BadSettings),
        (403, BadSettings),
        (404, BadEvent),
        (408, TryAgain),
        (413, BadEvent),
        (429, TryAgain),
        (499, BadEvent),
        (500, TryAgain),
        (503, TryAgain),
        (599, TryAgain),
        (700, TryAgain),
    ],
)
def test_totango_has_kept_a_request_only_if_it_answers_200_or_201(status: int, ending: type[Ending]) -> None:
    assert type(judged("totango", status)) is ending


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_webhook_has_kept_a_request_if_it_answers_any_2xx(status: int) -> None:
    assert judged("webhook", status) == Delivered()


@pytest.mark.parametrize("name", ["totango", "webhook"])
def test_the_code_names_the_status_and_the_reason_says_it_in_words(name: str) -> None:
    ending = judged(name, 503)
    assert isinstance(ending, TryAgain)
    assert ending.code == "http_503"
    assert "503 Service Unavailable" in ending.reason
    refused = judged(name, 302)
    assert isinstance(refused, BadEvent)
    assert (refused.code, "not followed" in refused.reason) == ("http_302", True)


def test_retry_after_is_passed_on_with_every_try_again() -> None:
    ending = judged("totango", 429, **{"retry-after": "7"})
    assert isinstance(ending, TryAgain)
    assert ending.wait == 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("0", None),
        ("-7", None),
        ("999999", MAX_WAIT),
        ("9" * 15, MAX_WAIT),
        ("9" * 16, None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("\u0667", None),
        ("", None),
        ("soon", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sunday, 22-Nov-26 12:00:30 GMT", 30.0),
        ("Sun Nov 22 12:00:30 2026", 30.0),
        ("Sun, 22 Nov 2026 13:00:30 +0100", 30.0),
        ("Sun, 22 Nov 2026 11:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT),
        ("Sun, 99 Nov 2026 12:00:30 GMT", None),
        ("Sun, 22 Nov 99999999999999999999 12:00:30 GMT", None),
        (format_datetime(datetime(2026, 11, 22, 12, 1, tzinfo=UTC), usegmt=True), 60.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_bounded_and_never_in_the_past(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://hooks.example.com",
        "http://127.0.0.1:8090/pixel.gif/",
        "https://[::1]:8443/x?y=z#w",
        "https://bücher.example/ä",
    ],
)
def test_an_address_that_can_be_sent_to_has_no_problem(url: str) -> None:
    assert address_problem(url) is None


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("hooks.example.com", "https://"),
        ("ftp://hooks.example.com", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://a b.example", "space"),
        ("https://a.example/\r\nx", "control"),
        ("https://a.example/\ud83d", "control"),
        ("https://a.example:99999", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://user:hush@a.example/", "password"),
    ],
)
def test_an_address_that_cannot_be_sent_to_is_refused_in_words_without_repeating_it(url: str, word: str) -> None:
    problem = address_problem(url)
    assert problem is not None
    assert word in problem
    assert "hush" not in problem


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://receiver.example/hook", "https://receiver.example/hook"),
        ("https://receiver.example:8443/hook?token=hush&a=1", "https://receiver.example:8443/hook?***"),
        ("https://receiver.example?hush", "https://receiver.example?***"),
        ("https://ada:hush@receiver.example/x", "https://***@receiver.example/x"),
        ("https://[broken?hush", "***"),
        ("no address?hush", "no address?***"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret_in_it(url: str, shown: str) -> None:
    assert http.shown_address(url) == shown


def test_what_an_address_hides_is_known_to_those_who_hide_it_elsewhere() -> None:
    assert http.secrets_in("https://ada:hush@receiver.example/x?token=t%2Fo&b=2") == ["ada", "hush", "t/o", "2"]
    assert http.secrets_in("https://receiver.example/x?bare-token") == ["bare-token"]
    assert http.secrets_in("https://receiver.example/x") == []
    assert http.secrets_in("https://[broken") == []


def test_a_hidden_address_is_told_from_a_real_one() -> None:
    assert http.is_masked(http.shown_address("https://receiver.example/hook?token=hush"))
    assert not http.is_masked("https://receiver.example/hook?token=***")
    assert not http.is_masked(http.shown_address("https://receiver.example/hook"))
