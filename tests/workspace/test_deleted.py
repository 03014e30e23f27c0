"""What a later state of a workspace says of users, taken over by an earlier one; and who is deleted again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from milonga.privacy.regulation import Kind, Status
from milonga.workspace.deleted import Deleted, begin_anew, delete_again, read_later, take_over
from milonga.workspace.errors import UserError
from milonga.workspace.migrate import keep_copy
from milonga.workspace.store import Workspace

ADA, BOB = "ada.lovelace@example.com", "bob\0of\x07accounts"


@contextmanager
def tables(data: Path) -> Iterator[apsw.Connection]:
    db = apsw.Connection(str(data / "workspace.db"))
    try:
        yield db
    finally:
        db.close()


def earlier_of(data: Path, to: Path) -> None:
    """A copy as it is now."""
    to.mkdir()
    with tables(data) as db:
        keep_copy(db)
    (copy,) = data.glob("workspace.db.before-*")
    copy.rename(to / "workspace.db")


def delete(workspace: Workspace, *users: str, kind: Kind = Kind.delete_internal, source: str | None = None) -> int:
    """As a server would."""
    regulations = workspace.regulations
    one = regulations.create(kind, users, source).id
    regulations.begin([one], {0: 50})
    regulations.delivery_done([one], {})
    regulations.log_done([one], {}, [])
    regulations.finish([one])
    return one


def test_an_earlier_state_learns_who_was_suppressed_and_deleted_since(tmp_path: Path) -> None:
    data, before = tmp_path / "data", tmp_path / "before"
    with Workspace.open(data) as workspace:
        web = workspace.sources.add("web").id
        workspace.regulations.create(Kind.suppress_only, ["eve", "mallory"])
        earlier_of(data, before)
        workspace.regulations.create(Kind.unsuppress, ["eve"])
        delete(workspace, ADA, kind=Kind.suppress_with_delete_internal)
        delete(workspace, BOB, "nobody", source="web")
        waiting = workspace.regulations.create(Kind.delete_internal, ["carol"]).id
        workspace.regulations.begin([waiting], {0: 70})
        workspace.regulations.delivery_done([waiting], {})
        workspace.sources.add("shop")
        delete(workspace, "customer", kind=Kind.suppress_with_delete_internal, source="shop")
    with tables(data) as db:
        later = read_later(db)
    with tables(before) as db, db:
        assert take_over(db, later, 40) == 4, "all but that of a source which is not there yet"
        begin_anew(db)
        deleted = Deleted(db)
        assert deleted.of(ADA) == [(None, 40)], "all of the log came before it, whatever its numbers there"
        assert deleted.of(BOB) == [(web, 40)]
        assert deleted.of("eve") == deleted.of("carol") == deleted.of("customer") == []
        delete_again(db, {(None, 40): {ADA}, (web, 40): {BOB}}, 7)
    with Workspace.open(before) as workspace:
        regulations = workspace.regulations
        assert regulations.suppressed("eve") == {}
        assert regulations.suppressed("mallory") == {None: 1}
        assert regulations.suppressed(ADA) == {None: 3}
        assert regulations.suppressed("customer") == {}
        found = {one.users: one for one in regulations.deletions()}
        assert {users: (one.source, one.upto) for users, one in found.items()} == {
            frozenset(["carol"]): (None, {0: 40}),
            frozenset([ADA]): (None, {0: 40}),
            frozenset([BOB]): (web, {0: 40}),
        }
        carol = regulations.regulation(waiting)
        assert (carol.status, carol.delivery_at) == (Status.running, None), "delivery begins anew"
        assert [regulations.regulation(id_).status for id_ in (3, 4)] == [Status.finished] * 2, "they have been"
        delete(workspace, "dave")
        assert workspace.sources.add("other").id != web


def test_what_is_no_later_state_is_refused(tmp_path: Path) -> None:
    data, before, other = tmp_path / "data", tmp_path / "before", tmp_path / "other"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web")
        earlier_of(data, before)
        delete(workspace, ADA)
    with Workspace.open(other) as workspace:
        delete(workspace, ADA)
    with tables(data) as db, tables(before) as old:
        with pytest.raises(UserError, match="does not know regulation 1"):
            take_over(db, read_later(old), 9)
        with tables(other) as another, pytest.raises(UserError, match="another Milonga"):
            take_over(old, read_later(another), 9)
        db.execute("PRAGMA user_version = 4000")
        with pytest.raises(UserError, match="newer Milonga"):
            read_later(db)


def test_a_later_state_from_before_there_were_regulations_says_nothing(tmp_path: Path) -> None:
    with tables(tmp_path) as db:
        db.execute("PRAGMA user_version = 4")
        assert read_later(db).regulations == ()


def test_more_users_than_one_regulation_has_become_several(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        with tables(tmp_path) as db, db:
            delete_again(db, {(None, 9): {f"user-{n}" for n in range(5_001)}}, 7)
        assert sorted(len(one.users) for one in workspace.regulations.deletions()) == [1, 5_000]
