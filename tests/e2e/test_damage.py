"""
Files that were damaged or lost while the server was stopped: it starts, goes on delivering, sends nothing of what it
knows to be delivered again, and says what is lost.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from milonga.delivery.store_reader import DeliveryReader
from milonga.destinations.totango.fake import pretend
from tests.e2e.conftest import KEY
from tests.receiving import Receiving, duplicates
from tests.running import Client, Milonga, eventually, track

OLD = 30  #: events delivered before


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, receiver: Receiving) -> Path:
    """A folder with a data directory and its key, in which all is delivered."""
    folder = tmp_path_factory.mktemp("before")
    with Milonga(folder / "data") as milonga:
        milonga.say("sources", "add", "web", "--write-key", KEY)
        settings = ("--set", "serviceId=SP-1", "--set", f"endpoint={receiver.url}")
        milonga.say("destinations", "add", "totango", "--source", "web", *settings)
        milonga.start()
        send(milonga, 0, OLD)
        eventually(lambda: milonga.explain(f"m-{OLD - 1}")["state"] == "delivered", "all of them delivered")
    return folder


def send(milonga: Milonga, begin: int, end: int) -> None:
    with Client(milonga.port, KEY) as client:
        client.send([track(n, f"u{n % 5}", "acme") for n in range(begin, end)])


def garbage(path: Path) -> None:
    path.write_bytes(b"no database " * 2_000)
    lose_companions(path)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    lose_companions(path)


def lost(path: Path) -> None:
    path.unlink()
    lose_companions(path)


def lose_companions(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


SEGMENT, OUTCOMES, STORE = "log/0000000000000001.db", "outcomes/00000001.db", "delivery.db"

Damage = list[tuple[str, Callable[[Path], None]]]

CASES: dict[str, tuple[Damage, str]] = {
    "the store of delivery is garbage": ([(STORE, garbage)], "delivery.store_damaged"),
    "the newest outcomes are cut in half": ([(OUTCOMES, cut_in_half)], "outcomes.damaged"),
    "the log is garbage": ([(SEGMENT, garbage)], "segment_damaged"),
    "the log is lost": ([(SEGMENT, lost)], "log_lost"),
    "all of it is garbage": ([(SEGMENT, garbage), (STORE, garbage), (OUTCOMES, garbage)], "segment_damaged"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_goes_on_and_says_what_is_lost(case: str, before: Path, receiver: Receiving, tmp_path: Path) -> None:
    shutil.copytree(before, tmp_path, dirs_exist_ok=True)
    (tmp_path / "server.log").unlink()
    damage, told = CASES[case]
    for name, spoil in damage:
        spoil(tmp_path / "data" / name)
    receiver.clear()
    with Milonga(tmp_path / "data") as milonga:
        milonga.start()
        send(milonga, OLD, OLD + 5)
        fresh = {f"e-{n}" for n in range(OLD, OLD + 5)}
        eventually(lambda: {seen.params["sdr_a"] for seen in receiver.accepted()} >= fresh, "new ones delivered", 20)
        eventually(lambda: milonga.explain(f"m-{OLD}")["state"] == "delivered", "recorded", 20)
        assert milonga.explain(f"m-{OLD}")["before"] == [], "outcomes of other events are not its own"
        assert milonga.stop() == 0
        log = milonga.log_text()
    assert {seen.params["sdr_a"] for seen in receiver.accepted()} == fresh
    assert duplicates(receiver.accepted()) == 0
    assert told in log
    assert "process.died" not in log
    assert "cannot_record" not in log
    for name, spoil in damage:
        kept = list((tmp_path / "data" / name).parent.glob(f"{Path(name).name}.damaged-*"))
        assert len(kept) == (spoil is not lost), "set aside, not thrown away"


def test_older_outcomes_that_cannot_be_read_are_named_by_explain_and_hold_nothing_up(
    before: Path, receiver: Receiving, tmp_path: Path
) -> None:
    shutil.copytree(before, tmp_path, dirs_exist_ok=True)
    outcomes = tmp_path / "data" / "outcomes"
    (outcomes / "00000001.db").rename(outcomes / "00000002.db")
    garbage(outcomes / "00000001.db")
    receiver.clear()
    with Milonga(tmp_path / "data") as milonga:
        milonga.start()
        send(milonga, OLD, OLD + 5)
        eventually(lambda: milonga.explain(f"m-{OLD + 4}")["state"] == "delivered", "new ones delivered", 20)
        explained = milonga.run("explain", "m-0")
        assert explained.returncode == 0
        assert "outcomes/00000001.db cannot be read" in explained.stderr
        eventually(lambda: "outcomes.unreadable" in milonga.log_text(), "the clean-up names it", 20)
    assert len(receiver.accepted()) == 5


def test_a_destination_that_was_removed_while_no_server_ran_holds_the_log_no_longer(
    before: Path, tmp_path: Path
) -> None:
    shutil.copytree(before, tmp_path, dirs_exist_ok=True)
    with Milonga(tmp_path / "data") as milonga:
        (number,) = [one["id"] for one in milonga.ask("destinations", "list")]
        assert remembered(milonga, number)
        milonga.say("destinations", "remove", "totango", "--yes")
        assert remembered(milonga, number)
        milonga.start()
        eventually(lambda: not remembered(milonga, number), "forgotten", 20)


def remembered(milonga: Milonga, destination: int) -> bool:
    reader = DeliveryReader(milonga.data / "delivery.db")
    try:
        return reader.position(destination, 0) is not None
    finally:
        reader.close()
