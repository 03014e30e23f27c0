"""
What a receiver says, without the secrets it was sent: many repeat the request in an error page. Pure.

A secret is found in the spellings in which it travels or is repeated: as it is, percent-encoded, within JSON, within
HTML. Of each, eight characters from its beginning are enough: an answer may be cut anywhere.
"""

import html
import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from milonga.destinations.contract import Form, Request
from milonga.destinations.http import secrets_in

MASK: Final = b"***"
ENOUGH: Final = 8  #: bytes from its beginning that give a secret away


def secrets_of(request: Request) -> list[str]:
    """The values behind the names in `request.secrets`, of `Bearer abc` also `abc`, and what it is signed with."""
    found = [value for name, value in request.headers.items() if name in request.secrets]
    if isinstance(request.body, Form):
        found += [value for name, value in request.body.params.items() if name in request.secrets]
    if request.sign is not None:
        found += request.sign.secrets
    found += [word for value in found for word in _user_and_password(value)]
    found += [value for value in secrets_in(request.url) if len(value) >= ENOUGH]
    return found + [word for value in found for word in value.split() if word != value and len(word) >= ENOUGH]


def _user_and_password(header: str) -> list[str]:
    """What stands behind `Basic ...`, as a receiver that has read it may repeat it."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        return [part for part in b64decode(rest, validate=True).decode().split(":", 1) if len(part) >= ENOUGH]
    except ValueError:  # also what is no base64, and no UTF-8
        return []


def masked(text: bytes, secrets: Iterable[str]) -> bytes:
    """The text with *** for each of them."""
    hidden = bytearray(len(text))
    for spelling in {spelling for secret in secrets for spelling in _spellings(secret)}:
        place = text.find(spelling[:ENOUGH])
        while place >= 0:
            end = place + min(len(spelling), ENOUGH)
            while end < len(text) and text[end : end + 1] == spelling[end - place : end - place + 1]:
                end += 1
            hidden[place:end] = b"\1" * (end - place)
            place = text.find(spelling[:ENOUGH], place + 1)
    return b"".join(_shown(text, hidden)) if any(hidden) else text


def _shown(text: bytes, hidden: bytearray) -> Iterator[bytes]:
    place = 0
    while place < len(text):
        end = hidden.find(0 if hidden[place] else 1, place)
        end = len(text) if end < 0 else end
        yield MASK if hidden[place] else text[place:end]
        place = end


def _spellings(secret: str) -> Iterator[bytes]:
    if not secret:
        return
    inside_json = json.dumps(secret)[1:-1]
    encoded = {quote(secret, errors="replace"), quote(secret, safe="", errors="replace")}
    encoded.add(quote_plus(secret, errors="replace"))
    spellings = {secret, json.dumps(secret, ensure_ascii=False)[1:-1], inside_json, inside_json.replace("/", "\\/")}
    spellings |= {html.escape(secret), html.escape(secret, quote=False)}
    spellings |= encoded | {_lower_hex(text) for text in encoded}
    for spelling in spellings:
        yield spelling.encode(errors="replace")


def _lower_hex(encoded: str) -> str:
    """`%2B` as `%2b`: both are right."""
    first, *others = encoded.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in others)
