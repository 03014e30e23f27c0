"""Users are suppressed and deleted in a running server: no file has anything of them left, and nobody else notices."""

import json
import time
from pathlib import Path
from typing import Any

import apsw

from milonga.delivery.rows import DeadLetter
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.privacy.regulation import Kind, Status
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.e2e.conftest import KEY
from tests.events import stamp_of
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track

ADA = "ada.lovelace@example.com"
TRAITS = {"email": ADA, "street": "St James's Square 12"}
TRACES = (ADA.encode(), b"St James", b"ada-message", b"Secret Word")


def send(milonga: Milonga, *events: dict[str, Any]) -> None:
    with Client(milonga.port, KEY) as client:
        client.send(list(events))


def of_ada(number: int, account: str, **more: Any) -> dict[str, Any]:
    return track(
        number, ADA, account, **{"messageId": f"ada-message-{number}", "event": f"Secret Word {number}", **more}
    )


def kept(data: Path) -> tuple[int, int]:
    """Dead letters, and parked events, of the first destination."""
    try:
        reader = DeliveryReader(data / "delivery.db")
    except apsw.CantOpenError:
        return 0, 0  # delivery has not begun yet
    try:
        return reader.dead_count(1), reader.parked_count(1)
    finally:
        reader.close()


def has_got(totango: Receiving, activity: str) -> bool:
    return any(seen.params.get("sdr_a") == activity for seen in totango.accepted())


def traces(data: Path) -> list[str]:
    """Files in which something of Ada can be found."""
    files = [path for path in data.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(data)) for path in files if any(one in path.read_bytes() for one in TRACES))


def test_a_deleted_user_is_gone_from_everywhere_and_nobody_else_is_touched(
    milonga: Milonga, totango: Receiving
) -> None:
    data = milonga.data
    totango.behave(status=503, match={"sdr_o": "parked"})
    totango.behave(status=400, match={"sdr_o": "dead"})
    send(
        milonga,
        {"type": "identify", "userId": ADA, "traits": TRAITS, "messageId": "ada-message-1"},
        {"type": "group", "userId": ADA, "groupId": "acme", "traits": {"name": "Acme"}, "messageId": "ada-message-2"},
        {"type": "alias", "userId": "countess", "previousId": ADA, "messageId": "ada-message-3"},
        {"type": "group", "userId": "bob", "groupId": "acme", "traits": {"name": "Acme"}, "messageId": "bob-group"},
        of_ada(4, "acme"),
        of_ada(5, "dead"),
        track(6, "bob", "dead"),
        {"type": "track", "userId": ADA, "properties": TRAITS, "messageId": "ada-message-7"},  # no event: discarded
        *(of_ada(100 + n, "parked") for n in range(130)),
        track(8, "bob", "parked"),
        track(9, "bob", "acme"),
    )
    eventually(lambda: kept(data) >= (2, 100), "dead letters and parked events")
    eventually(lambda: has_got(totango, "e-9"), "bob's, and ada's before it")
    assert {name.split("/")[0] for name in traces(data)} >= {"log", "delivery.db", "delivery.db-wal"} - {"delivery.db"}

    done = json.loads(milonga.say("regulations", "delete", ADA, "--suppress", "--yes", "--wait", "60", "--json"))[0]
    assert done["status"] == "FINISHED", done
    assert done["kind"] == "SUPPRESS_WITH_DELETE_INTERNAL"
    assert done["erased"]["events"] == 135
    assert done["erased"]["deadLetters"] == 1
    assert done["erased"]["samples"] == 1
    assert traces(data) == []

    (story,) = milonga.ask("explain", "ada-message-150")
    assert story["erased"]["regulation"] == done["id"]
    assert (story["userId"], story["event"]) == (None, {})
    (at,) = story["destinations"]
    assert (at["state"], at["code"]) == ("skipped", "user_deleted")
    assert "Erased since they came: 135 of" in milonga.run("explain", "--user", ADA).stderr
    assert kept(data)[0] == 1, "bob's dead letter"
    sent = len([seen for seen in totango.requests() if seen.params.get("sdr_u") == ADA])

    totango.behave_well()
    with Workspace.open(data) as workspace:
        workspace.change_state(1, DestinationState.paused, "test", "", {0: 0})
        workspace.change_state(1, DestinationState.on, "test", "", {0: 0})  # nothing waits for its next try any more
    eventually(lambda: has_got(totango, "e-8"), "what waited of others goes out")
    send(milonga, of_ada(300, "acme"), track(301, "bob", "acme"), {"type": "track", "userId": ADA, "event": 5})
    eventually(lambda: has_got(totango, "e-301"), "bob goes on")
    assert len([seen for seen in totango.requests() if seen.params.get("sdr_u") == ADA]) == sent
    assert "user_suppressed" in milonga.say("events", "counts")
    milonga.stop()
    assert traces(data) == []

    milonga.start()
    send(milonga, of_ada(400, "acme"))
    assert traces(data) == []
    milonga.say("regulations", "unsuppress", ADA, "--wait", "60")
    send(milonga, of_ada(401, "acme"))
    eventually(lambda: has_got(totango, "Secret Word 401"), "welcome again")


