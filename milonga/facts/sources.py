"""Sources, as rows."""

from collections.abc import Sequence
from typing import Any

from milonga.outcomes.words import instant
from milonga.workspace.model import DestinationConfig, Source
from milonga.workspace.settings import shown


def as_row(source: Source, destinations: Sequence[DestinationConfig]) -> dict[str, Any]:
    return {
        "id": source.id,
        "name": source.name,
        "writeKeys": list(source.write_keys),
        "createdAt": instant(source.created_at),
        "destinations": [one.name for one in destinations if one.source == source.id],
        "settings": shown(source.settings),
    }
