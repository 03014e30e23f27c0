"""
What is asked for about users: to keep nothing more of them, to erase what there is, or both. Words and statuses are
those of Segment's Public API (Segment docs, "User Deletion and Suppression").
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

MOST_USERS: Final = 5_000  #: of one regulation. Source: Segment docs, Public API, "Regulations"
LONGEST_USER: Final = 32 * 1024  #: characters of an id; an event has no more bytes


class Kind(StrEnum):
    """Those that end in INTERNAL, and the two that only concern the door, are all Milonga does by itself."""

    suppress_only = "SUPPRESS_ONLY"
    unsuppress = "UNSUPPRESS"
    delete_internal = "DELETE_INTERNAL"
    suppress_with_delete_internal = "SUPPRESS_WITH_DELETE_INTERNAL"

    @property
    def suppresses(self) -> bool:
        return self in (Kind.suppress_only, Kind.suppress_with_delete_internal)

    @property
    def deletes(self) -> bool:
        return self in (Kind.delete_internal, Kind.suppress_with_delete_internal)


class Status(StrEnum):
    """
    initialized      asked for; no server has seen it yet
    running          under way
    partial_success  done, but for files that nobody can read: `Regulation.left` names them
    finished         done
    """

    initialized = "INITIALIZED"
    running = "RUNNING"
    partial_success = "PARTIAL_SUCCESS"
    finished = "FINISHED"


class Regulation(Struct, frozen=True, kw_only=True):
    """
    source        id of the only source it concerns; None: all
    users         how many
    created_at, ended_at  unix milliseconds
    upto          partition -> last offset of the log that a deletion concerns; None until a server has begun it
    delivery_at   unix milliseconds when delivery had erased what it holds; None before
    log_at        unix milliseconds when the log had; None before
    counts        what was erased, by kind of data
    left          files that could not be read, and so may still hold something
    trouble       why it does not get on, in words; "" if it does
    """

    id: int
    kind: Kind
    source: int | None
    users: int
    created_at: int
    status: Status
    upto: Mapping[int, int] | None = None
    delivery_at: int | None = None
    log_at: int | None = None
    ended_at: int | None = None
    counts: Mapping[str, int] = {}
    left: tuple[str, ...] = ()
    trouble: str = ""


class Deletion(Struct, frozen=True):
    """
    A regulation that deletes, as those see it who erase.

    source  id of the only source it concerns; None: all
    upto    partition -> last offset that it concerns; None: all that has been read so far
    """

    regulation: int
    source: int | None
    users: frozenset[str]
    upto: Mapping[int, int] | None


class Doomed:
    """Whose events are to go, looked up by what an event names. False for an empty one."""

    def __init__(self, deletions: Iterable[Deletion] = ()) -> None:
        self.deletions = tuple(deletions)
        self._by_user: dict[str, list[Deletion]] = {}
        for deletion in self.deletions:
            for user in deletion.users:
                self._by_user.setdefault(user, []).append(deletion)

    def __bool__(self) -> bool:
        return bool(self._by_user)

    def by(self, named: Iterable[str], source: int, partition: int, offset: int) -> int | None:
        """Id of the regulation that erases an event of this place, source, and these users; None if none does."""
        for user in named:
            for deletion in self._by_user.get(user, ()):
                mine = deletion.source in (None, source)
                if mine and (deletion.upto is None or offset <= deletion.upto.get(partition, 0)):
                    return deletion.regulation
        return None
