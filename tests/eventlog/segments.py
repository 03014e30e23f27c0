"""What tests do with the files of a SQLite log."""

from pathlib import Path

from milonga.eventlog.segment import list_segments, open_settled, path_of

from .parts import poll


async def settled(folder: Path) -> None:
    """Every sealed segment has its indexes and will not change again."""

    async def are_settled() -> bool:
        for first in list_segments(folder)[:-1]:
            if (connection := open_settled(path_of(folder, first))) is None:
                return False
            connection.close()
        return True

    await poll(are_settled)


def damage_page_of(folder: Path, first: int, marker: bytes) -> None:
    """Overwrite the page that holds this text."""
    path = path_of(folder, first)
    content = bytearray(path.read_bytes())
    place = content.index(marker) // 16384 * 16384
    content[place : place + 16384] = b"\xa5" * 16384
    path.write_bytes(content)
