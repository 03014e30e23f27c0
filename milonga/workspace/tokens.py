"""API tokens as rows: programs come in with them. What they show is told once, and kept only as its SHA-256."""

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import apsw

from milonga.workspace.audit import added, record
from milonga.workspace.database import Database, Value, fetch
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.people import NAME_RULE, Token, digest, is_name
from milonga.workspace.roles import Role

PREFIX: Final = "mlg_"  #: so that people, and scanners of code, know one when they see it
BEGINS: Final = 8  #: characters of it that are kept in the clear, the prefix included
MOST_TOKENS: Final = 200
TOUCHED: Final = 10 * 60_000  #: milliseconds; used_at is written no more often
LONGEST_LIFE: Final = 3_650  #: days

_FORM: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_COLUMNS: Final = "id, name, begins, role, created_at, created_by, ends_at, used_at"


class Tokens:
    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database, self._now = database, now

    def create(self, name: str, role: Role, days: int | None = None, *, by: str = "cli") -> tuple[Token, str]:
        """
        And what the program shows, which nobody can be told again.

        days  after which it lets nobody in any more; None: until it is revoked
        """
        if not is_name(name):
            raise UserError(f"A token's name has {NAME_RULE}.")
        if days is not None and not 1 <= days <= LONGEST_LIFE:
            raise UserError(f"A token lasts 1 to {LONGEST_LIFE:,} days, or until it is revoked.")
        shows, now = f"{PREFIX}{secrets.token_urlsafe(32)}", self._now()
        ends_at = None if days is None else now + days * 86_400_000
        with self._database.write() as db:
            if _found(db, "WHERE name = ?", name):
                raise Clash(f"There is a token called {name} already. Revoke it first, or choose another name.")
            if int(fetch(db, "SELECT count(*) FROM api_token")[0][0]) >= MOST_TOKENS:
                raise Clash(f"There are {MOST_TOKENS} tokens, and no more can be. Revoke those nobody uses.")
            db.execute(
                "INSERT INTO api_token (name, digest, begins, role, created_at, created_by, ends_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, digest(shows), shows[:BEGINS], role.value, now, by, ends_at),
            )
            record(db, now, by, "token.created", name, added(role=role.value, days=days))
            return _found(db, "WHERE name = ?", name)[0], shows

    def all(self) -> tuple[Token, ...]:
        """By name; also those whose time is over."""
        with self._database.read() as db:
            return _found(db, "ORDER BY name")

    def revoke(self, name: str, *, by: str = "cli") -> None:
        """It lets nobody in any more, from now on."""
        with self._database.write() as db:
            found = _found(db, "WHERE name = ?", name)
            if not found:
                raise NotThere(f"There is no token called {name[:100]}. See `milonga tokens list`.")
            db.execute("DELETE FROM api_token WHERE id = ?", (found[0].id,))
            record(db, self._now(), by, "token.revoked", found[0].name, {"role": (found[0].role.value, None)})

    def find(self, shows: str) -> Token | None:
        """Whose it is; None if it is nobody's, or over."""
        if not _FORM.fullmatch(shows):
            return None
        now = self._now()
        with self._database.read() as db:
            found = _found(db, "WHERE digest = ? AND (ends_at IS NULL OR ends_at > ?)", digest(shows), now)
        if not found:
            return None
        if now - (found[0].used_at or 0) >= TOUCHED:
            with suppress(UserError), self._database.write() as db:  # a full disk keeps nobody out
                db.execute(
                    "UPDATE api_token SET used_at = max(coalesce(used_at, 0), ?) WHERE id = ?", (now, found[0].id)
                )
        return found[0]

    def name_of(self, shows: str) -> str:
        """Also of one that is over; "" if there is none."""
        if not _FORM.fullmatch(shows):
            return ""
        with self._database.read() as db:
            found = _found(db, "WHERE digest = ?", digest(shows))
        return found[0].name if found else ""


def _found(db: apsw.Connection, rest: str, *values: Value) -> tuple[Token, ...]:
    return tuple(_token(*row) for row in fetch(db, f"SELECT {_COLUMNS} FROM api_token {rest}", *values))  # noqa: S608


def _token(id_: int, name: str, begins: str, role: str, created_at: int, created_by: str, *times: Any) -> Token:
    ends_at, used_at = times
    return Token(
        id=id_,
        name=name,
        begins=begins,
        role=Role(role),
        created_at=created_at,
        created_by=created_by,
        ends_at=ends_at,
        used_at=used_at,
    )
