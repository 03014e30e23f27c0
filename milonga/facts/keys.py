"""Write keys, as rows and in words."""

import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Any, Final

import msgspec

from milonga.outcomes.words import instant
from milonga.spec.text import CUT
from milonga.workspace.audit import KEY_SHOWN, key_shown
from milonga.workspace.commands import milliseconds
from milonga.workspace.key_ends import UNITS as UNITS
from milonga.workspace.key_ends import ending
from milonga.workspace.key_ends import in_words as in_words
from milonga.workspace.keys import WriteKey
from milonga.workspace.roles import Role

LONG_ENOUGH: Final = 16  #: characters of a key that is looked for in what others have written
HEAD: Final = KEY_SHOWN + 1  #: bytes of one that tell more than is shown
_SPAN: Final = re.compile(r"([0-9]{1,6})([mhd])")


def _in_json(text: str) -> str:
    return msgspec.json.encode(text)[1:-1].decode()


SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (str, escape, _in_json, lambda text: escape(_in_json(text)))
"""How a page, or JSON, may have a text."""


def span(text: str) -> int:
    """Milliseconds: `14d`, `36h`, `90m`, `0`. ValueError if it is none."""
    text = text.strip()
    if text in ("0", "now"):
        return 0
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("Write it like 14d, 36h, 90m, or 0 for now.")
    return int(found[1]) * UNITS[found[2]]


def key_for(role: Role, write_key: str) -> str:
    """
    As somebody of this role may see it. Whoever has a server's key can send events in its name, and viewers change
    nothing: they see its first characters.
    """
    return write_key if role.may(Role.editor) else key_shown(write_key)


def without_keys(content: bytes, keys: Iterable[str]) -> bytes:
    """
    A page, or JSON, for somebody who may not see them whole: many a sender puts its write key into each event. Short
    ones, which somebody has chosen, are not looked for: they would be found where they are none. What is left of one
    that a text is cut in (…) is found as well.
    """
    long = [key for key in keys if len(key) >= LONG_ENOUGH]
    spellings = {(spell(key).encode(), spell(key_shown(key)).encode()) for key in long for spell in SPELLINGS}
    for spelling, shown in spellings:
        content = content.replace(spelling, shown)
    return _without_beginnings(content, spellings)


def _without_beginnings(content: bytes, spellings: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Before each …, the beginning of a key that is longer than what is shown of it anyway."""
    cut, heads, longest = CUT.encode(), dict[bytes, list[tuple[bytes, bytes]]](), 0
    for spelling, shown in spellings:
        heads.setdefault(spelling[:HEAD], []).append((spelling, shown.removesuffix(cut)))
        longest = max(longest, len(spelling))
    if not heads or cut not in content:
        return content
    parts = content.split(cut)
    for number, part in enumerate(parts[:-1]):
        tail = part[-longest:]
        for left in range(len(tail), HEAD - 1, -1):
            end = tail[-left:]
            begun = [shown for spelling, shown in heads.get(end[:HEAD], ()) if spelling.startswith(end)]
            if begun:
                parts[number] = part[:-left] + begun[0]
                break
    return cut.join(parts)


def as_row(one: WriteKey, now: int, role: Role) -> dict[str, Any]:
    """
    now   unix milliseconds
    role  of whoever sees it
    """

    def moment(at: int | None) -> str | None:
        return None if at is None else instant(at)

    return {
        "writeKey": key_for(role, one.key),
        "createdAt": moment(one.created_at),
        "endsAt": moment(one.ends_at),
        "usedAt": moment(one.used_at),
        "inForce": not one.has_ended(now),
    }


def end_of(one: WriteKey, now: int) -> str:
    """In words."""
    if one.ends_at is None:
        return "never ends"
    return f"{'ended' if one.has_ended(now) else 'ends'} {instant(one.ends_at)}"


def key_warnings(name: str, keys: Iterable[WriteKey], role: Role, now: int | None = None) -> list[str]:
    """
    What is about to go wrong: keys that end although something sends with them.

    name  of the source
    role  of whoever sees it
    now   unix milliseconds; default: the clock's
    """
    at = milliseconds() if now is None else now
    shown = [(key_for(role, one.key), ending(one, at)) for one in keys if one.ends_in_use(at)]
    return [
        f"Write key {key} of {name} {ends}: change what sends with it over to the newest, or give it more time: "
        f"milonga sources keys end {name} {key} --in 14d"
        for key, ends in shown
    ]
