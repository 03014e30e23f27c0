"""Receivers that repeat the request, head and all, in an error page. Nothing of a secret may stay with us."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.answering import answering
from tests.running import Client, Milonga, eventually, track

TOKEN, HOOK = "SECRETTOKEN1234/+=", "SECRETHOOK5678"
STATUSES = [500, 401, 400]


class Parrot(BaseHTTPRequestHandler):
    """Refuses everything, in turns as the moment's, the settings' and the event's fault."""

    protocol_version = "HTTP/1.1"
    calls = 0

    def do_POST(self) -> None:
        said = bytes(self.headers) + self.rfile.read(int(self.headers["Content-Length"]))
        Parrot.calls += 1
        self.send_response(STATUSES[Parrot.calls % 3])
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_secret_that_a_receiver_repeats_is_nowhere_on_disk_and_nowhere_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Parrot)) as server, Milonga(data) as milonga:
        url = f"http://127.0.0.1:{server.server_port}"
        milonga.say("sources", "add", "web", "--write-key", "k")
        totango = ("--set", "serviceId=SP-1", "--set", f"endpoint={url}", "--set", f"sdrToken={TOKEN}")
        milonga.say("destinations", "add", "totango", "--source", "web", *totango)
        webhook = ("--set", f"url={url}/hook", "--set", f"authorization=Bearer {HOOK}")
        milonga.say("destinations", "add", "webhook", "--source", "web", *webhook)
        milonga.start()
        with Client(milonga.port, "k") as client:
            client.send([track(n, f"u{n}", f"a{n}", properties={}) for n in range(12)])
        eventually(lambda: len(milonga.ask("dead", "list")) >= 2, "some refused for good")
        tries = [
            attempt["answer"]
            for n in range(12)
            for (story,) in [milonga.ask("explain", f"m-{n}")]
            for at in story["destinations"]
            for attempt in at["tries"]
        ]
        assert any("api-token=***" in answer for answer in tries), "what was repeated is kept, but for the secret"
        assert any("Authorization: ***" in answer for answer in tries)
        told = [milonga.say("explain", "m-0"), milonga.say("dead", "list", "--json"), milonga.log_text(), *tries]
        milonga.stop()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink())
    for secret in ("SECRETTO", "SECRETHO"):
        assert secret.encode() not in kept
        assert all(secret not in text for text in told)
