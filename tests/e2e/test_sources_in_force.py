"""Settings of a source in a running server: in force within seconds, no restart; and what it knows after one."""

import json
import ssl
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPSConnection
from itertools import count
from pathlib import Path

from milonga.eventlog.lookup import EventLookup
from milonga.spec.read import read_stamped
from tests.collector.test_tls import make, trusting
from tests.running import Milonga, eventually, track

KEY = "k-test"
SITE = {"Origin": "https://www.example.com"}
numbers = count()


def post(
    milonga: Milonga, account: str = "acme", headers: Mapping[str, str] = {}, context: ssl.SSLContext | None = None
) -> int:
    """A new event each time; the status."""
    body = json.dumps({"writeKey": KEY, "batch": [track(next(numbers), "u", account)]})
    connection = (
        HTTPConnection("127.0.0.1", milonga.port, timeout=10)
        if context is None
        else HTTPSConnection("localhost", milonga.port, timeout=10, context=context)
    )
    with closing(connection):
        connection.request("POST", "/v1/batch", body, dict(headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status


def discarded(milonga: Milonga) -> dict[str, int]:
    """Events by code."""
    return {row["code"]: row["events"] for row in milonga.ask("events", "discarded")["counts"]}


def test_a_setting_of_a_source_is_in_force_without_a_restart(tmp_path: Path) -> None:
    with Milonga(tmp_path / "data") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        milonga.start()
        assert post(milonga, headers=SITE) == 200
        milonga.say("sources", "set", "web", "origins=https://other.example")
        eventually(lambda: post(milonga, headers=SITE) == 403, "the site is refused")
        assert post(milonga) == 200
        milonga.say("sources", "set", "web", "--unset", "origins")
        eventually(lambda: post(milonga, headers=SITE) == 200, "the site is taken again")
        milonga.say("sources", "set", "web", "rateLimit=1")
        eventually(lambda: post(milonga) == 429, "the limit holds")
        milonga.say("sources", "set", "web", "rateLimit=0")
        eventually(lambda: post(milonga) == 200, "the limit is gone")
        milonga.say("sources", "set", "web", "enabled=false")

        def is_off() -> bool:
            assert post(milonga) == 200
            return "source_disabled" in discarded(milonga)

        eventually(is_off, "the source is off")
        assert discarded(milonga).keys() == {"origin_not_allowed", "source_disabled"}


def test_accounts_that_are_in_the_log_are_not_new_after_a_restart(tmp_path: Path) -> None:
    with Milonga(tmp_path / "data") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        milonga.start()
        for number in range(5):
            assert post(milonga, f"old-{number}") == 200
        milonga.say("sources", "set", "web", "newAccountsCap=2", "newAccountsAlarm=1")
        milonga.stop()
        milonga.start()
        made_up = count()

        def refuses() -> bool:
            assert post(milonga, f"new-{next(made_up)}") == 200
            return "too_many_new_accounts" in discarded(milonga)

        eventually(refuses, "the cap holds once the log was read")
        before = discarded(milonga)
        for number in range(5):
            assert post(milonga, f"old-{number}") == 200
        assert discarded(milonga) == before
        assert milonga.log_text().count('"event": "new_accounts"') == 1


def test_a_server_with_a_certificate_speaks_tls_only_and_believes_its_proxy(tmp_path: Path) -> None:
    cert, key = make(tmp_path / "tls")
    options = ("--tls-cert", str(cert), "--tls-key", str(key), "--trusted-proxy", "127.0.0.0/8")
    with Milonga(tmp_path / "data", *options) as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        milonga.say("sources", "set", "web", "ip=always")
        milonga.start()
        assert milonga.url.startswith("https://")
        forwarded = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        assert post(milonga, headers=forwarded, context=trusting(cert)) == 200
        with closing(HTTPSConnection("localhost", milonga.port, timeout=10, context=trusting(cert))) as connection:
            connection.request(
                "GET", f"/v1/projects/{KEY}/settings", headers={"X-Forwarded-Host": "events.example.com"}
            )
            answer = connection.getresponse()
            settings = json.loads(answer.read())
        assert answer.status == 200
        assert settings["integrations"]["Segment.io"]["apiHost"] == "events.example.com/v1"
        (stored,) = EventLookup(milonga.data / "log").newest(1)
        assert read_stamped(stored.event).context["ip"] == "203.0.113.9"
