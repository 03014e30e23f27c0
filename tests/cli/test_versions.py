"""A command against a server of another version: what the two do not share is told, with the version that is needed."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from milonga import __version__
from milonga.api.problem import VERSION
from tests.answering import answering
from tests.commands import milonga

OLD = "0.0.7"


class Handler(BaseHTTPRequestHandler):
    server: "Older"

    def do_GET(self) -> None:
        status, body = self.server.answer
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        if self.server.version:
            self.send_header(VERSION, self.server.version)
        self.end_headers()
        self.wfile.write(raw)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


class Older(ThreadingHTTPServer):
    """A server of an older version, as far as one answer goes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.version = OLD
        self.answer: tuple[int, Any] = (200, {"data": []})


@pytest.fixture(scope="module")
def older() -> Iterator[Older]:
    with answering(Older()) as server:
        yield server


def said(older: Older, words: str) -> tuple[int, str]:
    code, _, err = milonga(*words.split(), env={"MILONGA_URL": f"http://127.0.0.1:{older.server_address[1]}"})
    assert "Traceback" not in err
    return code, err


def problem(status: int, code: str, detail: str) -> tuple[int, Any]:
    return status, {"title": "No", "status": status, "code": code, "detail": detail}


COMMANDS = (
    "sources list",
    "sources show web",
    "sources setup web",
    "sources keys list web",
    "destinations list",
    "destinations show totango",
    "destinations kinds",
    "events list",
    "events counts",
    "events discarded",
    "events tail",
    "explain m1",
    "explain --account acme",
    "dead list",
    "dead resend --all",
    "dead export",
    "parked list totango",
    "parked export totango",
    "replays list",
    "replays show 7",
    "replay totango --from 2d --dry-run",
    "regulations list",
    "regulations suppressed ada",
    "users list",
    "tokens list",
    "audit",
)
ANSWERS: dict[str, tuple[int, Any]] = {
    "it lacks a route": problem(404, "unknown_route", "There is nothing here."),
    "it lacks a route, and has no word for it": problem(404, "not_found", "There is nothing here. See /openapi.json"),
    "it lacks a method": problem(405, "method_not_allowed", "Use GET here."),
    "it lacks a parameter": problem(422, "invalid_query", "scan: There is no such field."),
    "things lack their fields": (200, {"data": [{"no": "thing"}], "pagination": {"count": 1, "next": None}}),
    "a thing lacks its fields": (200, {"data": {"no": "thing"}}),
    "a list is none": (200, {"data": 7}),
}


def is_told(older: Older, words: str) -> None:
    code, err = said(older, words)
    assert code == 1, words
    assert f"This command is of Milonga {__version__}, and needs a server of this version" in err, (words, err)
    assert (f"runs Milonga {OLD}." in err) is bool(older.version), (words, err)


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_ends_in_a_traceback_and_each_says_which_version_it_needs(words: str, older: Older) -> None:
    older.version, older.answer = OLD, ANSWERS["things lack their fields"]
    is_told(older, words)


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_an_older_server_does_not_know_is_told(answer: str, older: Older) -> None:
    for version, words in ((OLD, "sources list"), ("", "sources show web")):
        older.version, older.answer = version, ANSWERS[answer]
        is_told(older, words)


def test_a_page_that_lacks_what_is_told_beside_its_cursor_is_told_too(older: Older) -> None:
    older.version, older.answer = OLD, (200, {"data": []})
    for words in ("dead list", "regulations list", "events list", "dead export", "parked export totango"):
        code, err = said(older, words)
        assert (code, f"runs Milonga {OLD}" in err) == (1, True), (words, err)


def test_a_server_of_another_version_that_answers_all_that_is_asked_is_none_the_worse(older: Older) -> None:
    older.version, older.answer = "99.0", (200, {"data": [], "pagination": {"count": 0, "next": None}})
    for words in ("sources list", "users list", "replays list"):
        assert said(older, words)[0] == 0
    older.answer = problem(404, "not_found", "There is no source nobody.")
    assert said(older, "sources show nobody") == (1, "milonga: There is no source nobody.\n")


def test_a_version_that_is_none_is_not_repeated(older: Older) -> None:
    older.version, older.answer = "0\x1b[31m", ANSWERS["a list is none"]
    assert "does not say which version" in said(older, "sources list")[1]
