"""Asking a Milonga elsewhere over TLS: only one whose certificate is good, and in words if something goes wrong."""

import datetime
import socket
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from milonga.api import remote
from milonga.api.problem import Problem
from milonga.api.remote import server_at
from tests.answering import answering
from tests.faults.certificates import Authority

ANSWER = b'{"data": []}'


class Handler(BaseHTTPRequestHandler):
    """Answers what the server says, and remembers the headers of the last request."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.asked = dict(self.headers)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self, context: ssl.SSLContext | None = None, status: int = 200, body: bytes = ANSWER) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body = status, body
        self.asked: dict[str, str] = {}
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: object) -> None:
        """A handshake that was broken off."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


def said(url: str) -> str:
    with pytest.raises(Problem) as refused:
        server_at(url, "").ask("GET", "/x", None)
    assert refused.value.status == 502
    assert url.split("//")[1].rstrip("/") in refused.value.detail
    return refused.value.detail


def test_a_certificate_of_an_authority_that_is_named_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    with answering(Server(authority.context())) as server:
        assert server_at(f"https://localhost:{server.port}", "t0ken").ask("GET", "/x", None).told == {"data": []}
        assert server.asked["Authorization"] == "Bearer t0ken"
    with answering(Server(authority.context("other.example"))) as server:
        assert "cannot be trusted" in said(f"https://localhost:{server.port}")
    with answering(Server(authority.context(valid_for=-datetime.timedelta(days=1)))) as server:
        assert "expired" in said(f"https://localhost:{server.port}")


def test_a_certificate_of_nobody_known_is_told_with_what_to_do(tmp_path: Path) -> None:
    with answering(Server(Authority(tmp_path).context())) as server:
        assert "SSL_CERT_FILE" in said(f"https://localhost:{server.port}")
        assert server.asked == {}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"hello": 1}', b"\xff"])
def test_what_is_no_api_of_ours_is_told(body: bytes) -> None:
    with answering(Server(status=404, body=body)) as server:
        assert "status 404" in said(f"http://127.0.0.1:{server.port}")


def test_no_redirect_is_followed() -> None:
    with answering(Server(status=302)) as server:
        assert "status 302" in said(f"http://127.0.0.1:{server.port}")


def test_an_answer_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MOST", 10)
    with answering(Server()) as server:
        assert "is no API" in said(f"http://127.0.0.1:{server.port}")


def test_no_answer_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "No answer within" in said(f"http://127.0.0.1:{silent.getsockname()[1]}")
