"""What a case looks up in the files beside a running server: quicker than a command, whose start takes a second."""

from contextlib import closing
from pathlib import Path

from milonga.delivery.rows import DeadLetter
from milonga.delivery.store_reader import DeliveryReader
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

MOST = 100_000


def number_of_destination(data: Path, name: str) -> int:
    with Workspace.open(data) as workspace:
        return workspace.destination(name).id


def state(data: Path, name: str = "totango") -> DestinationState:
    with Workspace.open(data) as workspace:
        return workspace.destination(name).state


def set_up(data: Path, **settings: object) -> None:
    """Other settings of Totango, in force within 5 seconds."""
    with Workspace.open(data) as workspace:
        workspace.set_settings("totango", settings)


def dead_letters(data: Path, name: str = "totango") -> list[DeadLetter]:
    with closing(DeliveryReader(data / "delivery.db")) as reader:
        return reader.dead_letters(number_of_destination(data, name), limit=MOST)


def dead_numbers(data: Path) -> set[int]:
    """Of a load's events that are dead letters."""
    return {int(letter.event.stamp.message_id[2:]) for letter in dead_letters(data)}
