"""Which users an event is about, as far as regulations go, and what is left of it once it is erased."""

import re
from collections.abc import Collection
from typing import Final

import msgspec
from msgspec import Struct

from milonga.privacy.digest import erased_message_id
from milonga.spec.event import EventType
from milonga.spec.limits import MAX_EXCERPT
from milonga.spec.read import NotAnEvent, read_object
from milonga.spec.stored import Stamp, Stamped
from milonga.spec.values import id_text

EMPTY: Final = b"{}"  #: the body of an erased event


def users_of(type_: EventType, user_id: str | None, body: bytes) -> tuple[str, ...]:
    """
    Its userId, and an alias's previousId: both are names of the same person. An anonymousId, a trait or an e-mail
    address is none. body  one JSON object
    """
    if type_ != "alias":
        return () if user_id is None else (user_id,)
    previous = _previous_id(body)
    return tuple(one for one in (user_id, previous) if one is not None)


def users_of_stamped(event: Stamped) -> tuple[str, ...]:
    return users_of(event.stamp.type, event.stamp.user_id, event.body)


def erased(stamp: Stamp, *, at: int, by: int, salt: bytes) -> Stamped:
    """
    What stays: that there was an event of this type and source at this time, and a digest of its message id.

    at    unix milliseconds
    by    id of the regulation
    salt  of the workspace
    """
    return Stamped(
        Stamp(
            source=stamp.source,
            type=stamp.type,
            message_id=erased_message_id(salt, stamp.message_id),
            own_message_id=False,  # it is nobody's duplicate any more
            user_id=None,
            anonymous_id=None,
            account=None,
            account_found=None,
            received_at=stamp.received_at,
            timestamp=stamp.received_at,
            erased_at=at,
            erased_by=by,
        ),
        EMPTY,
    )


class _Alias(Struct, rename="camel"):
    previous_id: str | None = None


_alias: Final = msgspec.json.Decoder(_Alias).decode


def _previous_id(body: bytes) -> str | None:
    try:
        return _alias(body).previous_id or None
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        return id_text(read_object(body).get("previousId"))
    except NotAnEvent:
        return None


# Samples of what was not accepted: the beginning of something that may be no JSON at all

_TEXT: Final = re.compile(rb'"((?:[^"\\]|\\.)*)("?)', re.DOTALL)
_NUMBER: Final = re.compile(rb"(?<=[:,\[\s])-?[0-9][0-9.eE+-]*(?![^,\]}\s])")
_USER: Final = re.compile(rb'"userId"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(-?[0-9][0-9.eE+-]*))', re.DOTALL)
_NAMED: Final = re.compile(_USER.pattern.replace(b"userId", b"(?:userId|previousId)"), re.DOTALL)


def may_name(excerpt: bytes, users: Collection[str]) -> bool:
    """
    Whether a sample may be of one of these users: it says an id as a text or a number of its own, or is cut off, or
    not to be read, before it says whose it is. To lose a sample too many is no harm.
    """
    if hides_user(excerpt):
        return True
    for text, end in _TEXT.findall(excerpt):
        said = _decoded(text)
        if said in users or (not end and said and any(user.startswith(said) for user in users)):
            return True
    return any(_number(number) in users for number in _NUMBER.findall(excerpt))


_WORDS: Final = (  # "user:u-7" is one word, or two, or three: an id may hold any sign
    re.compile(rb"[^\s\"'<>{}\[\](),;=&?\\]+"),
    re.compile(rb"[^\s\"'<>{}\[\](),;=&?\\:/#|!*`]+"),
    re.compile(rb"[\w.-]+"),
)
FEW: Final = 20  #: ids that are looked for wherever they stand; of more, only those that stand as a word
LONG: Final = 6  #: characters of an id that is not met by chance


class Named:
    """Whether a receiver's words name one of these users. Ids that are short, or many, only as a word of their own."""

    def __init__(self, users: Collection[str]) -> None:
        self._words = frozenset(user.encode(errors="replace") for user in users)
        self._anywhere = tuple(w for w in self._words if len(w) >= LONG) if len(users) <= FEW else ()

    def __call__(self, words: bytes) -> bool:
        if any(one in words for one in self._anywhere):
            return True
        return any(
            word in self._words or word.rstrip(b".:!") in self._words for cut in _WORDS for word in cut.findall(words)
        )


def users_in(excerpt: bytes) -> tuple[str, ...]:
    """Every userId, and former id, that the sample of one event says."""
    return tuple(_number(number) if number else _decoded(text) for text, number in _NAMED.findall(excerpt))


def hides_user(excerpt: bytes) -> bool:
    """Whether a sample was cut off before it says whose it is, or is nothing that could be read."""
    if excerpt and not excerpt.lstrip().startswith((b"{", b"[")):
        return True
    return len(excerpt) >= MAX_EXCERPT and _USER.search(excerpt) is None


def _number(text: bytes) -> str:
    """As an id is written out: 42 for 42.0."""
    try:
        return id_text(msgspec.json.decode(text)) or ""
    except msgspec.MsgspecError:
        return text.decode()


def _decoded(text: bytes) -> str:
    try:
        return msgspec.json.decode(b'"%b"' % text, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return text.decode(errors="replace")
