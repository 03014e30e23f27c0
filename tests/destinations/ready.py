"""Settings with which each destination can send: every folder has some in its cases."""

from typing import Any

import msgspec

from milonga.destinations.contract import Destination
from tests.destinations.casework import FOLDER, cases_of

MORE: dict[str, dict[str, Any]] = {
    "segment": {"writeKey": "hush-hush-hush"},
    "totango": {"sdrToken": "hush"},
    "webhook": {
        "authorization": "hush",
        "signingSecrets": "whsec_" + "c2VjcmV0" * 5,
        "secretHeaders": '{"X-Api-Key": "hush"}',
        "ordering": "properties.order_id",
    },
}
"""Beyond what the first case needs: secrets, mostly."""


def ready(destination: Destination) -> msgspec.Struct:
    """Those of its first case that ends in requests, and what stands above."""
    chosen = next(case["settings"] for _, case in cases_of(FOLDER / destination.kind) if "requests" in case)
    return msgspec.convert({**chosen, **MORE.get(destination.kind, {})}, destination.settings)
