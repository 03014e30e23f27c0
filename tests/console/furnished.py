"""A workspace with something of everything: what the pages are looked at with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from milonga.destinations.totango.fake import pretend
from milonga.outcomes.reader import OutcomeReader
from milonga.privacy.regulation import Kind
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.console import under_way
from tests.console.harness import Console, console_of
from tests.receiving import Receiving
from tests.running import Client, eventually

KEY = "k-furnished"
ACCOUNTS = (("acme", "Acme Corporation"), ("initech", "Initech"), ("hooli", "Hooli"), ("umbrella", "Umbrella & Sons"))
NOTHING = {0: 0}  #: the log's end while it is empty
MODULES = ("Reports", "Billing", "Dashboards", "Settings", "Onboarding", "Exports")


@contextmanager
def furnished(folder: Path, *, busy: bool = False) -> Iterator[Console]:
    """
    Two sources (one that has sent, one that never has), a Totango that takes all but one event, one that is paused and
    one that is not set up; events of four accounts, some without any; skips, a dead letter, discarded events.

    busy  beside them what does not stand still (tests/console/under_way.py)
    """
    with Receiving(pretend) as totango, console_of(folder) as console:
        totango.behave(status=400, match={"sdr_a": "Refused Purchase"})
        on, paused, off = DestinationState.on, DestinationState.paused, DestinationState.off
        address = {"endpoint": f"{totango.url}/pixel.gif/"}
        with Workspace.open(console.data) as workspace:
            workspace.sources.add("web", KEY)
            workspace.sources.add("ios-app")
            workspace.add_destination("totango", "web", "totango", {"serviceId": "SP-12345-01", **address}, on, NOTHING)
            rules = [{"name": "no-tests", "do": "drop", "when": 'event.startsWith("Test")'}]
            workspace.set_settings("totango", {"filters": rules, "sdrToken": "s-1", "region": "eu1"}, by="user:ada")
            workspace.add_destination("totango", "web", "totango-emea", {"serviceId": "SP-2-01"}, on, NOTHING)
            workspace.change_state("totango-emea", paused, "cli", "waits for their go-ahead", NOTHING)
            workspace.add_destination("webhook", "ios-app", "warehouse", {}, off, NOTHING)
            workspace.regulations.create(Kind.suppress_with_delete_internal, ["gone@example.com"], by="user:ada")
            workspace.regulations.create(Kind.suppress_only, ["jo@example.com", "flo@example.com"], "web", by="cli")
        with Client(console.milonga.port, KEY) as client:
            client.send(events())
        eventually(lambda: ended(console) >= 60, "most events have come to their end")
        if busy:
            under_way.begin(console, totango, KEY)
        yield console


def events() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number, (account, name) in enumerate(ACCOUNTS):
        for person in range(3):
            found += of_user(f"{account}-user-{person}", account, name, MODULES[: 3 + number], person)
    refused = {"type": "track", "userId": "acme-user-0", "event": "Refused Purchase", "context": {"groupId": "acme"}}
    found.append({**refused, "messageId": "m-refused"})
    found += [
        {"type": "track", "userId": f"{account}-user-0", "event": "Server Side Job", "messageId": f"m-job-{account}"}
        for account, _ in ACCOUNTS
    ]
    found.append({"type": "track", "userId": "u-lost"})  # without a name: discarded
    return [{"messageId": f"m-{place}", **event} for place, event in enumerate(found)]


def of_user(user: str, account: str, name: str, modules: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    context = {"groupId": account}
    yield {"type": "identify", "userId": user, "traits": {"email": f"{user}@{account}.example"}, "context": context}
    yield {"type": "group", "userId": user, "groupId": account, "traits": {"name": name, "plan": "Paying"}}
    for module in modules:
        yield {"type": "page", "userId": user, "name": module, "category": module, "context": context}
    properties = {"category": "Reports", "rows": rows}
    yield {"type": "track", "userId": user, "event": "Created Report", "properties": properties, "context": context}


def ended(console: Console) -> int:
    return sum(OutcomeReader(console.data / "outcomes").totals().values())
