"""
Delivery's part of a deletion (milonga.privacy): nothing more of the users is sent, and what delivery keeps of their
events is erased. What is on its way to a receiver at that moment cannot be called back; whatever comes of it, no word
of the answer is kept.

Each step can be done again, so a crash needs no thought: the next start begins anew.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import apsw
import structlog

from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.rows import DeadLetter
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import PARKED, DeliveryReader
from milonga.eventlog.api import Position
from milonga.outcomes.erasing import erase_attempts, erase_words, set_aside_files
from milonga.privacy.regulation import Deletion, Doomed, Regulation
from milonga.privacy.subject import users_of_stamped
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import UserError
from milonga.workspace.regulations import Regulations

log = structlog.get_logger("milonga.delivery")

LOOK_AGAIN: Final = 0.1  #: seconds after which an event that was under way is looked for again
TRY_AGAIN: Final = 5.0  #: seconds after which all is tried again, say on a full disk
MANY: Final = 10_000  #: positions whose attempts are erased at a time
PATIENCE: Final = 30.0  #: seconds to wait for a detour that goes by a user's id

Places = Callable[[Sequence[Deletion]], Iterator[list[Position]]]
"""Where the log holds events that are to go, some at a time; may take a while (milonga.eventlog.erasing.places_in)."""


class Sweeper(Protocol):
    """A destination at work (milonga.delivery.runner)."""

    def sweep(self, positions: Collection[Position]) -> int:
        """End what it has of these events; how many are still under way."""
        ...

    def forget_words(self, users: Collection[str]) -> None: ...
    def detours_of(self, users: Collection[str]) -> int: ...


class Eraser:
    """
    doomed  whose events are neither sent nor kept
    """

    def __init__(
        self,
        data: Path,
        regulations: Regulations,
        recorder: Recorder,
        runners: Callable[[], Mapping[int, Sweeper]],
        places: Places,
    ) -> None:
        self._data, self._regulations, self._recorder = data, regulations, recorder
        self._runners, self._places = runners, places
        self.doomed = Doomed()
        self._seen: tuple[object, ...] = ()
        self._task: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """The workspace changed. Raises what it raises."""
        found = [one for one in self._regulations.open() if one.kind.deletes]
        seen = tuple((one.id, one.log_at is None, str(one.upto)) for one in found)
        if seen != self._seen:
            self.doomed, self._seen = Doomed(self._regulations.deletions()), seen
        if self._task is None and any(map(_is_mine, found)):
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        """Until nothing is left to do. What goes wrong is told, and tried again."""
        try:
            done = await self._is_done()
            while not done:
                await asyncio.sleep(TRY_AGAIN)
                done = await self._is_done()
        finally:
            self._task = None

    async def _is_done(self) -> bool:
        """False if something went wrong; whatever it was must not end delivery."""
        try:
            while todo := [one.id for one in self._regulations.open() if one.kind.deletes and _is_mine(one)]:
                await self._erase_all(todo)
        except (UserError, apsw.Error, OSError) as error:
            log.error("delivery.cannot_erase", error=f"{type(error).__name__}: {error}")
        except Exception:
            log.exception("delivery.cannot_erase", what="Please report this.")
        else:
            return True
        return False

    async def _erase_all(self, todo: Sequence[int]) -> None:
        try:
            deletions = [one for one in self._regulations.deletions() if one.regulation in todo]
            self.doomed = Doomed(self._regulations.deletions())
            counts = await self._erase(deletions)
            for id_ in todo:
                self._regulations.delivery_done([id_], {name: n for (by, name), n in counts.items() if by == id_})
        except (apsw.Error, OSError) as error:
            self._regulations.troubled(todo, f"Delivery: {error}")
            raise

    async def _erase(self, deletions: Sequence[Deletion]) -> Counter[tuple[int, str]]:
        """How many of what were erased, by regulation; attempts are counted for the first alone."""
        doomed, counts = Doomed(deletions), Counter[tuple[int, str]]()
        users = {user for deletion in deletions for user in deletion.users}
        await self._recorder.flush()
        attempts_of: list[Position] = []
        places = self._places(deletions)
        while (some := await asyncio.to_thread(next, places, None)) is not None:
            await self._sweep(some)
            attempts_of += some
            if len(attempts_of) >= MANY:
                counts[deletions[0].regulation, "attempts"] += await self._erase_attempts(attempts_of)
                attempts_of = []
        for letter, kept, by in await asyncio.to_thread(self._letters, doomed):
            attempts_of.append(letter.position)
            counts[by, kept] += 1
            if kept == PARKED:
                await self._sweep([letter.position])
            number, position = letter.destination, letter.position
            self._recorder.record(Record(before=lambda store, n=number, p=position: _drop_letter(store, n, p)))  # type: ignore[misc]
        counts[deletions[0].regulation, "attempts"] += await self._erase_attempts(attempts_of)
        named = await asyncio.to_thread(erase_words, self._data / "outcomes", users)
        counts[deletions[0].regulation, "attempts"] += named
        await self._forget_names(users)
        await self._recorder.flush()
        await self._recorder.compact()
        return counts

    async def _sweep(self, positions: Sequence[Position]) -> None:
        """Nothing of these events is in memory, parked, or tracked any more."""
        wanted = frozenset(positions)
        while True:
            await self._recorder.flush()
            if not sum(runner.sweep(wanted) for runner in self._runners().values()):
                break
            await asyncio.sleep(LOOK_AGAIN)
        here = set(self._runners())

        def drop(store: DeliveryStore) -> None:
            for number in store.destinations():
                for position in positions:
                    store.drop_progress(number, position)
                    store.edited.drop(number, position)  # it may name somebody else
                    store.replays.drop_filed(number, position)
                    if number not in here:  # of a kind that this Milonga does not have
                        store.drop_parked(number, position)

        self._recorder.record(Record(before=drop))

    async def _erase_attempts(self, positions: Sequence[Position]) -> int:
        await self._recorder.flush()
        erased, left = await asyncio.to_thread(erase_attempts, self._data / "outcomes", positions)
        if left:
            log.error("delivery.cannot_erase", files=left, error="they cannot be read")
        return erased

    async def _forget_names(self, users: Collection[str]) -> None:
        for _ in range(int(PATIENCE / LOOK_AGAIN)):
            if not sum(runner.detours_of(users) for runner in self._runners().values()):
                break
            await asyncio.sleep(LOOK_AGAIN)
        for runner in self._runners().values():
            runner.forget_words(users)
        now = milliseconds()
        self._recorder.record(Record(before=lambda store: store.replays.forget_users(users, now)))

    def _letters(self, doomed: Doomed) -> list[tuple[DeadLetter, str, int]]:
        """Copies of events that lie in the store itself, and as what."""
        reader = DeliveryReader(self._data / "delivery.db")
        try:
            users = sorted({user for deletion in doomed.deletions for user in deletion.users})
            found = []
            for letter, kept in reader.copies_of(users):
                stamp = letter.event.stamp
                by = doomed.by(users_of_stamped(letter.event), stamp.source, *letter.position)
                if by is not None:
                    found.append((letter, kept, by))
            return found
        finally:
            reader.close()


def left_behind(data: Path) -> list[str]:
    """Files that were set aside because they are damaged, and may hold anything."""
    here = [path.name for path in data.glob("delivery.db.damaged-*") if not path.name.endswith(("-wal", "-shm"))]
    return sorted([*here, *(f"outcomes/{name}" for name in set_aside_files(data / "outcomes"))])


def _is_mine(regulation: Regulation) -> bool:
    return regulation.upto is not None and regulation.delivery_at is None


def _drop_letter(store: DeliveryStore, destination: int, position: Position) -> None:
    store.remove_dead(destination, position)
    store.edited.drop(destination, position)
    store.drop_progress(destination, position)
