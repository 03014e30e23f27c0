"""The write-ahead logs' part of `milonga check`: commits that SQLite passes by, for something before them is bad."""

from contextlib import closing, suppress
from pathlib import Path

import apsw

from milonga.cli.checking import Report, open_file
from milonga.cli.formats import LOG, OUTCOMES
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.wal import lost_commits


def check_wals(report: Report, data: Path) -> None:
    """Only while no server runs: one that does writes into them."""
    for folder in (data, data / LOG, data / OUTCOMES):
        for wal in sorted(folder.glob("*.db-wal")):
            path = wal.with_name(wal.name.removesuffix("-wal"))
            with suppress(apsw.CantOpenError, *UNREADABLE), closing(open_file(path)):
                if commits := lost_commits(path):
                    report.problem(
                        wal.relative_to(data).as_posix(),
                        f"has {commits} commits behind a damaged place, where nothing is read",
                        lost="what they held"
                        + ("; if the machine has lost its power, nothing: it was not finished" if commits == 1 else ""),
                        count=None,
                        fix="Keep a copy of the directory before you start the server, if you want to have it looked at"
                        ": the next commit writes over it.",
                    )
