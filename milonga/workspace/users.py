"""Users of the console as rows, and the one-time links by which each chooses a password."""

import secrets
from collections.abc import Callable
from typing import Any, Final

import apsw

from milonga.workspace.audit import added, record
from milonga.workspace.database import Database, Value, fetch
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.people import NAME_RULE, Link, User, digest, is_name
from milonga.workspace.roles import Role

LINK_LASTS: Final = 30 * 60_000  #: milliseconds
MOST_USERS: Final = 1_000

COLUMNS: Final = "u.id, u.name, u.role, u.disabled, u.password IS NULL, u.created_at"


class LinkOver(NotThere):
    """This link was used already, was replaced by a newer one, or its 30 minutes are over. Ask for another."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Users:
    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database, self._now = database, now

    def all(self) -> tuple[User, ...]:
        """By name."""
        with self._database.read() as db:
            return _found(db, "ORDER BY u.name COLLATE NOCASE")

    def named(self, name: str) -> User:
        with self._database.read() as db:
            return _named(db, name)

    def password_of(self, name: str) -> tuple[User | None, str | None]:
        """
        To compare with (milonga.workspace.passwords.is_right). None for whoever cannot come in: compare nevertheless,
        it takes the same time.
        """
        with self._database.read() as db:
            found = _found(db, "WHERE u.name = ? AND u.disabled = 0", name)
            if not found:
                return None, None
            return found[0], _password(db, found[0].id)

    def add(self, name: str, role: Role, *, by: str = "cli") -> tuple[User, str]:
        """And the secret of a one-time link by which that user chooses a password."""
        if not is_name(name):
            raise UserError(f"A user's name has {NAME_RULE}.")
        with self._database.write() as db:
            if _found(db, "WHERE u.name = ?", name):
                raise Clash(f"There is a user called {name} already. See `milonga users list`.")
            if int(fetch(db, "SELECT count(*) FROM console_user")[0][0]) >= MOST_USERS:
                raise Clash(f"There are {MOST_USERS:,} users, and no more can be. Remove one.")
            user = _insert(db, name, role, None, self._now())
            record(db, self._now(), by, "user.added", user.name, added(role=role.value))
            return user, self._make_link(db, user.id)

    def remove(self, name: str, *, by: str = "cli") -> None:
        """Logged out everywhere at once. What the audit log says of the user stays."""
        with self._database.write() as db:
            user = _named(db, name)
            _check_last(db, user)
            db.execute("DELETE FROM console_user WHERE id = ?", (user.id,))
            record(db, self._now(), by, "user.removed", user.name, {"role": (user.role.value, None)})

    def set_role(self, name: str, role: Role, *, by: str = "cli") -> User:
        """Logged out everywhere at once, so that no page goes on with the role from before."""
        with self._database.write() as db:
            user = _named(db, name)
            if user.role is role:
                return user
            if role is not Role.administrator:
                _check_last(db, user)
            db.execute("UPDATE console_user SET role = ? WHERE id = ?", (role.value, user.id))
            _sign_out(db, user.id)
            record(db, self._now(), by, "user.role", user.name, {"role": (user.role.value, role.value)})
            return _named(db, name)

    def set_disabled(self, name: str, disabled: bool, *, by: str = "cli") -> User:
        """Disabled: logged out everywhere at once, links for the user are void, and no new ones can be made."""
        with self._database.write() as db:
            user = _named(db, name)
            if user.disabled is disabled:
                return user
            if disabled:
                _check_last(db, user)
                _sign_out(db, user.id)
                db.execute("DELETE FROM console_link WHERE user = ?", (user.id,))
            db.execute("UPDATE console_user SET disabled = ? WHERE id = ?", (int(disabled), user.id))
            what = "user.disabled" if disabled else "user.enabled"
            record(db, self._now(), by, what, user.name, {"disabled": (user.disabled, disabled)})
            return _named(db, name)

    def reset(self, name: str, *, by: str = "cli") -> tuple[User, str]:
        """
        The secret of a one-time link by which the user chooses another password. The one there is stays in force until
        then; earlier links are void.
        """
        with self._database.write() as db:
            user = _named(db, name)
            if user.disabled:
                raise Clash(f"{user.name} is disabled. Enable the user first.")
            record(db, self._now(), by, "user.link", user.name, {})
            return user, self._make_link(db, user.id)

    # Links and passwords

    def first_link(self) -> str | None:
        """
        The secret of a one-time link for the first administrator, earlier ones void; None as soon as there is any user.
        """
        with self._database.write() as db:
            if _found(db, "LIMIT 1"):
                db.execute("DELETE FROM console_link WHERE user IS NULL")
                return None
            return self._make_link(db, None)

    def link(self, secret: str) -> Link:
        """What it is for. LinkOver."""
        with self._database.read() as db:
            return self._link(db, secret)

    def use_link(self, secret: str, password: str, name: str = "") -> User:
        """
        Once: the link is gone with the same commit that sets the password and logs the user out everywhere. LinkOver.

        password  hashed (milonga.workspace.passwords)
        name      of the first administrator
        """
        with self._database.write() as db:
            link = self._link(db, secret)
            db.execute("DELETE FROM console_link WHERE digest = ?", (digest(secret),))
            if link.user is not None:
                self._set_password(db, link.user, password, link.user.by)
                return _named(db, link.user.name)
            if not is_name(name):
                raise UserError(f"A user's name has {NAME_RULE}.")
            user = _insert(db, name, Role.administrator, password, self._now())
            record(db, self._now(), user.by, "user.added", user.name, added(role=user.role.value))
            return user

    def change_password(self, user: User, before: str, password: str) -> None:
        """
        By the user, who is logged out everywhere. UserError if it is not what it was any more: somebody else changed it
        at the same moment.

        before, password  hashed; `before` is what the present one was compared with
        """
        with self._database.write() as db:
            if _password(db, user.id) != before:
                raise Clash("The password was changed at the same moment. Log in again.")
            self._set_password(db, user, password, user.by)

    def rehash(self, user: User, before: str, password: str) -> None:
        """The same password, hashed as is asked now. Nothing happens if it was changed meanwhile."""
        with self._database.write() as db:
            db.execute(
                "UPDATE console_user SET password = ? WHERE id = ? AND password = ?", (password, user.id, before)
            )

    # Within a write transaction

    def _set_password(self, db: apsw.Connection, user: User, password: str, by: str) -> None:
        db.execute("UPDATE console_user SET password = ? WHERE id = ?", (password, user.id))
        db.execute("DELETE FROM console_link WHERE user = ?", (user.id,))
        _sign_out(db, user.id)
        record(db, self._now(), by, "user.password", user.name, {})

    def _make_link(self, db: apsw.Connection, user: int | None) -> str:
        secret, now = secrets.token_urlsafe(32), self._now()
        db.execute("DELETE FROM console_link WHERE user IS ? OR ends_at <= ?", (user, now))
        db.execute("INSERT INTO console_link VALUES (?, ?, ?, ?)", (digest(secret), user, now, now + LINK_LASTS))
        return secret

    def _link(self, db: apsw.Connection, secret: str) -> Link:
        found = fetch(db, "SELECT user, ends_at FROM console_link WHERE digest = ?", digest(secret))
        if not found or found[0][1] <= self._now():
            raise LinkOver
        number, ends_at = found[0]
        if number is None:
            if _found(db, "LIMIT 1"):
                raise LinkOver  # somebody was added meanwhile
            return Link(user=None, ends_at=ends_at)
        return Link(user=_found(db, "WHERE u.id = ?", number)[0], ends_at=ends_at)


def user_of(row: tuple[Any, ...]) -> User:
    """From COLUMNS."""
    id_, name, role, disabled, invited, created_at = row
    return User(
        id=id_, name=name, role=Role(role), disabled=bool(disabled), invited=bool(invited), created_at=created_at
    )


def _found(db: apsw.Connection, rest: str, *values: Value) -> tuple[User, ...]:
    return tuple(user_of(row) for row in fetch(db, f"SELECT {COLUMNS} FROM console_user u {rest}", *values))  # noqa: S608


def _named(db: apsw.Connection, name: str) -> User:
    found = _found(db, "WHERE u.name = ?", name)
    if not found:
        raise NotThere(f"There is no user called {name[:100]}. See `milonga users list`.")
    return found[0]


def _password(db: apsw.Connection, user: int) -> str | None:
    found = fetch(db, "SELECT password FROM console_user WHERE id = ?", user)
    return found[0][0] if found else None


def _insert(db: apsw.Connection, name: str, role: Role, password: str | None, now: int) -> User:
    db.execute(
        "INSERT INTO console_user (name, role, password, created_at) VALUES (?, ?, ?, ?)",
        (name, role.value, password, now),
    )
    return _named(db, name)


def _check_last(db: apsw.Connection, user: User) -> None:
    """UserError if without this one nobody could let anybody in."""
    able = "WHERE u.role = ? AND u.disabled = 0 AND u.password IS NOT NULL"
    if [one.id for one in _found(db, able, Role.administrator.value)] == [user.id]:
        raise Clash(
            f"{user.name} is the only administrator who can log in. Make another one first: nobody could else add "
            "users, or let this one in again."
        )


def _sign_out(db: apsw.Connection, user: int) -> None:
    db.execute("DELETE FROM console_session WHERE user = ?", (user,))
