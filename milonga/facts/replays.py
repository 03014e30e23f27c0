"""Replays, as rows."""

from typing import Any

from milonga.delivery.replay_rows import GOES_ON, Replay, ReplayState
from milonga.facts.facts import Facts
from milonga.outcomes.words import instant
from milonga.workspace.model import DestinationState


def as_row(facts: Facts, replay: Replay) -> dict[str, Any]:
    assert facts.delivery is not None  # noqa: S101 - the replay came from there
    reader = facts.delivery.replays
    counts = reader.counts(replay.id)
    ways = reader.ways(replay.id)
    on_their_way = sum(one.replay == replay.id for one in reader.joined(replay.destination).values())
    return {
        "replay": replay.id,
        "destination": facts.destination_name(replay.destination),
        "state": replay.state.value,
        "reason": replay.reason,
        "askedAt": instant(replay.asked_at),
        "by": replay.by,
        "endedAt": None if replay.ended_at is None else instant(replay.ended_at),
        "from": instant(replay.wanted.since),
        "to": instant(replay.wanted.until),
        "type": replay.wanted.type,
        "account": replay.wanted.account,
        "user": replay.wanted.user,
        "event": replay.wanted.name,
        "code": replay.wanted.code,
        "chosen": None if replay.wanted.positions is None else len(replay.wanted.positions),
        "findAccounts": replay.wanted.find_accounts,
        "rate": replay.rate,
        "overwrite": replay.overwrite,
        "left": sum(way.upto - way.after for way in ways.values()) if ways else None,
        "onTheirWay": on_their_way,
        "gone": replay.gone,
        "outcomes": [{"state": state, "code": code, "events": n} for (state, code), n in sorted(counts.items())],
        "waitsFor": _waits(facts, replay),
    }


def _waits(facts: Facts, replay: Replay) -> str:
    """Why one that goes on may not, in words."""
    if replay.state not in GOES_ON:
        return ""
    if not facts.server_runs:
        return "No server is running on this data directory: `milonga serve`."
    if replay.state is ReplayState.paused:
        return f"It is held: `milonga replays resume {replay.id}`."
    of = next((place.config for place in facts.places if place.config.id == replay.destination), None)
    if of is not None and of.state is DestinationState.paused:
        return f"The destination is paused: `milonga destinations show {of.name}`."
    return ""
