"""A test of a destination's connection, with the settings in force or with edited ones, as JSON."""

import threading
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from milonga.delivery.probing import WITHIN, Found, probe
from milonga.destinations.contract import Destination
from milonga.outcomes.words import instant
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig
from milonga.workspace.rows import kind_named
from milonga.workspace.settings import by_names, changed
from milonga.workspace.store import Workspace

AT_ONCE: Final = 2  #: tests side by side in one process: each holds a thread that others wait for
_turns = threading.BoundedSemaphore(AT_ONCE)


def tested(
    workspace: Workspace, config: DestinationConfig, changes: Mapping[str, object], *, allow_private: bool
) -> dict[str, Any]:
    """
    Blocks for 10 seconds at most; nothing is stored, nothing is sent.

    changes  laid over the settings in force, as for Workspace.set_settings. UserError if they cannot be
    """
    of = kind_named(workspace.kinds, config.kind, config.name)
    own, shared = by_names(of.settings, DeliverySettings, changes, of.label)
    settings = changed(config.settings, own, of.label)
    delivery = changed(config.delivery, shared, of.label)
    assert isinstance(delivery, DeliverySettings)  # noqa: S101  changed keeps the type
    return of_settings(of, settings, allow_private=allow_private, within=min(delivery.timeout, WITHIN))


def of_settings(kind: Destination, settings: Struct, *, allow_private: bool, within: float = WITHIN) -> dict[str, Any]:
    """The same of whole settings of a kind, as of a destination that is not there yet."""
    if not _turns.acquire(blocking=False):
        raise UserError(f"{AT_ONCE} connections are being tested already. Try again in {WITHIN:g} seconds.")
    try:
        return as_json(probe(kind, settings, allow_private=allow_private, within=within))
    finally:
        _turns.release()


def as_json(found: Found) -> dict[str, Any]:
    """docs/operate.md, "Testing the connection"."""
    return {
        "reached": found.reached,
        "code": found.code,
        "says": found.says,
        "toDo": found.to_do,
        "unproven": found.unproven,
        "where": found.where,
        "address": found.address,
        "secure": found.secure,
        "certificateEnds": None if found.until is None else instant(found.until * 1000),
        "seconds": round(found.seconds, 3),
    }


def refused(error: UserError) -> dict[str, Any]:
    """The same for settings that cannot be."""
    return as_json(Found(reached=False, code="settings", says=str(error)))
