"""The index follows its log: what is dropped, erased, lost or damaged; and a maker that is killed."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from milonga.eventlog.segment import create, list_segments
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from milonga.index.files import Files
from milonga.index.index import EventIndex
from milonga.index.search import Query
from milonga.index.stretch import Stretch, open_path
from milonga.privacy.regulation import Deletion, Kind
from milonga.workspace.store import Workspace
from tests.running import eventually

from ..eventlog.segments import settled
from .asking import in_peace, pages
from .model import NOW, Told

ADA = Deletion(7, None, frozenset(["ada-lovelace"]), {0: 10_000})
SEGMENT = 100


def event(number: int) -> Told:
    """Every fifth is Ada's, in an account of her own every tenth; Bob's, and a group call now and then."""
    message = f"m-{number}"
    if number % 10 == 4:
        return Told(
            type="group", account="ada-own", user="ada-lovelace", name="Countess", at=NOW + number, message=message
        )
    if number % 5 == 4:
        return Told(
            type="track",
            account="acme",
            user="ada-lovelace",
            name="Secret of ada-lovelace",
            at=NOW + number,
            message=message,
        )
    if number % 10 == 0:
        return Told(type="group", account="acme", user="bob", name="ACME", at=NOW + number, message=message)
    account = None if number % 10 == 1 else "acme"
    return Told(
        type="track", account=account, user="bob", name="Paid", category="Billing", at=NOW + number, message=message
    )


async def open_log(data: Path) -> SqliteLog:
    return await SqliteLog.open(data / "log", seal_at=SealAt(events=SEGMENT), reserve=0)


async def append(data: Path, first: int, last: int) -> None:
    log = await open_log(data)
    for begin in range(first, last, 50):
        await log.append([event(number).stamped() for number in range(begin, min(begin + 50, last))])
    await settled(data / "log")
    await log.close()


async def append_told(data: Path, events: list[Told]) -> None:
    log = await open_log(data)
    await log.append([one.stamped() for one in events])
    await log.close()


@contextmanager
def made(data: Path) -> Iterator[EventIndex]:
    """An index that has read all there is."""
    index = EventIndex(data, reserve=0, rest=0.0, part=64, clock=lambda: NOW)
    index.start()
    try:
        eventually(lambda: index.standing.settled, "all is read")
        with in_peace():
            yield index
    finally:
        index.stop()


def numbers(index: EventIndex, query: Query) -> list[int]:
    """Of what is found, oldest first."""
    return sorted(offset - 1 for offset in pages(index, query, 1_000))


def all_of(fits: Callable[[Told], bool], count: int, first: int = 0) -> list[int]:
    return [number for number in range(first, count) if fits(event(number))]


def is_bobs(one: Told) -> bool:
    return one.user == "bob"


def holds(folder: Path, text: bytes) -> list[str]:
    """Names of the files that do; a file that goes away meanwhile means another look at all of them."""
    while True:
        with suppress(FileNotFoundError):
            return [path.name for path in folder.iterdir() if text in path.read_bytes()]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_it_gets_on_also_while_somebody_waits_for_an_answer_all_the_time(tmp_path: Path) -> None:
    run(append(tmp_path, 0, 250))
    index = EventIndex(tmp_path, reserve=0, rest=0.0, part=64, clock=lambda: NOW, busy=lambda: True)
    index.start()
    try:
        eventually(lambda: index.standing.settled, "all is read")
        assert numbers(index, Query(user="bob")) == all_of(is_bobs, 250)
    finally:
        index.stop()


def test_it_goes_on_where_it_was_and_follows_as_events_come(tmp_path: Path) -> None:
    run(append(tmp_path, 0, 250))
    with made(tmp_path) as index:
        run(append(tmp_path, 250, 333))
        eventually(lambda: index.standing.settled and index.standing.upto == 333, "it has read the new ones")
        assert numbers(index, Query(user="bob")) == all_of(is_bobs, 333)
    run(append(tmp_path, 333, 420))
    with made(tmp_path) as index:
        assert numbers(index, Query(user="bob")) == all_of(is_bobs, 420)
        assert index.catalogue().modules.shown[0].n == len(all_of(lambda one: one.category == "Billing", 420))
        assert (index.standing.behind, index.standing.is_fresh) == (0, True)


def test_what_has_just_come_is_found_before_the_index_has_it(tmp_path: Path) -> None:
    async def append_and_ask(index: EventIndex) -> None:
        log = await open_log(tmp_path)
        await log.append([event(number).stamped() for number in range(60, 90)])
        found = await asyncio.to_thread(pages, index, Query(user="bob"), 7)
        assert [offset - 1 for offset in found] == all_of(is_bobs, 90)[::-1]
        tally = await asyncio.to_thread(lambda: index.tally(user="bob"))
        assert tally is not None
        assert tally.events == len(found)
        await log.close()

    run(append(tmp_path, 0, 60))
    with made(tmp_path) as index:
        run(append_and_ask(index))


def test_what_takes_too_long_is_counted_up_to_there_and_that_is_told(tmp_path: Path) -> None:
    run(append(tmp_path, 0, 250))
    with made(tmp_path) as index, pytest.MonkeyPatch.context() as patch:
        patch.setattr("milonga.index.counting.BUDGET", -1.0)
        tally = index.tally(user="bob")
    assert tally is not None
    assert (tally.events, tally.types, tally.first, tally.is_complete) == (0, {}, None, False)


def test_what_the_log_drops_goes_from_the_index_but_accounts_are_remembered(tmp_path: Path) -> None:
    async def drop() -> None:
        log = await open_log(tmp_path)
        await log.trim(0, 200)
        await log.close()

    run(append(tmp_path, 0, 350))
    with made(tmp_path) as index:
        run(drop())
        eventually(lambda: len(list((tmp_path / "index").glob("*[0-9].db"))) == 1, "two files are gone")
        assert numbers(index, Query(user="bob")) == all_of(is_bobs, 350, 200)
        acme = index.account("acme")
        assert acme is not None
        assert (acme.first_at, acme.name) == (event(0).at, "ACME")
        assert acme.events == len(all_of(lambda one: one.account == "acme", 350, 200))


@pytest.mark.parametrize("beside", [True, False], ids=["while it runs", "while it does not"])
def test_an_erased_user_vanishes_from_every_file(tmp_path: Path, beside: bool) -> None:
    async def erase() -> None:
        log = await open_log(tmp_path)
        while True:
            try:
                await log.erase([ADA], at=NOW, salt=b"s" * 32)
                break
            except apsw.BusyError:  # the index reads just now
                continue
        await log.close()

    run(append(tmp_path, 0, 250))
    with made(tmp_path) as index:
        assert numbers(index, Query(user="ada-lovelace")) == all_of(lambda one: one.user == "ada-lovelace", 250)
        assert index.account("ada-own") is not None
        assert holds(tmp_path / "index", b"ada-lovelace")
        if beside:
            run(erase())
            eventually(lambda: not holds(tmp_path / "index", b"ada-lovelace"), "nothing is left of her")
            eventually(lambda: index.standing.settled, "all is made again")
            check_erased(index)
            eventually(lambda: not holds(tmp_path / "index", b"Countess"), "nothing is left of her account")
    if not beside:
        run(erase())
        with made(tmp_path) as index:
            check_erased(index)
    assert not holds(tmp_path / "index", b"ada-lovelace")
    assert not holds(tmp_path / "index", b"Countess")


def check_erased(index: EventIndex) -> None:
    assert numbers(index, Query(user="ada-lovelace")) == []
    assert numbers(index, Query(user="bob")) == all_of(is_bobs, 250)
    assert index.account("ada-own") is None
    assert [one.id for one in index.accounts().accounts] == ["acme"]
    acme = index.account("acme")
    assert acme is not None
    assert [usage.text for usage in acme.newest_users] == ["bob"]
    assert {one.text for one in index.catalogue().activities.shown} == {"Paid"}
    assert index.without_account(NOW - 1, NOW + 10_000).nameable == len(all_of(lambda one: one.account is None, 250))


def test_an_account_called_like_a_deleted_user_is_forgotten_though_the_log_has_dropped_it(tmp_path: Path) -> None:
    async def drop() -> None:
        log = await open_log(tmp_path)
        await log.trim(0, 204)
        await log.close()

    def ask(*users: str) -> None:
        """As the two halves of a server would carry it out: nothing of it is in the log or with delivery."""
        with Workspace.open(tmp_path) as workspace:
            id_ = workspace.regulations.create(Kind.delete_internal, users).id
            workspace.regulations.begin([id_], {0: 350})
            workspace.regulations.delivery_done([id_], {})
            workspace.regulations.log_done([id_], {}, [])
            workspace.regulations.finish([id_])

    old = [
        Told(type="group", account="ada-lovelace", user="x", name="Herself", message="o-1", at=NOW),
        Told(type="track", account="acme", user="x", name="Mailed ada-lovelace again", message="o-2", at=NOW),
    ]
    run(append_told(tmp_path, old))
    run(append(tmp_path, 0, 348))
    with made(tmp_path) as index:
        run(drop())
        eventually(lambda: len(list((tmp_path / "index").glob("*[0-9].db"))) == 1, "two files are gone")
        assert "ada-lovelace" in [one.id for one in index.accounts().accounts]
        ask("ada-lovelace")
        eventually(lambda: "ada-lovelace" not in [one.id for one in index.accounts().accounts], "it is forgotten")
        assert "acme" in [one.id for one in index.accounts().accounts]
        assert "Mailed ada-lovelace again" not in [one.text for one in index.catalogue().activities.shown]
        assert "Paid" in [one.text for one in index.catalogue().activities.shown]
        eventually(lambda: not holds(tmp_path / "index", b"Herself"), "nothing is left in any file")


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["0000000000000001.db", "0000000000000201.open.db", "memory.db"])
def test_a_damaged_file_is_made_again(tmp_path: Path, name: str) -> None:
    run(append(tmp_path, 0, 270))
    with made(tmp_path):
        pass
    for companion in (tmp_path / "index").glob(f"{name}-*"):
        companion.unlink()
    damage(tmp_path / "index" / name)
    index = EventIndex(tmp_path, reserve=0, rest=0.0, part=64, clock=lambda: NOW)
    index.start()
    try:

        def is_whole_again() -> bool:
            found = numbers(index, Query(user="bob"))
            said = [one.n for one in index.catalogue().activities.shown if one.text == "Paid"]
            return found == all_of(is_bobs, 270) and said == [len(all_of(lambda one: one.name == "Paid", 270))]

        eventually(is_whole_again, "the damaged file is made again")
    finally:
        index.stop()


@pytest.mark.parametrize("name", ["0000000000000001.db", "memory.db"])
def test_a_file_of_an_unknown_format_is_made_again(tmp_path: Path, name: str) -> None:
    run(append(tmp_path, 0, 270))
    with made(tmp_path):
        pass
    db = apsw.Connection(str(tmp_path / "index" / name))
    db.pragma("user_version", 99)
    db.close()
    with made(tmp_path) as index:
        assert numbers(index, Query(user="bob")) == all_of(is_bobs, 270)
        assert {one.text for one in index.catalogue().activities.shown} == {"Paid", "Secret of ada-lovelace"}


def test_another_log_in_its_place_makes_it_begin_anew(tmp_path: Path) -> None:
    run(append(tmp_path, 0, 250))
    with made(tmp_path):
        pass
    for path in sorted((tmp_path / "log").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    run(append(tmp_path, 0, 30))
    with made(tmp_path) as index:
        assert numbers(index, Query(user="bob")) == all_of(is_bobs, 30)
        assert index.catalogue().modules.shown[0].n == len(all_of(lambda one: one.category == "Billing", 30))


def test_a_second_maker_waits_and_says_so(tmp_path: Path) -> None:
    run(append(tmp_path, 0, 30))
    with made(tmp_path) as index:
        other = EventIndex(tmp_path, reserve=0)
        other.start()
        try:
            eventually(lambda: "another process" in other.standing.trouble, "it says why it does not get on")
            assert numbers(other, Query(user="bob")) == []  # what the first has in memory is unknown to it
        finally:
            other.stop()
        assert numbers(index, Query(user="bob")) == all_of(is_bobs, 30)


MAKER = """
import sys, time
from pathlib import Path
from milonga.index.index import EventIndex
index = EventIndex(Path(sys.argv[1]), reserve=0, rest=0.0, part=64)
index.start()
print("begun", flush=True)
while True:
    time.sleep(0.005)
    print(index.standing.upto, flush=True)
