"""A test of a destination's connection, with the settings in force or with edited ones, as JSON."""

from collections.abc import Mapping
from typing import Any

from milonga.delivery.probing import WITHIN, Found, probe
from milonga.outcomes.words import instant
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig
from milonga.workspace.rows import kind_named
from milonga.workspace.settings import by_names, changed
from milonga.workspace.store import Workspace


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
    return as_json(probe(of, settings, allow_private=allow_private, within=min(delivery.timeout, WITHIN)))


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
