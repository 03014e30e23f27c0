"""What Milonga itself says of duplicates: how often it could not know whether a request had arrived."""

from contextlib import closing
from pathlib import Path

from milonga.outcomes.files import is_begun, open_to_read, path_of, segments


def announced(data: Path) -> int:
    """In the outcomes of all events: tries that were "perhaps delivered", and tried again."""
    total = 0
    for number in segments(data / "outcomes"):
        with closing(open_to_read(path_of(data / "outcomes", number))) as db:
            if is_begun(db):
                total += next(db.execute("SELECT ifnull(sum(perhaps), 0) FROM outcomes"))[0]
    return total
