"""
Sessions of people who logged in. The browser holds a secret of 256 bits, the workspace only its SHA-256: whoever reads
the file cannot go on with anybody's session. What ends one early is in users.py: another password, role, or none.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import apsw

from milonga.workspace.audit import BEGUN, ENDED, LONGEST_ADDRESS, added, record
from milonga.workspace.database import Database, Value, fetch
from milonga.workspace.errors import Clash, UserError
from milonga.workspace.people import Session, User, digest
from milonga.workspace.users import COLUMNS, user_of

IDLE: Final = 12 * 3_600_000  #: milliseconds without a request after which a session is over
LONGEST: Final = 14 * 86_400_000  #: milliseconds after which it is over in any case
MOST: Final = 20  #: of one user; the one unused the longest goes
TOUCHED: Final = 10 * 60_000  #: milliseconds; used_at is written no more often: every commit here is read by the server
LONGEST_AGENT: Final = 300  #: characters


class Sessions:
    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database, self._now = database, now

    def begin(self, user: User, password: str, address: str, agent: str) -> str:
        """
        Its secret, for the cookie. UserError if the user may come in no more.

        password  hashed, which the one given was found to be: whoever changed it meanwhile has the last word
        """
        secret, now = secrets.token_urlsafe(32), self._now()
        with self._database.write() as db:
            still = "SELECT id FROM console_user WHERE id = ? AND password = ? AND disabled = 0"
            if not fetch(db, still, user.id, password):
                raise Clash("Your password or your account was changed at the same moment. Log in again.")
            db.execute("DELETE FROM console_session WHERE used_at <= ? OR made_at <= ?", (now - IDLE, now - LONGEST))
            db.execute(
                "INSERT INTO console_session (digest, user, made_at, used_at, address, agent) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (digest(secret), user.id, now, now, address[:LONGEST_ADDRESS], agent[:LONGEST_AGENT]),
            )
            db.execute(
                "DELETE FROM console_session WHERE id IN "
                "(SELECT id FROM console_session WHERE user = ? ORDER BY used_at DESC, id DESC LIMIT -1 OFFSET ?)",
                (user.id, MOST),
            )
            told = added(address=address[:LONGEST_ADDRESS], browser=agent[:LONGEST_AGENT])
            record(db, now, user.by, BEGUN, user.name, told)
        return secret

    def find(self, secret: str, *, touch: bool = True) -> Session | None:
        """
        None if there is none, or it is over.

        touch  this is a request of its owner's, not merely a look
        """
        now = self._now()
        with self._database.read() as db:
            found = _found(db, "s.digest = ? AND s.used_at > ? AND s.made_at > ?", digest(secret), *_since(now))
        if not found:
            return None
        session = found[0]
        if touch and now - session.used_at >= TOUCHED:
            with suppress(UserError), self._database.write() as db:  # a full disk keeps nobody out
                db.execute("UPDATE console_session SET used_at = max(used_at, ?) WHERE id = ?", (now, session.id))
        return session

    def of(self, user: User) -> tuple[Session, ...]:
        """Those that are not over, the one used last first."""
        with self._database.read() as db:
            return _found(db, "s.user = ? AND s.used_at > ? AND s.made_at > ?", user.id, *_since(self._now()))

    def end(self, secret: str) -> None:
        """Logged out. One that is over, or never was, changes nothing."""
        with self._database.read() as db:
            if not fetch(db, "SELECT 1 FROM console_session WHERE digest = ?", digest(secret)):
                return
        with self._database.write() as db:
            self._end(db, "s.digest = ?", digest(secret))

    def end_one(self, user: User, session: int) -> None:
        """By its id, if it is one of this user's."""
        with self._database.write() as db:
            self._end(db, "s.id = ? AND s.user = ?", session, user.id)

    def end_others(self, user: User, secret: str) -> int:
        """All of the user's but this one; how many."""
        with self._database.write() as db:
            return self._end(db, "s.user = ? AND s.digest <> ?", user.id, digest(secret))

    def _end(self, db: apsw.Connection, where: str, *values: Value) -> int:
        """Within a write transaction, by the user whose they are. How many."""
        found = _found(db, where, *values)
        ids = [session.id for session in found]
        db.executemany("DELETE FROM console_session WHERE id = ?", [(id_,) for id_ in ids])
        if found:
            user = found[0].user
            told = added(sessions=len(found)) if len(found) > 1 else added(address=found[0].address)
            record(db, self._now(), user.by, ENDED, user.name, told)
        return len(found)


def _since(now: int) -> tuple[int, int]:
    return now - IDLE, now - LONGEST


def _found(db: apsw.Connection, where: str, *values: Value) -> tuple[Session, ...]:
    rows = fetch(
        db,
        f"SELECT s.id, s.made_at, s.used_at, s.address, s.agent, {COLUMNS} FROM console_session s "  # noqa: S608
        f"JOIN console_user u ON u.id = s.user WHERE u.disabled = 0 AND {where} ORDER BY s.used_at DESC, s.id DESC",
        *values,
    )
    return tuple(
        Session(id=id_, user=user_of(tuple(of)), made_at=made_at, used_at=used_at, address=address, agent=agent)
        for id_, made_at, used_at, address, agent, *of in rows
    )
