"""
What the index knows an event by, read from the event alone. Pure.

Modules and activities are Totango's, as its destination names them while nobody has changed its settings: the index is
of sources, and does not know which destinations there are.
"""

from collections.abc import Iterator
from enum import IntEnum
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from milonga.destinations.totango.module import module_of, page_category
from milonga.destinations.totango.pages import page_activities
from milonga.destinations.totango.settings import Settings
from milonga.eventlog.api import Stored
from milonga.index.reading import read
from milonga.spec.event import EventType, Group, Page, Screen, Track
from milonga.spec.read import NotAnEvent
from milonga.spec.text import well_formed
from milonga.spec.values import name_text

LONGEST: Final = 256  #: characters of a text that is kept as it is; limits that Totango has are below
NO_ACCOUNT: Final = ""  #: no account is called so

_AS_DECLARED: Final = Settings()


class Dim(IntEnum):
    """What events are found by. The numbers are written into files: they never change their meaning."""

    kind = 1  #: the event's type
    source = 2
    called = 3
    module = 4
    account = 5
    user = 6
    anonymous = 7
    message = 8


_KIND, _SOURCE, _CALLED, _MODULE, _ACCOUNT, _USER, _ANONYMOUS, _MESSAGE = Dim


class Seen(Struct, frozen=True, gc=False):
    """
    offset, at  its place, and when it arrived (unix milliseconds)
    account     None without
    named       what a group call calls its account; None if it does not, "" for a group call without a name
    module      of an activity; None for all else
    activities  of a track one, of a page up to two
    names       whatever a person may call the event: activities, and the page's own name and category
    """

    offset: int
    at: int
    source: int
    type: EventType
    message_id: str
    user: str | None
    anonymous: str | None
    account: str | None
    named: str | None
    module: str | None
    activities: tuple[str, ...]
    names: tuple[str, ...]

    def terms(self, *, messages: bool = True) -> list[tuple[Dim, str]]:
        """
        Under what it is filed, each once. An erased event has a type, a source and a time only.

        messages  by its message id, too
        """
        found = [
            (_KIND, self.type),
            (_SOURCE, str(self.source)),
            (_ACCOUNT, NO_ACCOUNT if self.account is None else self.account),
        ]
        if messages:
            found.append((_MESSAGE, self.message_id))
        if self.user is not None:
            found.append((_USER, self.user))
        if self.anonymous is not None:
            found.append((_ANONYMOUS, self.anonymous))
        if self.module is not None:
            found.append((_MODULE, self.module))
        found += [(_CALLED, name) for name in self.names]
        return found


def filed(text: str) -> str:
    """
    How a text is written into the index: long ones are shortened, with a digest in place of the rest, so that they are
    still told apart; what no file can hold is replaced.
    """
    if len(text) <= LONGEST:
        return text if text.isascii() else well_formed(text)
    text = well_formed(text)
    return f"{text[: LONGEST // 2]}…{blake2b(text.encode(), digest_size=16).hexdigest()}"


def filed_or_none(text: str | None) -> str | None:
    return text if text is None or (len(text) <= LONGEST and text.isascii()) else filed(text)


def seen_in(stored: Stored) -> Seen:
    """Of a body that cannot be read, what its stamp says."""
    stamp = stored.event.stamp
    module: str | None = None
    named: str | None = None
    activities: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    if not stamp.is_erased and stamp.type not in ("identify", "alias"):
        try:
            call, context = read(stored.event)
        except (NotAnEvent, RecursionError):
            pass
        else:
            if isinstance(call, Track):
                names = activities = () if call.name is None else (filed(call.name),)
            elif isinstance(call, Page):
                activities = tuple([filed(one) for one in _of_page(call)])
                names = tuple(dict.fromkeys((*activities, *_called(call))))
            elif isinstance(call, Screen):
                names = tuple(dict.fromkeys(_called(call)))
            elif isinstance(call, Group):
                named = filed(name_text(call.traits.get("name")) or "")
            if activities and isinstance(call, Track | Page):
                module = filed(module_of(call, context, _AS_DECLARED))
    return Seen(
        stored.position.offset,
        stamp.received_at,
        stamp.source,
        stamp.type,
        filed(stamp.message_id),
        filed_or_none(stamp.user_id),
        filed_or_none(stamp.anonymous_id),
        filed_or_none(stamp.account),
        named,
        module,
        activities,
        names,
    )


def _of_page(page: Page) -> Iterator[str]:
    """Its activities."""
    found = page_activities(page, _AS_DECLARED)
    if isinstance(found, list):
        yield from (activity for _part, activity in found)


def _called(call: Page | Screen) -> Iterator[str]:
    """As it is filed."""
    category = page_category(call) if isinstance(call, Page) else call.category
    if call.name is not None:
        yield filed(call.name)
    if category is not None:
        yield filed(category)
