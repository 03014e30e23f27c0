"""
What people and programs that come in are: users, sessions, tokens, and what may be a password. Pure data and rules;
the rows are in users.py, sessions.py and tokens.py, the roles in roles.py. docs/console.md says what they are for.
"""

import re
import unicodedata
from hashlib import sha256
from typing import Final

from msgspec import Struct

from milonga.workspace.roles import Role

SHORTEST_PASSWORD: Final = 12  #: characters
LONGEST_PASSWORD: Final = 256
NAME_RULE: Final = "1 to 64 characters, a letter or digit first: letters, digits, '.', '_', '-', '+' and '@'"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,63}")


class User(Struct, frozen=True, kw_only=True):
    """
    name        unique, whatever the case of its letters
    disabled    comes in no more, until enabled again
    invited     has not chosen a password yet
    created_at  unix milliseconds
    """

    id: int
    name: str
    role: Role
    disabled: bool
    invited: bool
    created_at: int

    @property
    def by(self) -> str:
        """As the audit log has it."""
        return f"user:{self.name}"


class Link(Struct, frozen=True, kw_only=True):
    """
    What somebody holds who opens a one-time link.

    user     whose password it sets; None: the first administrator's, whose name is yet to be chosen
    ends_at  unix milliseconds
    """

    user: User | None
    ends_at: int


class Session(Struct, frozen=True, kw_only=True):
    """
    made_at, used_at  unix milliseconds; used_at is up to sessions.TOUCHED too old
    address, agent    as they were at logging in, for its owner to recognise
    """

    id: int
    user: User
    made_at: int
    used_at: int
    address: str
    agent: str


class Token(Struct, frozen=True, kw_only=True):
    """
    Of a program that uses the API. What it shows itself with is told once and kept only as SHA-256.

    begins   first characters of that, to tell tokens apart by
    ends_at  unix milliseconds; None: never
    used_at  up to tokens.TOUCHED too old; None: never
    """

    id: int
    name: str
    begins: str
    role: Role
    created_at: int
    created_by: str
    ends_at: int | None
    used_at: int | None

    @property
    def by(self) -> str:
        """As the audit log has it."""
        return f"token:{self.name}"


def is_name(text: str) -> bool:
    """See NAME_RULE."""
    return _NAME.fullmatch(text) is not None


def normal(password: str) -> str:
    """The same characters typed on another keyboard are the same password: NFKC, as NIST SP 800-63B 5.1.1.2 advises."""
    return unicodedata.normalize("NFKC", password)


def password_problem(password: str, name: str) -> str:
    """Nothing if it may be the password of a user of this name; else what is wrong with it, in a sentence."""
    text = normal(password)
    if len(text) < SHORTEST_PASSWORD:
        return f"A password has at least {SHORTEST_PASSWORD} characters."
    if len(password) > LONGEST_PASSWORD or len(text) > LONGEST_PASSWORD:
        return f"A password has at most {LONGEST_PASSWORD} characters."
    if text.casefold() in (name.casefold(), name.casefold().partition("@")[0]):
        return "The name is no password."
    if len(set(text)) < 4:
        return "The same few characters again and again are no password."
    if any("\ud800" <= sign <= "\udfff" or sign == "\0" for sign in text):
        return "It holds a character that cannot be kept."
    return ""


def digest(secret: str) -> bytes:
    """What is kept of a random secret of 256 bits. It needs no salt and no stretching: nobody can try them all."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def csrf_of(session: str) -> str:
    """
    What every form of a session carries. Made from the session's own secret, so that the workspace holds neither, and
    it leads back to nothing.
    """
    return sha256(b"milonga csrf\0" + session.encode("utf-8", "surrogatepass")).hexdigest()
