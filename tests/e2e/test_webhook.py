"""Signed webhooks from a running Milonga: to receivers copied from docs/webhook.md, and past secrets that change."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from standardwebhooks import Webhook

from milonga.destinations.webhook.fake import pretend
from tests.answering import answering
from tests.receiving import Receiving
from tests.running import PATIENCE, Client, Milonga, eventually, track

SECRET = "whsec_" + "c2VjcmV0" * 5
OLD = "whsec_" + "b2xkIG9uZSEh" * 4
KEY = "hunter2hunter2"
PAGE = Path(__file__).parents[2] / "docs" / "webhook.md"
RUN = {"python": ("receiver.py", sys.executable), "js": ("receiver.mjs", "node")}


class Got(NamedTuple):
    headers: dict[str, str]
    body: bytes
    believed: bool


class Strict(ThreadingHTTPServer):
    """Verifies with the library of Standard Webhooks while the request is fresh; answers what `says` says."""

    def __init__(self, says: list[int], repeats: bytes = b"") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.says, self.repeats = says, repeats
        self.got: list[Got] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Strict

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        believed = bool(Webhook(SECRET).verify(body, headers))
        self.server.got.append(Got(headers, body, believed))
        said = bytes(self.headers) + self.server.repeats
        self.send_response(self.server.says.pop(0) if self.server.says else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        pass


def strict(*says: int, repeats: bytes = b"") -> AbstractContextManager[Strict]:
    return answering(Strict(list(says), repeats))


@contextmanager
def from_the_page(language: str, folder: Path) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """The receiver that the page shows, running: its port, and the process."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    name, command = RUN[language]
    (folder / name).write_text(code)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with (folder / f"{name}.log").open("w") as log:
        running = subprocess.Popen(
            [command, str(folder / name)], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        eventually(lambda: _status(port, b"{}", {}) == 401, "the receiver listens, and believes nothing unsigned")
        yield port, running
    finally:
        running.kill()
        running.wait(PATIENCE)
        assert running.stdout is not None
        running.stdout.close()


def _status(port: int, body: bytes, headers: dict[str, str]) -> int | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()


def sending_to(milonga: Milonga, url: str, *settings: str) -> None:
    milonga.say("sources", "add", "web", "--write-key", "k")
    given = [word for setting in (f"url={url}", *settings) for word in ("--set", setting)]
    milonga.say("destinations", "add", "webhook", "--source", "web", *given)


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_receiver_on_the_page_believes_us_and_nobody_else(language: str, tmp_path: Path) -> None:
    with from_the_page(language, tmp_path) as (port, receiver), Milonga(tmp_path / "data") as milonga:
        sending_to(milonga, f"http://127.0.0.1:{port}/", f"signingSecrets={SECRET} {OLD}")
        milonga.start()
        with Client(milonga.port, "k") as client:
            client.send([track(n, "ada", "acme", properties={"name": "\N{FLAMINGO} å"}) for n in range(3)])
        assert receiver.stdout is not None
        assert [receiver.stdout.readline().strip() for _ in range(3)] == ["m-0", "m-1", "m-2"]
    signed = {"webhook-id": "msg_1", "webhook-timestamp": "1614265330", "webhook-signature": "v1,AAAA"}
    with from_the_page(language, tmp_path) as (port, _):
        for odd in (signed, {**signed, "webhook-timestamp": "1e999"}, {**signed, "webhook-signature": ", v1"}):
            assert _status(port, b"{}", odd) == 401


def test_every_try_is_signed_anew_under_one_id_and_the_headers_that_were_set_arrive(tmp_path: Path) -> None:
    with strict(500, 503) as receiver, Milonga(tmp_path / "data") as milonga:
        (tmp_path / "secret").write_text(json.dumps({"X-Api-Key": KEY}) + "\n")
        sending_to(
            milonga,
            receiver.url,
            f"signingSecrets={SECRET}",
            f"secretHeaders=@{tmp_path / 'secret'}",
            'headers={"X-Team": "growth"}',
            "method=PUT",
        )
        milonga.start()
        with Client(milonga.port, "k") as client:
            client.send([track(1, "ada", "acme"), track(2, "ada", "acme")])
        eventually(lambda: len(receiver.got) == 4, "two tries again, and the next event")
        (story,) = milonga.ask("explain", "m-1")
        told = milonga.say("explain", "m-1")
        milonga.stop()
    first, second, third, other = receiver.got
    assert all(got.believed for got in receiver.got)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
    assert other.headers["webhook-id"] != first.headers["webhook-id"]
    times = [int(got.headers["webhook-timestamp"]) for got in receiver.got]
    assert times == sorted(times)
    assert (first.headers["x-team"], first.headers["x-api-key"]) == ("growth", KEY)
    assert json.loads(third.body)["messageId"] == "m-1"
    (request,) = story["destinations"][0]["requests"]
    assert request["headers"]["webhook-id"] == first.headers["webhook-id"]
    assert (request["headers"]["X-Team"], request["headers"]["X-Api-Key"]) == ("growth", "***")
    assert request["headers"]["webhook-signature"] == "***"
    assert first.headers["webhook-id"] in told


def test_secrets_and_what_repeats_them_are_nowhere_on_disk_and_nowhere_told(tmp_path: Path) -> None:
    """A receiver that refuses, and repeats the request and even the secret it knows us by."""
    with strict(*[400] * 5, repeats=SECRET.encode()) as receiver, Milonga(tmp_path / "data") as milonga:
        sending_to(
            milonga,
            receiver.url,
            "method=PUT",
            f"signingSecrets={OLD} {SECRET}",
            'secretHeaders={"X-Api-Key": "' + KEY + '"}',
        )
        milonga.start()
        with Client(milonga.port, "k") as client:
            client.send([track(n, "ada", "acme", properties={}) for n in range(5)])
        eventually(lambda: len(milonga.ask("dead", "list")) == 5, "all refused")
        told = [
            milonga.say(*words)
            for words in (
                ("explain", "m-1"),
                ("explain", "m-1", "--json"),
                ("dead", "list", "--json"),
                ("dead", "show", "m-1"),
                ("destinations", "show", "webhook", "--json"),
            )
        ]
        milonga.say("destinations", "set", "webhook", "--set", f"signingSecrets={SECRET}")
        told += [milonga.say("explain", "m-1", "--json"), milonga.log_text()]
        milonga.stop()
    assert '"secretHeaders": "***"' in told[5], "of earlier settings the secret is not opened"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink())
    for secret in (SECRET, OLD, KEY):
        assert secret.encode() not in kept
        assert all(secret not in text for text in told)


