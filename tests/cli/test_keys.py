"""`milonga sources keys`, as a person and a script use it."""

from pathlib import Path

import pytest

from milonga.facts.keys import in_words, key_warnings, span
from milonga.workspace.keys import WriteKey
from milonga.workspace.roles import Role
from tests.commands import asked, in_a_process, milonga

HOUR, DAY = 3_600_000, 86_400_000


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, str]:
    words = ("--data", str(tmp_path / "data"))
    assert milonga("sources", "add", "web", "--write-key", "old-key", *words).returncode == 0
    return words


def test_a_rotation_says_the_new_key_and_when_the_old_one_ends(data: tuple[str, str]) -> None:
    done = milonga("sources", "keys", "rotate", "web", "--write-key", "new-key", *data)
    assert done.returncode == 0
    assert "new write key: new-key" in done.stdout
    assert "old-key ends " in done.stdout
    assert "in 14 days" in done.stdout
    rows = asked("sources", "keys", "list", "web", *data)
    assert [(one["writeKey"], one["inForce"], one["endsAt"] is None) for one in rows] == [
        ("old-key", True, False),
        ("new-key", True, True),
    ]
    assert asked("sources", "snippet", "web", *data)["writeKey"] == "new-key"
    table = milonga("sources", "keys", "list", "web", *data)
    assert "never ends" in table.stdout
    assert table.stderr == "", "nothing was sent with it, so there is nothing to warn of"


def test_ending_a_key_at_once_asks_first(data: tuple[str, str]) -> None:
    refused = in_a_process("sources", "keys", "rotate", "web", "--overlap", "0", *data)
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert len(asked("sources", "keys", "list", "web", *data)) == 1
    done = milonga("sources", "keys", "rotate", "web", "--overlap", "0", "--yes", *data)
    assert "old-key has ended." in done.stdout
    assert "old-key" not in asked("sources", "show", "web", *data)["writeKeys"]
    again = milonga("sources", "keys", "end", "web", "old-key", "--never", *data)
    assert "old-key of web never ends" in again.stdout
    assert "old-key" in asked("sources", "show", "web", *data)["writeKeys"]


@pytest.mark.parametrize("given", ["", "14", "d", "-1d", "1w", "14 d"])
def test_a_time_that_is_none_is_wrong_use(data: tuple[str, str], given: str) -> None:
    done = milonga("sources", "keys", "rotate", "web", f"--overlap={given}", *data)
    assert (done.returncode, "14d, 36h, 90m" in done.stderr.replace("\n", " ")) == (2, True)


def test_spans_are_read_and_said() -> None:
    assert [span(text) for text in ("14d", "36h", "90m", "0", " now ")] == [14 * DAY, 36 * HOUR, 90 * 60_000, 0, 0]
    said = [in_words(at) for at in (0, 59_999, 119_999, 5 * 60_000, HOUR, 36 * HOUR, 2 * DAY, 3_000 * DAY)]
    assert said == ["1 minute", "1 minute", "1 minute", "5 minutes", "60 minutes", "36 hours", "2 days", "3,000 days"]


def test_what_is_warned_of_says_when_and_what_to_do() -> None:
    now = 1_700_000_000_000
    about, over = (WriteKey(key="k", ends_at=now + after, used_at=now - 5 * 60_000) for after in (3 * DAY, -HOUR))
    (said,) = key_warnings("web", [about, WriteKey(key="other")], Role.editor, now)
    assert said.startswith("Write key k of web ends in 3 days, and was used 5 minutes ago: change what sends with it")
    assert said.endswith("or give it more time: milonga sources keys end web k --in 14d")
    (ended,) = key_warnings("web", [over], Role.editor, now)
    assert ended.startswith("Write key k of web ended 60 minutes ago, and was used")
    (masked,) = key_warnings("web", [WriteKey(key="a-long-one", ends_at=now, used_at=now)], Role.viewer, now)
    assert "a-lo…" in masked
    assert "a-long-one" not in masked
