"""workspace.db goes forward from every version there was, by several processes at once, and never backward."""

from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.migrate import COPIES, Migration, copies_of, migrate, migrations, version_of
from milonga.workspace.model import DestinationState
from tests.workspace.paper import Settings, open_paper

NEWEST = migrations()[-1].version


def version_1(data: Path) -> None:
    """A workspace as version 1 left it: a source with two keys, and a destination that was once paused."""
    data.mkdir()
    db = apsw.Connection(str(data / "workspace.db"))
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(migrations()[0].sql)
    db.execute(
        """
        PRAGMA user_version = 1;
        INSERT INTO source VALUES (3, 'web', 1700000000000, NULL);
        INSERT INTO write_key VALUES (1, 'first-key', 3), (2, 'second-key', 3);
        INSERT INTO destination VALUES (5, 'paper', 'paper', 3, NULL);
        INSERT INTO settings VALUES (5, 1, 1700000000001, 'cli', '{"copies":1}', '[]');
        INSERT INTO settings VALUES (5, 2, 1700000000003, 'cli', '{"copies":2,"size":"A4"}', '["copies"]');
        INSERT INTO state_change VALUES (1, 5, 1700000000002, 'on', 'cli', 'added', '{"0":12}');
        INSERT INTO state_change VALUES (2, 5, 1700000000004, 'paused', 'cli', 'holidays', '{"0":15}');
        """
    )
    db.close()


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [step.version for step in migrations()] == list(range(1, NEWEST + 1))


def test_a_migration_is_never_changed_once_somebody_may_have_run_it() -> None:
    begins = {step.name: sha256(step.sql.encode()).hexdigest()[:12] for step in migrations()}
    assert begins == {
        "0001-sources-and-destinations.sql": "9b9c518de28a",
        "0002-commands.sql": "cbceee180088",
        "0003-source-settings.sql": "9ea6b50c041b",
        "0004-delivery-settings.sql": "4f86b1f6389e",
        "0005-regulations.sql": "44d2613fc6d3",
        "0006-people.sql": "bf5221b1f689",
        "0007-write-keys-end.sql": "0f1656f82846",
        "0008-deleted-users.sql": "b5924bb74751",
    }


def test_a_workspace_of_version_1_keeps_everything_and_learns_the_new(tmp_path: Path) -> None:
    version_1(tmp_path / "data")
    with open_paper(tmp_path / "data") as workspace:
        assert workspace.sources.of_key("second-key") == workspace.sources.all()[0]
        assert workspace.sources.all()[0].id == 3
        config = workspace.destination("paper")
        assert (config.id, config.settings_version, config.settings) == (5, 2, Settings(copies=2))
        assert [(change.state.value, change.end) for change in config.changes] == [("on", {0: 12}), ("paused", {0: 15})]
        assert workspace.settings_at(5, 1) == Settings()
        assert config.delivery == workspace.delivery_settings_at(5, 1) == DeliverySettings()
        asked = workspace.commands.ask("resend", {"destination": 5})
        assert [command.id for command in workspace.commands.pending()] == [asked]
        assert workspace.add_destination("paper", "web", "next", {}, DestinationState.on, {0: 15}).id == 6


def test_a_newer_workspace_is_refused_in_words_and_left_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    open_paper(data).close()
    with apsw.Connection(str(data / "workspace.db")) as db:
        db.execute("CREATE TABLE tomorrow (x); INSERT INTO tomorrow VALUES (1)")
        db.pragma("user_version", NEWEST + 1)
    with pytest.raises(UserError, match=r"written by a newer Milonga.*Nothing was changed"):
        open_paper(data)
    assert version_of(db) == NEWEST + 1
    assert db.execute("SELECT x FROM tomorrow").get == 1
    db.close()


def test_a_migration_that_fails_midway_leaves_nothing_of_itself(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "some.db"))
    good = Migration(1, "0001-good.sql", "CREATE TABLE good (x);")
    bad = Migration(2, "0002-bad.sql", "CREATE TABLE half (x); INSERT INTO half VALUES (1); CREATE TABLE half (y);")
    with pytest.raises(apsw.SQLError):
        migrate(db, (good, bad))
    assert version_of(db) == 1
    assert db.execute("SELECT group_concat(name) FROM sqlite_schema").get == "good"
    mended = Migration(2, "0002-bad.sql", "CREATE TABLE half (x);")
    migrate(db, (good, mended))
    assert version_of(db) == 2
    db.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    open_paper(tmp_path / "data").close()
    before = (tmp_path / "data" / "workspace.db").read_bytes()
    open_paper(tmp_path / "data").close()
    assert (tmp_path / "data" / "workspace.db").read_bytes() == before


def test_a_copy_from_before_is_kept_and_an_older_milonga_can_go_on_with_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    version_1(data)
    with open_paper(data) as workspace:
        workspace.sources.add("later", "third-key")
    (copy,) = copies_of(data / "workspace.db")
    assert copy.name == "workspace.db.before-2"
    assert copy.stat().st_mode & 0o077 == 0
    with apsw.Connection(f"file:{copy}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI) as db:
        assert version_of(db) == 1
        assert db.execute("PRAGMA integrity_check").get == "ok"
        assert db.execute("SELECT group_concat(name) FROM source").get == "web"
        assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'command'").get == 0
    db.close()


def test_a_new_workspace_and_one_that_is_up_to_date_are_not_copied(tmp_path: Path) -> None:
    open_paper(tmp_path / "data").close()
    open_paper(tmp_path / "data").close()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["workspace.db"]


def test_only_the_newest_copies_are_kept(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "some.db"))
    steps = tuple(Migration(n, f"000{n}-step.sql", f"CREATE TABLE t{n} (x);") for n in range(1, 8))
    for n in range(1, 8):
        migrate(db, steps[:n])
    db.close()
    assert [path.name for path in copies_of(tmp_path / "some.db")] == [f"some.db.before-{n}" for n in (5, 6, 7)]
    assert COPIES == 3
    assert len(list(tmp_path.iterdir())) == 4


def test_without_room_for_the_copy_nothing_is_migrated(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "some.db"))
    steps = tuple(Migration(n, f"000{n}-step.sql", f"CREATE TABLE t{n} (x);") for n in (1, 2))
    migrate(db, steps[:1])
    (tmp_path / "some.db.before-2" / "in-the-way").mkdir(parents=True)
    with pytest.raises(UserError, match=r"a copy of it cannot be written.*Nothing was changed"):
        migrate(db, steps)
    assert version_of(db) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.db", "some.db.before-2"]
    db.close()
