"""
The index of the log as the console and the API see it: asked from any thread, made by a thread of its own. Every
question takes some milliseconds, and some of the disk: ask in a thread.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import apsw
import structlog

from milonga.eventlog.api import START, Position, Stored
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.lookup import AFTER_ALL, EventLookup
from milonga.index.accounts import Account, Accounts, account, accounts
from milonga.index.catalogue import Catalogue, WithoutAccount, catalogue, without_account
from milonga.index.counting import Tally, tally
from milonga.index.damage import forget_damaged
from milonga.index.files import Files, Piece
from milonga.index.memory import open_to_read
from milonga.index.search import Found, Query, fits, search
from milonga.index.standing import FRESH, Standing
from milonga.index.tail import PART
from milonga.index.terms import seen_in
from milonga.index.work import Work, alone, now_ms

AGAIN: Final = 10.0  #: seconds until all is tried again after it went wrong
FOLDER: Final = "index"

T = TypeVar("T")

log = structlog.get_logger("milonga.index")


_made: dict[Path, "EventIndex"] = {}  # by folder


def made_here(data: Path) -> "EventIndex | None":
    """The index of this data directory, if this process makes it."""
    return _made.get((data / FOLDER).resolve())


class EventIndex:
    """
    Of one data directory. Only one process may `start` it, beside any number that ask; those without the process that
    makes it do not see what is in its memory (some 16,000 events at most).
    """

    def __init__(
        self,
        data: Path,
        *,
        bell: str | None = None,
        clock: Callable[[], int] = now_ms,
        reserve: int | None = None,
        rest: float = 1.0,
        part: int = PART,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """As milonga.index.work.Work has it."""
        self._folder, self._log = data / FOLDER, data / "log"
        self._bell, self._clock, self._reserve, self._rest, self._part = bell, clock, reserve, rest, part
        self._workspace, self._busy = data / "workspace.db", busy
        self._files = Files(self._folder, self._log, self._examine)
        self._lookup = EventLookup(self._log)
        self._asking = threading.Lock()
        self._work: Work | None = None
        self._trouble = ""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._stop_work: Callable[[], object] = lambda: None

    # Being made

    def start(self) -> None:
        """Its thread works until `stop`."""
        _made[self._folder.resolve()] = self
        self._thread = threading.Thread(target=self._make, name="index", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when its thread has ended."""
        if _made.get(self._folder.resolve()) is self:
            del _made[self._folder.resolve()]
        self._stopping.set()
        self._stop_work()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._asking:
            self._files.close()

    def _make(self) -> None:
        while not self._stopping.is_set():
            try:
                with alone(self._folder):
                    asyncio.run(self._work_on())
                continue
            except UNREADABLE as error:
                self._trouble = f"A file is damaged, and is made again: {error}"
                log.warning("index.damaged", error=f"{type(error).__name__}: {error}")
                with self._asking:
                    forget_damaged(self._folder)
            except (apsw.Error, OSError) as error:
                self._trouble = f"{type(error).__name__}: {error}"
                log.error("index.cannot_go_on", error=self._trouble)
            except Exception as error:
                self._trouble = f"{type(error).__name__}: {error}"
                log.exception("index.cannot_go_on", what="Please report this.")
            self._stopping.wait(AGAIN)

    async def _work_on(self) -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()

        def stop() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stopping.set)

        self._stop_work = stop
        if self._stopping.is_set():
            return
        work = Work(
            self._folder,
            self._log,
            bell=self._bell,
            clock=self._clock,
            reserve=self._reserve,
            rest=self._rest,
            part=self._part,
            workspace=self._workspace,
            busy=self._busy,
        )
        self._work, self._trouble = work, ""
        try:
            await work.run(stopping)
        finally:
            self._stop_work = lambda: None
            await work.close()

    def _examine(self, first: int) -> None:
        if self._work is not None:
            self._work.examine(first)

    # Asking

    @property
    def standing(self) -> Standing:
        """How far it is. Without its maker in this process: unknown, and so nothing."""
        found = self._work.standing if self._work is not None else Standing(START, None, START)
        if self._trouble:
            return Standing(found.upto, found.at, found.end, found.repairing, False, self._trouble)
        return found

    def search(self, query: Query, limit: int = 50, before: Position | None = None) -> Found:
        """
        Newest first; `before` as a former answer gave it. What is so new that the index does not have it is looked
        through in the log itself, unless there is much of it.
        """
        upto = AFTER_ALL if before is None else before.offset
        with self._asking:
            standing = self.standing
            fresh = self._newer(standing, query, upto)
            known = min(upto, standing.upto + 1) if self._work is not None else upto
            if len(fresh) > limit:
                return Found(fresh[:limit], fresh[limit - 1].position, True, None, standing)
            events, next_, complete, looked_to = search(
                self._pieces(known),
                self._log,
                query,
                limit - len(fresh),
                before=known,
                fetch=self._lookup.at_each,
                clock=time.monotonic,
            )
        return Found(fresh + events, None if next_ is None else Position(0, next_), complete, looked_to, standing)

    def _newer(self, standing: Standing, query: Query, before: int) -> list[Stored]:
        """What fits of the events that the index does not have yet; nothing if they are more than FRESH."""
        if self._work is None:
            return []
        for many in (20, FRESH):
            page = self._lookup.newest(many, before)
            newer = [event for event in page if event.position.offset > standing.upto]
            if len(newer) < many:
                return [event for event in newer if fits(seen_in(event), query)]
        return []

    def tally(self, *, account: str | None = None, user: str | None = None) -> Tally | None:
        """
        How many events are of an account, a user, or both; at least one is given. None if it does not know all of them:
        it is behind, or not made in this process.
        """
        query = Query(account=account, user=user)
        with self._asking:
            standing = self.standing
            if self._work is None or not standing.is_fresh or self._lookup.end() - standing.upto >= FRESH:
                return None
            upto = standing.upto + 1
            newer = self._newer(standing, query, AFTER_ALL)
            return tally(self._pieces(upto), query.terms(), newer, before=upto)

    def account(self, id_: str) -> Account | None:
        """None if it is neither in the log nor remembered."""
        with self._asking, self._remembered() as memory:
            return account(id_, self._pieces(), memory)

    def accounts(
        self, text: str = "", limit: int = 50, *, unnamed: bool = False, before: int | None = None
    ) -> Accounts:
        """Those last seen first; see milonga.index.accounts.accounts. `before` as a former answer gave it."""
        with self._asking, self._remembered() as memory:
            standing = self.standing
            if memory is None:
                return Accounts([], None, True, standing)
            upto = AFTER_ALL if before is None else before
            found = accounts(memory, text, limit, unnamed=unnamed, before=upto)
            return Accounts(*found, standing)

    def catalogue(self, source: int | None = None) -> Catalogue:
        """Of one source, or of all."""
        with self._asking, self._remembered() as memory:
            return catalogue(memory, self._clock(), source, self.standing)

    def without_account(self, since: int, until: int, source: int | None = None) -> WithoutAccount:
        """Events that Totango skips for want of an account. since, until: unix milliseconds; whole hours count."""
        with self._asking, self._remembered() as memory:
            return without_account(memory, since, until, source, self.standing)

    def _pieces(self, before: int = AFTER_ALL) -> Iterator[Piece]:
        tails = [] if self._work is None else self._work.tails()
        return self._files.pieces(tails, before=before)

    @contextmanager
    def _remembered(self) -> Iterator[apsw.Connection | None]:
        """What is remembered, as of one moment; None if nothing can be read of it."""
        db = open_to_read(self._folder)
        if db is None:
            yield None
            return
        with closing(db):
            db.execute("BEGIN")
            yield db
