"""What one filter of a destination says. Plain data, kept in the destination's settings. See docs/filters.md."""

import re
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from milonga.filters.paths import read_path

MOST_FILTERS: Final = 50  #: of one destination
MOST_FIELDS: Final = 50  #: of one filter
LONGEST_WHEN: Final = 1_000  #: characters of a condition

Deed: TypeAlias = Literal["drop", "keep", "sample", "dropFields", "keepFields", "mask", "hash"]

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?")
_ON_FIELDS: Final = frozenset({"dropFields", "keepFields", "mask", "hash"})


class Filter(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """
    name    unique in its destination; stands in the code of what it drops
    when    condition in CEL (milonga.filters.condition); "": every event
    do      drop        what meets the condition is not sent
            keep        what does not meet it is not sent
            sample      of what meets it, `share` is sent
            dropFields  sent without `fields`
            keepFields  of the objects that `fields` begin with (properties, traits, ...) nothing but `fields` is sent
            mask        sent with *** for the values of `fields`
            hash        sent with the SHA-256 of the values of `fields`, in hexadecimal
    share   above 0, below 1
    by      path of the value by which a sample is chosen: what has the same value is sent or dropped together. "": the
            user, else the anonymous id, else the message id
    fields  dotted paths (milonga.filters.paths)
    """

    name: str
    do: Deed
    when: str = ""
    share: float | None = None
    by: str = ""
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """ValueError says what is wrong. The condition itself is looked at by milonga.filters.chain only."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name[:60]!r} is no name for a filter: 1 to 40 small letters, digits, '-' and '_', such as "
                "no-tests"
            )
        if len(self.when) > LONGEST_WHEN:
            raise ValueError(f"{self.name}: its condition has {len(self.when):,} characters, {LONGEST_WHEN:,} at most")
        if self.do == "keep" and not self.when.strip():
            raise ValueError(f"{self.name}: keep needs a condition, or it would keep everything")
        self._check_sample()
        self._check_fields()

    def _check_sample(self) -> None:
        if self.do != "sample":
            if self.share is not None or self.by:
                raise ValueError(f"{self.name}: share and by belong to sample, not to {self.do}")
        elif self.share is None or not 0 < self.share < 1:
            raise ValueError(f"{self.name}: sample needs a share between 0 and 1, such as 0.1")
        elif self.by:
            _read(self.name, self.by)

    def _check_fields(self) -> None:
        if self.do not in _ON_FIELDS:
            if self.fields:
                raise ValueError(f"{self.name}: {self.do} takes no fields")
            return
        if not 0 < len(self.fields) <= MOST_FIELDS:
            raise ValueError(f"{self.name}: {self.do} needs 1 to {MOST_FIELDS} fields, such as properties.email")
        for field in self.fields:
            _read(self.name, field)


def _read(name: str, path: str) -> None:
    try:
        read_path(path)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