"""


@pytest.mark.parametrize("at", [1, 260])
def test_a_maker_that_is_killed_loses_and_doubles_nothing(tmp_path: Path, at: int) -> None:
    run(append(tmp_path, 0, 500))
    with subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        for line in maker.stdout:
            if line.strip().isdigit() and int(line) >= at:
                os.kill(maker.pid, signal.SIGKILL)
                break
        maker.wait()
    run(append(tmp_path, 500, 530))
    with made(tmp_path) as index:
        assert numbers(index, Query(user="bob")) == all_of(is_bobs, 530)
        shown = {one.text: one.n for one in index.catalogue().activities.shown}
        assert shown["Paid"] == len(all_of(lambda one: one.name == "Paid", 530))
        acme = index.account("acme")
        assert acme is not None
        assert acme.events == len(all_of(lambda one: one.account == "acme", 530))
        assert list_segments(tmp_path / "log")[0] == 1


def test_a_file_that_is_just_being_made_is_left_out(tmp_path: Path) -> None:
    """Its journal says that something is begun, which who only reads cannot undo."""
    index, log, draft = tmp_path / "index", tmp_path / "log", tmp_path / "draft.db"
    index.mkdir()
    log.mkdir()
    create(log, 1, NOW)
    with closing(apsw.Connection(str(draft))) as db:
        db.pragma("cache_size", 1)
        db.execute("CREATE TABLE begun (value); INSERT INTO begun VALUES (1); BEGIN")
        for _ in range(50):
            db.execute("INSERT INTO begun VALUES (zeroblob(9000)); UPDATE begun SET value = 2 WHERE value = 1")
        shutil.copy(draft, open_path(index, 1))
        shutil.copy(f"{draft}-journal", f"{open_path(index, 1)}-journal")
    with pytest.raises(apsw.ReadOnlyError):
        Stretch(open_path(index, 1), 1, closed=False)
    assert list(Files(index, log).pieces()) == []
