"""
How the requests an event becomes now differ from those it became before. Pure. Secrets are compared, never shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from milonga.destinations.contract import Form, Request, Requests
from milonga.destinations.http import shown_address

MOST_FIELDS: Final = 100  #: that one event may differ in; of more, the first
DEEPEST: Final = 20  #: objects and lists in one another that are compared field by field, deeper ones as a whole
HIDDEN: Final = "***"


class Change(Struct, frozen=True):
    """
    field   such as `account.sdr_o.Status` or `event.headers.X-Team`: the request's part comes first
    before  what stood there; UNSET if nothing did. Secrets as ***
    now     likewise
    """

    field: str
    before: Any
    now: Any


def compare(before: Requests, now: Requests) -> list[Change]:
    """In what they differ, in order of the parts; empty if in nothing. MOST_FIELDS at most."""
    then, since = {r.part: r for r in before}, {r.part: r for r in now}
    found: list[Change] = []
    for part in dict.fromkeys((*then, *since)):
        for change in _changes(part, then.get(part), since.get(part)):
            found.append(change)
            if len(found) == MOST_FIELDS:
                return found
    if not found and list(then) != list(since):
        found.append(Change("order", list(then), list(since)))
    return found


def _changes(part: str, before: Request | None, now: Request | None) -> Iterator[Change]:
    if before is None or now is None:
        yield Change(part, UNSET if before is None else "sent", UNSET if now is None else "sent")
        return
    old, new = dict(_fields(before)), dict(_fields(now))
    hidden = before.secrets | now.secrets
    for name in dict.fromkeys((*old, *new)):
        was, is_ = old.get(name, UNSET), new.get(name, UNSET)
        if was == is_ and type(was) is type(is_):
            continue
        if name[-1] in hidden and name[0] in (_HEADERS, _FORM):
            was, is_ = _hide(was), _hide(is_)
        elif name == (_URL,):
            was, is_ = shown_address(str(was)), shown_address(str(is_))
        elif name == (_SECRETS,):
            was, is_ = HIDDEN, HIDDEN
        yield Change(".".join((part, *name[1:])) if name[0] == _FORM else ".".join((part, *name)), was, is_)


_URL, _HEADERS, _FORM, _SECRETS = "url", "headers", "form", "signingSecrets"


def _hide(value: Any) -> Any:
    return UNSET if isinstance(value, UnsetType) else HIDDEN


def _fields(request: Request) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path -> value, of everything that reaches the receiver."""
    yield ("method",), request.method
    yield (_URL,), request.url
    for name, value in request.headers.items():
        yield (_HEADERS, name), value
    match request.body:
        case Form(params):
            for name, value in params.items():
                yield (_FORM, name), value
        case body:
            yield from _leaves(("body",), body.value, DEEPEST)
    if request.sign is not None:
        yield ("messageId",), request.sign.id
        yield (_SECRETS,), request.sign.secrets


def _leaves(path: tuple[str, ...], value: Any, depth: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    items: Sequence[tuple[str, Any]] = ()
    if depth and isinstance(value, Mapping):
        items = list(value.items())
    elif depth and isinstance(value, list):
        items = [(str(place), item) for place, item in enumerate(value)]
    if not items:
        yield path, value
        return
    for name, item in items:
        yield from _leaves((*path, name), item, depth - 1)