def test_a_deletion_survives_a_kill_of_either_process(milonga: Milonga, totango: Receiving) -> None:
    data = milonga.data
    totango.behave(status=400, match={"sdr_o": "dead"})
    send(milonga, *(of_ada(n, "dead" if n % 2 else "acme") for n in range(60)), track(900, "bob", "acme"))
    eventually(lambda: kept(data)[0] == 30, "dead letters")
    with Workspace.open(data) as workspace:
        regulations = workspace.regulations
        asked = regulations.create(Kind.suppress_with_delete_internal, [ADA]).id
        eventually(lambda: regulations.regulation(asked).upto is not None, "begun")
        milonga.kill_delivery()
        eventually(lambda: regulations.regulation(asked).delivery_at is not None, "delivery's part, by the next one")
        milonga.kill_collector()
        milonga.start()
        eventually(lambda: regulations.regulation(asked).ended_at is not None, "the end")
        ended = regulations.regulation(asked)
        assert ended.status is Status.finished, ended
    assert traces(data) == []
    assert kept(data)[0] == 0
    send(milonga, track(901, "bob", "acme"), of_ada(902, "acme"))
    eventually(lambda: has_got(totango, "e-901"), "bob goes on")
    assert not has_got(totango, "Secret Word 902")
    assert milonga.ask("check")["problems"] == []


def test_a_backup_does_not_bring_back_whom_it_was_told_about(
    milonga: Milonga, totango: Receiving, tmp_path: Path
) -> None:
    totango.behave(status=400, match={"sdr_o": "dead"})
    totango.behave(status=503, match={"sdr_o": "later"})
    odd = "ada-message \0 Secret Word"
    send(
        milonga,
        of_ada(1, "acme"),
        of_ada(2, "dead"),
        of_ada(3, "later"),
        {"type": "alias", "userId": "countess", "previousId": ADA, "messageId": "ada-message-4"},
        {"type": "track", "userId": ADA, "properties": TRAITS, "messageId": "ada-message-5"},  # no event: discarded
        track(6, odd, "acme", messageId="odd"),
        track(7, "bob", "later"),
        track(8, "bob", "acme"),
    )
    eventually(lambda: kept(milonga.data)[0] == 1 and has_got(totango, "e-8"), "a dead letter")
    milonga.say("backup", str(tmp_path / "monday"))
    ids = tmp_path / "ids.jsonl"
    ids.write_text(json.dumps(odd) + "\n")
    milonga.say("regulations", "delete", ADA, "--yes", "--wait", "60")
    milonga.say("regulations", "delete", "--suppress", "--json-lines", str(ids), "--yes", "--wait", "60")
    milonga.stop()
    assert traces(milonga.data) == []

    restored = Milonga(tmp_path / "new" / "data")
    restored.data.parent.mkdir()
    done = restored.ask("restore", str(tmp_path / "monday"), "--regulations-of", str(milonga.data))
    assert (done["regulationsTakenOver"], done["usersToErase"], done["notLookedThrough"]) == (2, 2, [])
    totango.clear()
    totango.behave_well()
    with restored, Workspace.open(restored.data) as workspace:
        restored.start()
        eventually(lambda: not workspace.regulations.open(), "erased again")
        eventually(lambda: has_got(totango, "e-7"), "what waited of others goes out")
        assert {seen.params.get("sdr_u") for seen in totango.requests()} == {"bob"}, "and nothing of the others"
        assert kept(restored.data)[0] == 0
        send(restored, of_ada(9, "acme"), track(10, odd, "acme"), track(11, "bob", "acme"))
        eventually(lambda: has_got(totango, "Secret Word 9") and has_got(totango, "e-11"), "she was not suppressed")
        assert not has_got(totango, "e-10"), "that one was"
        assert workspace.regulations.suppressed(odd) == {None: 2}
        assert restored.ask("check")["problems"] == []


def test_dead_letters_go_after_as_many_days_as_the_server_was_told(tmp_path: Path) -> None:
    data, now = tmp_path / "data", int(time.time() * 1000)
    with Milonga(data, "--keep-dead", "2") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        milonga.say("destinations", "add", "webhook", "--source", "web", "--set", "url=https://hook.example")
        store = DeliveryStore(data / "delivery.db")
        with store.transaction():
            for days in (1, 3, 30):
                store.add_dead(dead_letter(days, died_at=now - days * 86_400_000))
        store.close()
        milonga.start()
        eventually(lambda: kept(data)[0] == 1, "the young one stays")


def dead_letter(offset: int, died_at: int) -> DeadLetter:
    return DeadLetter(
        destination=1,
        position=Position(0, offset),
        died_at=died_at,
        code="http_400",
        reason="No.",
        parts=frozenset(),
        event=Stamped(stamp_of(), b"{}"),
    )
