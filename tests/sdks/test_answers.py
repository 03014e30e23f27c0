"""Milonga's answers, held against what SDKs make of them; docs/compatibility.md tells it in words."""

from collections.abc import Callable

import msgspec
import pytest

from milonga.collector import answers
from milonga.collector.answers import Answer

NEWER = {408, 410, 429, 460, *range(500, 600)} - {501, 505, 511}


def newer(status: int) -> bool:
    return status in NEWER


def older(status: int) -> bool:
    return status == 429 or 500 <= status < 600


def all_but_success(status: int) -> bool:
    return status >= 300


COMES_AGAIN: dict[str, Callable[[int], bool]] = {
    "analytics.js 1.84": newer,
    "analytics.js 1.x": older,
    "Node 3": newer,
    "Node 6": older,
    "Python 2": newer,
    "Python 1": older,
    "Ruby": older,
    "PHP": older,
    "Go": all_but_success,
    "Java 3.5.4": older,
    ".NET": older,
    "Kotlin and Swift with our settings": newer,
    "React Native": newer,
    "Flutter": all_but_success,
    "C#": older,
    "Android 4": older,
    "iOS 4": older,
}
"""Whether an SDK sends again what was answered with a status: at least then. Read from their source."""

EVERY = {name: answer for name, answer in vars(answers).items() if isinstance(answer, Answer) and name != "PIXEL"}
TEMPORARY = {name: answer for name, answer in EVERY.items() if answer.status in {408, 429} or answer.status >= 500}


@pytest.mark.parametrize("sdk", COMES_AGAIN)
@pytest.mark.parametrize("name", TEMPORARY)
def test_what_is_temporary_is_sent_again(name: str, sdk: str) -> None:
    assert COMES_AGAIN[sdk](TEMPORARY[name].status)


@pytest.mark.parametrize("name", TEMPORARY)
def test_how_long_to_wait_is_said_in_whole_seconds_that_no_sdk_cuts_off(name: str) -> None:
    wait = dict(TEMPORARY[name].headers)[b"retry-after"]
    assert wait.isdigit()
    assert 1 <= int(wait) <= 300


@pytest.mark.parametrize("name", EVERY)
def test_every_answer_is_a_json_object(name: str) -> None:
    """Ruby sends a batch again that was answered with anything else, whatever the status."""
    assert isinstance(msgspec.json.decode(EVERY[name].body), dict)
    assert dict(EVERY[name].headers)[b"content-type"] == b"application/json"


@pytest.mark.parametrize("name", EVERY)
def test_nothing_but_200_is_a_success_and_nothing_redirects(name: str) -> None:
    """PHP repeats any other 2xx or 3xx in a tight loop; most SDKs follow a redirect with GET and lose the events."""
    assert EVERY[name].status == 200 or EVERY[name].status >= 400


def test_what_says_send_it_again_is_temporary() -> None:
    says = {name for name, answer in EVERY.items() if b"end it again." in answer.body}
    assert says == set(TEMPORARY)
