"""Users of whom nothing is kept (milonga.privacy): their events are answered 200, counted, and gone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from milonga.privacy.digest import Digests, digest
from milonga.privacy.subject import hides_user, users_in, users_of_stamped
from milonga.spec.discards import Rejected
from milonga.spec.stored import Stamped

ALL: Final = 0  #: stands for all sources
REASON: Final = "A regulation says that nothing is kept of this user"
HIDDEN: Final = "Users are suppressed, and the sample ends before it says whose it is: it may be one of theirs"


class Suppressed:
    """
    False if there is none.

    salt       of the workspace, see milonga.privacy.digest
    by_source  source or ALL -> digests of user ids
    """

    def __init__(self, salt: bytes = b"", by_source: Mapping[int, Digests] | None = None) -> None:
        self._salt = salt
        self._by_source = {source: digests for source, digests in (by_source or {}).items() if len(digests)}

    def __bool__(self) -> bool:
        return bool(self._by_source)

    def holds(self, source: int, users: Iterable[str]) -> bool:
        sets = [digests for of in (ALL, source) if (digests := self._by_source.get(of)) is not None]
        return bool(sets) and any(digest(self._salt, user) in digests for user in users for digests in sets)

    def sieve(self, source: int, events: Sequence[Stamped]) -> tuple[list[Stamped], list[Rejected]]:
        """Those to keep; and the others, without a byte of theirs."""
        kept = [event for event in events if not self.holds(source, users_of_stamped(event))]
        beyond = len(events) - len(kept)
        return kept, [Rejected(code="user_suppressed", reason=REASON, excerpt=b"", count=beyond)] if beyond else []

    def veil(self, source: int, rejected: Iterable[Rejected]) -> list[Rejected]:
        """
        What is not accepted for another reason: counted as ever, but nothing of such a user is kept to look at. Nor of
        somebody whom the sample does not reach: to lose one too many is no harm.
        """
        if ALL not in self._by_source and source not in self._by_source:
            return list(rejected)
        return [self._veiled(source, one) for one in rejected]

    def _veiled(self, source: int, one: Rejected) -> Rejected:
        if self.holds(source, users_in(one.excerpt)):
            return replace(one, excerpt=b"", reason=REASON)
        return replace(one, excerpt=b"", reason=HIDDEN) if hides_user(one.excerpt) else one


NOBODY: Final = Suppressed()