def test_a_secret_is_changed_without_a_gap(tmp_path: Path) -> None:
    """Both are signed with while the receiver learns the new one; nothing is refused at any moment."""
    with (
        Milonga(tmp_path / "data") as milonga,
        Receiving(pretend, secrets=[OLD]) as old,
        Receiving(pretend, secrets=[SECRET]) as new,
    ):
        sending_to(milonga, f"{old.url}/hook", f"signingSecrets={OLD}")
        milonga.start()
        with Client(milonga.port, "k") as client:
            client.send([track(1, "ada", "acme")])
            eventually(lambda: len(old.accepted()) == 1, "signed with the old one")
            milonga.say("destinations", "set", "webhook", "--set", f"signingSecrets={SECRET} {OLD}")
            eventually(lambda: _sent_signatures(milonga, client, old) == 2, "signed with both")
            milonga.say("destinations", "set", "webhook", "--set", f"url={new.url}/hook")
            eventually(lambda: _sent_signatures(milonga, client, new) == 2, "the new receiver believes it, too")
            milonga.say("destinations", "set", "webhook", "--set", f"signingSecrets={SECRET}")
            eventually(lambda: _sent_signatures(milonga, client, new) == 1, "signed with the new one alone")
        for receiver in (old, new):
            assert {seen.notes["signature"] for seen in receiver.requests()} == {"good"}


_numbers = iter(range(100, 100_000))


def _sent_signatures(milonga: Milonga, client: Client, receiver: Receiving) -> int:
    """Send one more event; how many signatures the newest request at this receiver has."""
    client.send([track(next(_numbers), "ada", "acme")])
    seen = receiver.requests()
    return len(seen[-1].notes["headers"]["webhook-signature"].split()) if seen else 0


@pytest.mark.parametrize(("ordering", "passes"), [("user", True), ("account", False)])
def test_the_ordering_that_is_set_says_who_waits_behind_an_event_that_fails(
    ordering: str, passes: bool, tmp_path: Path
) -> None:
    with Milonga(tmp_path / "data") as milonga, Receiving(pretend) as hook:
        sending_to(milonga, f"{hook.url}/hook", f"ordering={ordering}")
        milonga.start()
        hook.behave(status=503, match={"messageId": "m-1"})
        with Client(milonga.port, "k") as client:
            client.send([track(1, "ada", "acme"), track(2, "bob", "acme"), track(3, "ada", "acme")])
            client.send([track(4, "eve", "other")])
        eventually(lambda: "m-4" in _taken(hook), "another account waits for nobody")
        if passes:
            eventually(lambda: "m-2" in _taken(hook), "nor does another user")
        eventually(lambda: sum(seen.params["messageId"] == "m-1" for seen in hook.requests()) >= 3, "tried again")
        assert "m-3" not in _taken(hook)
        assert ("m-2" in _taken(hook)) is passes
        hook.behave_well()
        eventually(lambda: len(_taken(hook)) == 4, "all of them in the end")
        taken = _taken(hook)
        assert taken.index("m-1") < taken.index("m-3")
        assert (taken.index("m-2") < taken.index("m-1")) is passes


def _taken(hook: Receiving) -> list[str]:
    return [seen.params["messageId"] for seen in hook.accepted()]


def test_the_pretend_webhook_verifies_on_the_command_line_and_says_when_a_kind_signs_nothing(tmp_path: Path) -> None:
    def fake(*words: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "milonga", "fake", *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    unsigned = fake("totango", "--secret", SECRET)
    assert (unsigned.returncode, "totango believes everybody" in unsigned.stderr) == (2, True)
    wrong = fake("webhook", "--secret", "hush")
    assert (wrong.returncode, "begins with whsec_" in wrong.stderr) == (2, True)
    with subprocess.Popen(
        [sys.executable, "-m", "milonga", "fake", "webhook", "--port", "0", "--secret", SECRET],
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)", running.stdout.readline())
            assert found is not None
            assert _status(int(found[1]), b"{}", {}) == 401
        finally:
            running.terminate()
            running.wait(PATIENCE)
