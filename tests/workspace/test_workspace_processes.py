"""Several processes change one workspace: nothing is lost, and each sees the other's changes."""

import subprocess
import sys
from pathlib import Path

from milonga.workspace.model import DestinationState, SettingsVersion
from milonga.workspace.store import Workspace
from tests.workspace.paper import Settings, open_paper

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from tests.workspace.paper import open_paper
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState
data, who = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
workspace = open_paper(data)
refused = 0
for turn in range(25):
    workspace.sources.add(f"{who}-{turn}")
    workspace.set_settings("paper", {"note": f"{who} {turn}"}, by=who)
    workspace.change_state("paper", DestinationState.paused if turn % 2 else DestinationState.on, who, "", {0: turn})
    try:
        workspace.sources.add(f"both-{turn}")
    except UserError:
        refused += 1
print(refused)
"""


def start(program: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *args], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_two_processes_that_change_at_once_lose_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_paper(data) as workspace:
        workspace.sources.add("web")
        workspace.add_destination("paper", "web", "paper", {}, DestinationState.on, {0: 0})
        writers = [start(WRITER, str(data), who) for who in ("ada", "bob")]
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        refused = [int(writer.communicate(timeout=60)[0]) for writer in writers]
        assert [writer.returncode for writer in writers] == [0, 0]
        names = [source.name for source in workspace.sources.all()]
        assert sorted(names) == sorted(
            ["web", *(f"{who}-{turn}" for who in ("ada", "bob", "both") for turn in range(25))]
        )
        assert sum(refused) == 25
        assert len({key for source in workspace.sources.all() for key in source.write_keys}) == 76
        history = workspace.history("paper")
        versions = {entry.version: entry for entry in history if isinstance(entry, SettingsVersion)}
        assert sorted(versions) == list(range(1, 52))
        assert sorted(entry.by for entry in versions.values()) == ["ada"] * 25 + ["bob"] * 25 + ["cli"]
        last = versions[51].by
        assert workspace.destination("paper").settings == Settings(note=f"{last} 24")


OPENER = """
import sys
from pathlib import Path
from tests.workspace.paper import open_paper
sys.stdin.readline()
open_paper(Path(sys.argv[1])).sources.add(sys.argv[2])
"""


def test_processes_that_make_the_workspace_at_once_all_succeed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    openers = [start(OPENER, str(data), f"source-{number}") for number in range(6)]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate(timeout=60)
    assert [opener.returncode for opener in openers] == [0] * 6
    with open_paper(data) as workspace:
        assert sorted(source.name for source in workspace.sources.all()) == [f"source-{number}" for number in range(6)]


def test_a_change_is_noticed_whoever_made_it_and_silence_is_noticed_too(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data") as server, open_paper(tmp_path / "data") as other:
        token = server.token()
        assert not server.changed_since(token)
        other.sources.all()
        other.sources.of_key("nobody's")
        assert not server.changed_since(token), "reading changes nothing"
        other.sources.add("web")
        assert server.changed_since(token)
        assert [source.name for source in server.sources.all()] == ["web"]
        token = server.token()
        assert not server.changed_since(token)
        server.sources.add("api")
        assert server.changed_since(token)


KILLED = """
import sys
from pathlib import Path
from tests.workspace.paper import open_paper
from milonga.workspace.model import DestinationState
workspace = open_paper(Path(sys.argv[1]))
workspace.sources.add("web")
workspace.add_destination("paper", "web", "paper", {"token": "0"}, DestinationState.on, {0: 0})
turn = 0
while True:
    turn += 1
    workspace.set_settings("paper", {"token": f"{turn}", "note": f"{turn}"})
    print(turn, flush=True)
"""


def test_what_a_process_was_told_is_kept_survives_its_sigkill_and_versions_are_whole(tmp_path: Path) -> None:
    for number in range(3):
        data = tmp_path / f"data-{number}"
        killed = start(KILLED, str(data))
        assert killed.stdout is not None
        told = 0
        while told < 10 * (number + 1):
            told = int(killed.stdout.readline())
        killed.kill()
        killed.communicate(timeout=30)
        with open_paper(data) as workspace:
            settings = workspace.destination("paper").settings
            assert isinstance(settings, Settings)
            assert settings.token == settings.note
            assert int(settings.token) >= told


def test_a_second_connection_of_a_process_leaves_the_locks_of_the_first(tmp_path: Path) -> None:
    """To open and close a file gives up all locks of the process on it: others would take the workspace for closed."""
    with Workspace.open(tmp_path / "data"):
        before = locks_on(tmp_path / "data" / "workspace.db")
        assert before
        with Workspace.open(tmp_path / "data"):
            assert locks_on(tmp_path / "data" / "workspace.db") == before


def locks_on(path: Path) -> int:
    """Record locks that anybody has on this file, as Linux counts them."""
    number = path.stat().st_ino
    lines = Path("/proc/locks").read_text().splitlines()
    return sum(f":{number} " in line and "POSIX" in line for line in lines)
