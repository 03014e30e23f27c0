"""A running server, repaired from another machine: `milonga --server`, through its console's own port."""

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.commands import Done
from tests.commands import milonga as command
from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import PATIENCE, Client, Milonga, eventually, track


def test_a_server_elsewhere_is_looked_at_and_repaired(tmp_path: Path, totango: Receiving) -> None:
    data = tmp_path / "data"
    at = ("--data", str(data))
    assert command("sources", "add", "web", "--write-key", KEY, *at).returncode == 0
    token = command("tokens", "create", "ci", "--role", "editor", *at).stdout.strip()
    with Milonga(data, console=True).start() as running:

        def elsewhere(*words: str) -> Done:
            done = command(*words, env={"MILONGA_URL": running.console_url, "MILONGA_TOKEN": token})
            assert done.returncode == 0, (words, done)
            return done

        def asked(*words: str) -> Any:
            return json.loads(elsewhere(*words, "--json").stdout)

        totango.behave(status=400)
        endpoint = f"endpoint={totango.url}/pixel.gif/"
        elsewhere("destinations", "add", "totango", "--source", "web", "--set", "serviceId=SP-1", "--set", endpoint)
        with Client(running.port, KEY) as client:
            client.send([track(1, "ada", "acme")])
        eventually(lambda: len(asked("dead", "list")) == 1, "a dead letter")
        totango.behave_well()
        done = elsewhere("dead", "resend", "--all")
        assert done.stdout == "1 dead letter resent.\n" or "the server is busy" in done.stderr
        eventually(lambda: asked("explain", "m-1")[0]["destinations"][0]["state"] == "delivered", "delivered")
        assert asked("destinations", "show", "totango")["serverRunning"] is True
        assert command("regulations", "suppress", "ada", env={"MILONGA_URL": running.console_url}).returncode == 1

        tracking = HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
        tracking.request("GET", "/api/v1/sources", headers={"Authorization": f"Bearer {token}"})
        answer = tracking.getresponse()
        assert answer.status == 404  # the port that takes events has none of it
        answer.read()
        tracking.close()
    by = json.loads(command("audit", "--json", "--by", "token:ci", *at).stdout)
    assert {"destination.added", "command.resend"} <= {one["what"] for one in by}
