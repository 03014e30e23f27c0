"""What a route declares, and what its handler is given."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from msgspec import Meta, Struct

from milonga.api.shapes.pages import Pagination
from milonga.facts.facts import Facts
from milonga.facts.rehearsal import Told as Progress
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace

Method: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]

MOST: Final = 1_000  #: things of one page
USUAL: Final = 100

Count: TypeAlias = Annotated[int, Meta(ge=1, le=MOST, description="So many at most.")]
Cursor: TypeAlias = Annotated[
    str, Meta(max_length=4_096, description="What a page gave as `pagination.next`: what follows it comes.")
]


class Caller(Struct, frozen=True):
    """
    Who asks.

    name  as the audit log has it: "cli", "token:NAME", "user:NAME"
    """

    name: str
    role: Role


class Reading(Protocol):
    """A data directory, for one request."""

    @property
    def path(self) -> Path: ...

    @property
    def workspace(self) -> Workspace: ...

    @property
    def facts(self) -> Facts: ...

    @property
    def allow_private(self) -> bool:
        """Whether destinations may be on private addresses."""

    @property
    def events_url(self) -> str:
        """Where the server of this directory takes events; "" if whoever answers is not its console."""

    @property
    def tell(self) -> Progress | None:
        """To be told how far something slow is, which may take as long as it takes; None: somebody waits for it."""

    @property
    def gaps(self) -> list[str]:
        """What could not be read, and so is missing in the answer. Sentences."""


Q = TypeVar("Q")
B = TypeVar("B")


class Asked(Struct, Generic[Q, B], frozen=True):
    """
    One request, checked.

    data   what it is about; nothing of it outlives the request
    names  what stands for the {names} of the path
    query  of the route's query type
    body   of the route's body type; None where it has none
    """

    data: Any  # Reading: a Struct cannot hold a Protocol
    caller: Caller
    names: Mapping[str, str]
    query: Q
    body: B

    @property
    def workspace(self) -> Workspace:
        return self.reading.workspace

    @property
    def facts(self) -> Facts:
        return self.reading.facts

    @property
    def reading(self) -> Reading:
        found: Reading = self.data
        return found


class Told(Struct, frozen=True):
    """
    What was asked for, and what is worth knowing besides.

    notes  sentences
    """

    data: Any
    notes: list[str] = []


class Listed(Struct, frozen=True):
    """
    One page.

    next   cursor of what follows; None: nothing does
    notes  sentences worth knowing
    more   told beside the cursor, such as how a search went: what the route's `pagination` has besides
    """

    rows: list[Any]
    next: str | None = None
    notes: list[str] = []
    more: Mapping[str, Any] = {}


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing can be said after the question mark."""


class PageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One page of a list."""

    count: Count = USUAL
    cursor: Cursor = ""


class Route(Struct, frozen=True, kw_only=True):
    """
    method, path  path behind /api/v1, with {names}
    role     who may
    name     its operationId
    summary  one sentence
    query    a Struct, forbidding unknown fields
    body     a type; None: it takes none
    answer   type of `data`, or of each thing in it if `listed`
    pagination  what stands beside the things of a list
    handle   gives what `answer` says, as it is or as JSON-able data; a Listed if `listed`
    status   of a good answer
    slow     it may take seconds: few of these run at a time
    tag      what it is about; the first word of the path unless told
    exports  which events it hands out, for the audit log (milonga.workspace.audit.taken); "": none. Where its query has
             a switch `events`, only with that
    """

    method: Method
    path: str
    role: Role
    name: str
    summary: str
    answer: Any
    handle: Callable[[Asked[Any, Any]], Any]
    query: type[Struct] = NoQuery
    body: Any = None
    listed: bool = False
    pagination: type[Pagination] = Pagination
    status: int = 200
    slow: bool = False
    tag: str = ""
    exports: str = ""

    @property
    def about(self) -> str:
        return self.tag or self.path.split("/")[1]
