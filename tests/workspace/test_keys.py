"""Write keys: exchanged with an overlap, ended by the clock, seen in use, never so few that a source falls silent."""

from pathlib import Path

import pytest

from milonga.workspace.errors import UserError
from milonga.workspace.keys import DAY, IN_USE, LONGEST_OVERLAP, MINUTE, MOST_KEYS, OVERLAP, SOON, WriteKey
from milonga.workspace.model import KeyEnd, Source, WriteKeys
from milonga.workspace.store import Workspace
from tests.clocks import Still
from tests.workspace.paper import open_paper

NOW = 1_700_000_000_000


@pytest.fixture
def clock() -> Still[int]:
    return Still(NOW)


@pytest.fixture
def data(tmp_path: Path, clock: Still[int]) -> Path:
    with open_paper(tmp_path / "data", now=clock) as workspace:
        workspace.sources.add("web", "old-key")
    return tmp_path / "data"


def in_force(workspace: Workspace) -> tuple[str, ...]:
    return workspace.sources.named("web").write_keys


def test_a_rotation_adds_a_key_and_the_old_one_ends_after_the_overlap(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        done = workspace.write_keys.rotate("web")
        assert done.ends == (KeyEnd("old-key", NOW + OVERLAP),)
        assert in_force(workspace) == ("old-key", done.key)
        assert workspace.sources.of_key("old-key") is not None
        clock.at += OVERLAP - 1
        assert workspace.sources.of_key("old-key") is not None
        clock.at += 1
        assert in_force(workspace) == (done.key,)
        assert workspace.sources.of_key("old-key") is None, "nothing was written meanwhile: by the clock alone"
        assert workspace.sources.of_key(done.key) == workspace.sources.named("web")
    with open_paper(data, now=clock) as again:
        assert in_force(again) == (done.key,)
        assert [one.key for one in again.write_keys.of("web")] == ["old-key", done.key], "it stays listed"


def test_a_key_that_leaked_ends_at_once(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        done = workspace.write_keys.rotate("web", "new-key", overlap=0)
        assert (done.key, in_force(workspace)) == ("new-key", ("new-key",))


def test_a_second_rotation_leaves_the_ends_that_were_promised(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        second = workspace.write_keys.rotate("web").key
        clock.at += DAY
        done = workspace.write_keys.rotate("web", overlap=DAY)
        ends = {one.key: one.ends_at for one in workspace.write_keys.of("web")}
        assert ends == {"old-key": NOW + OVERLAP, second: NOW + 2 * DAY, done.key: None}


def test_of_several_keys_one_alone_can_be_exchanged(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        workspace.write_keys.add("web", "phones")
        done = workspace.write_keys.rotate("web", old="phones", overlap=DAY)
        assert done.ends == (KeyEnd("phones", NOW + DAY),)
        assert [one.ends_at for one in workspace.write_keys.of("web")] == [None, NOW + DAY, None]


def test_an_end_can_be_moved_taken_back_and_given_to_any_key_but_the_last(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        keys = workspace.write_keys
        with pytest.raises(UserError, match=r"only write key of web that has no end.*keys add web"):
            keys.end("web", "old-key", DAY)
        new = keys.rotate("web").key
        assert keys.end("web", "old-key", DAY).ends_at == NOW + DAY
        clock.at += DAY
        assert in_force(workspace) == (new,)
        assert keys.end("web", "old-key", None).ends_at is None
        assert in_force(workspace) == ("old-key", new)
        keys.end("web", new, 0)
        assert in_force(workspace) == ("old-key",)


def test_the_last_key_without_an_end_is_not_removed_however_many_are_about_to_end(
    data: Path, clock: Still[int]
) -> None:
    with open_paper(data, now=clock) as workspace:
        new = workspace.write_keys.rotate("web").key
        with pytest.raises(UserError, match="only write key of web that has no end, so it cannot go"):
            workspace.write_keys.remove("web", new)
        workspace.write_keys.remove("web", "old-key")
        assert in_force(workspace) == (new,)


@pytest.mark.parametrize("overlap", [-1, LONGEST_OVERLAP + 1])
def test_an_overlap_without_sense_is_refused_and_nothing_changed(data: Path, clock: Still[int], overlap: int) -> None:
    with open_paper(data, now=clock) as workspace:
        for refused in (
            lambda: workspace.write_keys.rotate("web", overlap=overlap),
            lambda: workspace.write_keys.end("web", "old-key", overlap),
        ):
            with pytest.raises(UserError, match="0 to 366 days"):
                refused()
        assert [one.key for one in workspace.write_keys.of("web")] == ["old-key"]


def test_whom_there_is_not_is_told(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        for asked in (
            lambda: workspace.write_keys.rotate("web", old="nobody's"),
            lambda: workspace.write_keys.end("web", "nobody's", DAY),
            lambda: workspace.write_keys.remove("web", "nobody's"),
        ):
            with pytest.raises(UserError, match="no such write key"):
                asked()
        with pytest.raises(UserError, match="no source called api"):
            workspace.write_keys.of("api")


def test_however_often_keys_are_exchanged_there_is_room_for_the_next(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        for _ in range(2 * MOST_KEYS):
            clock.at += 1
            new = workspace.write_keys.rotate("web", overlap=0).key
        assert in_force(workspace) == (new,)
        assert len(workspace.write_keys.of("web")) == MOST_KEYS
        workspace.write_keys.end("web", workspace.write_keys.of("web")[0].key, None)
        assert len(in_force(workspace)) == 2


def test_every_change_is_in_the_audit_log_by_whom_and_without_the_keys(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        keys = workspace.write_keys
        new = keys.rotate("web", overlap=DAY, by="user:ada").key
        keys.end("web", "old-key", 2 * DAY, by="user:ada")
        keys.remove("web", "old-key", by="token:ci")
        with pytest.raises(UserError):
            keys.remove("web", new)
        rows = [(one.by, one.what, one.changes) for one in workspace.audit.page(3, name="web")]
    assert rows == [
        ("token:ci", "source.key_removed", {"writeKey": ("…", None)}),
        ("user:ada", "source.key_end", {"endsAt": (NOW + DAY, NOW + 2 * DAY), "writeKey": (None, "…")}),
        (
            "user:ada",
            "source.keys_rotated",
            {"writeKey": (None, f"{new[:4]}…"), "exchanged": (None, ["…"]), "endsAt": (None, NOW + DAY)},
        ),
    ]


# Use


def test_use_is_kept_to_the_minute_and_never_goes_back(data: Path, clock: Still[int]) -> None:
    with open_paper(data, now=clock) as workspace:
        keys = workspace.write_keys
        assert keys.of("web")[0].used_at is None
        keys.note_use({"old-key", "nobody's"}, NOW + 5_000)
        minute = (NOW + 5_000) // MINUTE * MINUTE
        assert keys.of("web")[0].used_at == minute
        keys.note_use(["old-key"], NOW - DAY)
        assert keys.of("web")[0].used_at == minute
        keys.rotate("web")
        keys.remove("web", "old-key")
        assert [one.used_at for one in keys.of("web")] == [None]


@pytest.mark.parametrize(
    ("key", "in_use"),
    [
        (WriteKey(key="k", ends_at=NOW + DAY, used_at=NOW - MINUTE), True),
        (WriteKey(key="k", ends_at=NOW - DAY // 2, used_at=NOW - DAY // 2), True),
        (WriteKey(key="k", ends_at=NOW + DAY, used_at=NOW - IN_USE), False),
        (WriteKey(key="k", ends_at=NOW + DAY), False),
        (WriteKey(key="k", used_at=NOW), False),
    ],
)
def test_a_key_ends_in_use_if_it_was_used_within_a_day(key: WriteKey, in_use: bool) -> None:
    assert key.ends_in_use(NOW) is in_use
    assert key.ends_soon_in_use(NOW) is in_use


@pytest.mark.parametrize(
    ("left", "soon"), [(14 * DAY, False), (SOON + 1, False), (SOON, True), (0, True), (-DAY, True)]
)
def test_a_key_in_use_needs_somebody_from_three_days_before_its_end(left: int, soon: bool) -> None:
    key = WriteKey(key="k", ends_at=NOW + left, used_at=NOW - MINUTE)
    assert key.ends_in_use(NOW)
    assert key.ends_soon_in_use(NOW) is soon


def test_what_was_asked_for_is_told_once() -> None:
    source = Source(id=1, name="web", write_keys=("a", "b", "c"), created_at=0)
    keys = WriteKeys([source])
    for key in ("a", "b", "a", "nobody's"):
        keys.source(key)
    assert keys.used() == {"a", "b"}
    keys.source("a")
    assert keys.used() == {"a"}
    assert keys.used() == set()


def test_keys_that_have_ended_are_told_from_those_that_never_were() -> None:
    source = Source(id=1, name="web", write_keys=("a", "b"), created_at=0, key_ends=(KeyEnd("a", NOW),))
    assert source.at(NOW - 1) is source
    keys = WriteKeys([source.at(NOW)])
    assert keys.source("a") is None
    assert keys.ended("a") == source.at(NOW)
    assert keys.ended("b") is keys.ended("nobody's") is None


def test_a_key_that_is_the_name_of_a_source_is_no_secret(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        workspace.sources.add("named-as-its-key", "named-as-its-key")
        workspace.write_keys.add("named-as-its-key", "another")
        workspace.write_keys.end("named-as-its-key", "another", 0)
        assert workspace.write_keys.secret() == ("another",)
