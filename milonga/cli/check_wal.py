"""The write-ahead logs' part of `milonga check`: commits that SQLite passes by, for something before them is bad."""

from pathlib import Path

from milonga.cli.checking import Report
from milonga.eventlog.segment import list_segments, path_of
from milonga.eventlog.wal import lost_commits_at_rest
from milonga.facts.formats import LOG, OUTCOMES

SEGMENT = "Start the server: it puts back every event behind that place whose checksum fits, and says how many. "


def check_wals(report: Report, data: Path) -> None:
    """Only while no server runs: one that does writes into them."""
    for folder in (data, data / LOG, data / OUTCOMES):
        for wal in sorted(folder.glob("*.db-wal")):
            path = wal.with_name(wal.name.removesuffix("-wal"))
            if commits := lost_commits_at_rest(path):
                unfinished = "; if the machine has lost its power, nothing: it was not finished"
                comes_back = folder.name == LOG and path in [path_of(folder, one) for one in list_segments(folder)]
                report.problem(
                    wal.relative_to(data).as_posix(),
                    f"has {commits} commits behind a damaged place, where nothing is read",
                    lost="what they held" + (unfinished if commits == 1 else ""),
                    count=None,
                    fix=(SEGMENT if comes_back else "")
                    + "Copy the directory before you start the server, if you want to"
                    " have it looked at: the next commit writes over it.",
                )
