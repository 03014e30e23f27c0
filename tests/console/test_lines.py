"""Pages that wait, or work for seconds: those of one line leave all other pages as quick as ever."""

import asyncio
import gc
import threading
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse, Response

from milonga.console import app
from milonga.console.app import AT_ONCE, make_app
from milonga.console.config import Config
from milonga.console.downloads import AT_ONCE as AT_MOST
from milonga.console.downloads import Downloads
from milonga.console.lines import DELIVERY, NETWORK, WORK
from milonga.console.pages import all_pages
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, Visitor
from milonga.workspace.errors import UserError
from milonga.workspace.roles import Role
from tests.console.asgi import Got, ask
from tests.running import PATIENCE


class Open:
    """Everybody is an editor."""

    def visitor(self, cookie: str | None, *, touch: bool = True) -> Visitor | None:
        return Visitor(name="ada", role=Role.editor, csrf="c")


class Named:
    """Everybody is who the cookie says."""

    def visitor(self, cookie: str | None, *, touch: bool = True) -> Visitor | None:
        return Visitor(name=cookie or "nobody", role=Role.editor, csrf="c")


class Closing:
    """Lets somebody in so many times, and not again."""

    def __init__(self, times: int) -> None:
        self._left = times

    def visitor(self, cookie: str | None, *, touch: bool = True) -> Visitor | None:
        self._left -= 1
        return Visitor(name="ada", role=Role.editor, csrf="c") if self._left >= 0 else None


AS_ADA = {"Cookie": "milonga_session=ada"}


def test_as_many_tests_of_connections_as_may_be_leave_other_pages_alone_and_more_are_told_to_wait(
    tmp_path: Path,
) -> None:
    begun, goes_on = threading.Semaphore(0), threading.Event()

    def wait(visit: Visit) -> Response:
        begun.release()
        assert goes_on.wait(PATIENCE)
        return PlainTextResponse("tested")

    def page(visit: Visit) -> Response:
        return PlainTextResponse("quick")

    pages = [changes("/test", wait, line=NETWORK), shows("/", page)]
    console = make_app(Config(data=tmp_path, events_url=""), Open(), pages)

    async def run() -> tuple[list[Got], list[Got], list[Got], Got]:
        tests = [asyncio.create_task(ask(console, "POST", "/test", form={"csrf": "c"})) for _ in range(NETWORK.threads)]
        for _ in tests:
            assert await asyncio.to_thread(begun.acquire, timeout=PATIENCE)
        more = [await ask(console, "POST", "/test", form={"csrf": "c"}) for _ in range(AT_ONCE)]
        looked = [await ask(console, "GET", "/") for _ in range(2 * AT_ONCE)]
        goes_on.set()
        return await asyncio.gather(*tests), more, looked, await ask(console, "POST", "/test", form={"csrf": "c"})

    tested, more, looked, after = asyncio.run(run())
    assert {one.text for one in tested} == {"tested"}
    assert {(one.status, one.headers["retry-after"]) for one in more} == {(429, "10")}
    assert "Two connections are being tested already. Try again in 10 seconds." in more[0].text
    assert {one.text for one in looked} == {"quick"}
    assert after.text == "tested", "the line is free again"


def test_what_waits_for_a_network_for_delivery_or_works_for_seconds_has_a_line() -> None:
    lines: Mapping[str, object] = {f"{page.method} {page.path}": page.line for page in all_pages()}
    for path in ("settings/test", "new/{kind}/test"):
        assert [line for name, line in lines.items() if name.endswith(path)] == [NETWORK]
    for path in ("filters/tried", "filters/try"):
        assert [line for name, line in lines.items() if name.endswith(path)] == [WORK]
    for path in ("dead/resend", "dead/discard", "parked/skip", "{number}/stop", "{id}/start", "{id}/cancel"):
        assert [line for name, line in lines.items() if name.endswith(path)] == [DELIVERY]


def test_one_person_takes_so_many_pages_at_a_time_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "OF_ONE", 2)
    begun, goes_on = threading.Semaphore(0), threading.Event()

    def wait(visit: Visit) -> Response:
        begun.release()
        assert goes_on.wait(PATIENCE)
        return PlainTextResponse("done")

    console = make_app(Config(data=tmp_path, events_url=""), Named(), [shows("/", wait)])

    async def run() -> tuple[Got, list[Got]]:
        first = [asyncio.create_task(ask(console, "GET", "/", headers=AS_ADA)) for _ in range(2)]
        for _ in first:
            assert await asyncio.to_thread(begun.acquire, timeout=PATIENCE)
        refused = await ask(console, "GET", "/", headers=AS_ADA)
        other = asyncio.create_task(ask(console, "GET", "/", headers={"Cookie": "milonga_session=bob"}))
        assert await asyncio.to_thread(begun.acquire, timeout=PATIENCE)
        goes_on.set()
        again = await ask(console, "GET", "/", headers=AS_ADA) if await asyncio.gather(*first) else refused
        return refused, [again, await other]

    refused, done = asyncio.run(run())
    assert (refused.status, refused.headers["retry-after"]) == (429, "2")
    assert [one.text for one in done] == ["done", "done"]


def test_whoever_is_logged_out_while_waiting_in_line_changes_nothing(tmp_path: Path) -> None:
    done: list[str] = []

    def change(visit: Visit) -> Response:
        done.append(visit.by)
        return PlainTextResponse("done")

    console = make_app(Config(data=tmp_path, events_url=""), Closing(2), [changes("/change", change, line=DELIVERY)])
    answer = asyncio.run(ask(console, "POST", "/change", form={"csrf": "c"}))
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert done == []


def test_downloads_are_few_and_end_whether_they_are_read_or_not() -> None:
    downloads = Downloads()

    def parts() -> Generator[bytes, None, None]:
        yield b"a"
        yield b"b"

    read, held = downloads.begin("ada", parts()), downloads.begin("ada", parts())
    with pytest.raises(UserError, match="Too many downloads"):
        downloads.begin("ada", parts())
    others = [downloads.begin(f"user-{n}", parts()) for n in range(AT_MOST - 2)]
    with pytest.raises(UserError, match="Too many downloads"):
        downloads.begin("bob", parts())
    assert next(read) == b"a"
    del read, held
    gc.collect()
    assert list(downloads.begin("ada", parts())) == [b"a", b"b"]
    others += [downloads.begin("ada", parts()), downloads.begin("bob", parts())]
    assert len(others) == AT_MOST
