"""What stands beside the things of a list: where the next page begins, and how this one was come by."""

from msgspec import UNSET, Struct, UnsetType

from milonga.api.shapes.common import Moment


class Pagination(Struct, frozen=True, kw_only=True):
    """
    count  things on this page
    next   the next page's cursor; null at the end
    """

    count: int
    next: str | None


class SearchPagination(Pagination, frozen=True, kw_only=True):
    """
    Of a search. looked: events that were passed by; until: back to when, if it was cut short; last: offset of the last
    one, null if there is nothing more.
    """

    looked: int
    until: Moment | None
    last: int | None


class StoriesPagination(Pagination, frozen=True, kw_only=True):
    """until: back to when events were looked for, if that was cut short; only of a user's or an account's."""

    until: Moment | UnsetType | None = UNSET


class PeriodPagination(Pagination, frozen=True, kw_only=True, rename="camel"):
    """Of which time, in whole periods, and how long each is."""

    start_time: Moment
    end_time: Moment
    granularity: str


class NamesPagination(Pagination, frozen=True, kw_only=True, rename="camel"):
    """names: how many there are, of which the list may show the most frequent; otherEvents: of names not told apart."""

    names: int
    other_events: int


class TotalPagination(Pagination, frozen=True, kw_only=True):
    """total: how many there are of the destination that was named, or of all, whatever else was asked for."""

    total: int


class RegulationsPagination(Pagination, frozen=True, kw_only=True):
    """suppressed: users of whom nothing more is kept, now."""

    suppressed: int
