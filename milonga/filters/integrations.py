"""An event's `integrations`: which destinations it is meant for."""

from milonga.spec.event import JsonObject


def allowed(integrations: JsonObject, name: str, *, heeds_all: bool = True) -> bool:
    """
    The destination's own entry decides (an object means on), then `All`, then `all`; a value of another kind is
    ignored. The name is compared exactly. Source: segmentio-facade 3.2.7, `enabled`.

    heeds_all  False: only its own entry counts
    """
    if not integrations:
        return True
    own = integrations.get(name)
    if isinstance(own, bool):
        return own
    if isinstance(own, dict):
        return True
    for key in ("All", "all") if heeds_all else ():
        if isinstance(everyone := integrations.get(key), bool):
            return everyone
    return True
