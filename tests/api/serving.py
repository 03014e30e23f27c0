"""The API over HTTP, on a socket of its own, in a thread: within the console's application, as users have it."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import uvicorn
from msgspec import Struct

from milonga.api.table import PREFIX
from milonga.console.app import make_app
from milonga.console.config import Config
from milonga.console.visit import Visitor
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.running import PATIENCE


class Answer(Struct, frozen=True):
    """json: None where the body is none"""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        assert self.status < 300, (self.status, self.body)
        return self.json["data"]


def problem(answer: Answer, status: int, code: str, field: str = "") -> str:
    """Its words."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert (answer.status, told["status"], told["code"], told.get("field", "")) == (status, status, code, field), told
    assert told["title"]
    assert told["detail"]
    return str(told["detail"])


class NoVisitors:
    """Nobody is logged in at the console."""

    def visitor(self, cookie: str | None, *, touch: bool = True) -> Visitor | None:
        return None


class Served:
    """
    data    the data directory
    tokens  one of each role
    """

    def __init__(self, data: Path, port: int, tokens: Mapping[Role, str]) -> None:
        self.data, self.port, self.tokens = data, port, tokens

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: Role | None = Role.administrator,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """
        path  behind the prefix
        role  whose token is sent; None: nobody's
        """
        sent = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent["Content-Type"] = "application/json"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, PREFIX + path, raw, {**sent, **(headers or {})})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()


@contextmanager
def served(data: Path, events_url: str = "http://127.0.0.1:8080") -> Iterator[Served]:
    """As long as this lasts, with a token of each role."""
    with Workspace.open(data) as workspace:
        tokens = {role: workspace.tokens.create(f"test-{role.value}", role)[1] for role in Role}
    app = make_app(Config(data=data, events_url=events_url), NoVisitors())
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield Served(data, listener.getsockname()[1], tokens)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
