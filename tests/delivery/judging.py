"""What must hold of a world when all is done: every event has ended, in order, and none came twice without need."""

from itertools import pairwise

from milonga.delivery.replay_rows import ReplayState
from milonga.delivery.switching import Fate, fate, spans
from milonga.destinations.contract import Key
from milonga.eventlog.api import Stored
from milonga.outcomes.model import State
from milonga.spec.read import read_stamped
from tests.delivery import paper
from tests.delivery.world import World


def judge(world: World) -> None:
    """Of a world that has calmed down."""
    number, receiver = world.config.id, world.receiver
    assert not world.loop.errors, world.loop.errors
    for partition in range(world.partitions):
        for item in world.log.events[partition]:
            if isinstance(item, Stored):
                _judge_event(world, world.numbers[item.position], item)
    _judge_order(world)
    _judge_replays(world)
    again = {n for n, _ in receiver.accepted if _times(receiver.accepted, n)}
    # Delivered, dead in a replay, and then resent by hand: that is a second time in earnest.
    again -= {n for n in world.resent if any(outcome.replay for outcome in world.outcomes[n])}
    assert again <= world.excused, f"delivered twice without need: {again - world.excused}"
    for table in ("parked", "parked_lines", "parked_due", "progress", "failing", "detours", "replayed"):
        rows = list(world.reader._db.execute(f"SELECT * FROM {table}"))  # noqa: S608
        assert not rows, (table, rows)
    for found in world.outcomes.values():
        if found and found[-1].code == "damaged_record":
            assert found[-1].state is State.dead
            found.clear()
    dead = {world.numbers[letter.position] for letter in world.reader.dead_letters(number, limit=10_000)}
    assert dead == {n for n, found in world.outcomes.items() if found and found[-1].state is State.dead}


def _judge_event(world: World, n: int, item: Stored) -> None:
    found = sorted(world.outcomes[n], key=lambda outcome: outcome.ended_at)
    becomes = fate(spans(world.config.changes, item.position.partition), item.position.offset)
    if item.event.stamp.source != paper.SOURCE or becomes is Fate.never:
        assert all(outcome.replay for outcome in found)
        return
    assert found, f"nothing is known of {n}"
    assert found[-1] == world.outcomes[n][-1], "the newest row must be the last one written"
    on_disk = [o for o in world.outcome_reader.of(item.position) if o.destination == world.config.id]
    assert on_disk
    assert on_disk[0] == found[-1]
    for outcome, following in pairwise(found):
        assert following.replay or outcome.state is State.dead, "only a dead letter ends twice"
    assert len([outcome for outcome in found if not outcome.replay]) <= 1 or n in world.resent, found
    last = found[-1]
    parts = {part.partition("@")[0] for m, part in world.receiver.accepted if m == n}
    said = read_stamped(item.event).received
    match last.state:
        case State.delivered:
            assert len(parts) == said.get("parts", 1)
        case State.skipped:
            assert last.code == "destination_off" or (said.get("skip") and last.code == "told_to_skip")
        case State.dead:
            assert last.code in {"http_400", "http_401", "http_403", "translate_failed"}
            assert (last.code == "translate_failed") == bool(said.get("fail"))
        case State.expired:
            assert last.code in {"too_old", "tried_too_long"}
            if last.code == "too_old":
                shortest = min(were.max_age for were in world.invariants.deliveries)
                if not last.replay and n not in world.resent:  # of these it counts from when they joined
                    assert last.ended_at - last.received_at > shortest * 1000
                assert world.ended[n] - world.arrived[n] > shortest, "however the clock was set"
            else:
                assert any(were.retry_window for were in world.invariants.deliveries)
                assert last.attempts + last.perhaps >= 1
        case _:
            raise AssertionError(last)
    if said.get("skip"):
        assert last.state in (State.skipped, State.expired)
    assert last.received_at == item.event.stamp.received_at


def _judge_order(world: World) -> None:
    """First deliveries of one key are in log order; a resent event joined at the end."""
    newest: dict[tuple[int, Key], int] = {}
    seen: set[int] = set()
    for n, part in world.receiver.accepted:
        if n in seen or n in world.resent or "@" in part:
            continue
        seen.add(n)
        place = world.places[n]
        for key in world.keys[n]:
            before = newest.get((place.partition, key), 0)
            assert before < place.offset, f"{n} came too late for {key}"
            newest[place.partition, key] = place.offset


def _judge_replays(world: World) -> None:
    """Events of one key are in log order in a replay, too; and of those it went through none is missing."""
    newest: dict[tuple[str, int, Key], int] = {}
    seen: set[tuple[int, str]] = set()
    for n, part in world.receiver.accepted:
        replay = part.partition("@")[2]
        if not replay or (n, replay) in seen:
            continue
        seen.add((n, replay))
        place = world.places[n]
        for key in world.keys[n]:
            before = newest.get((replay, place.partition, key), 0)
            assert before < place.offset, f"{n} came too late for {key} in replay {replay}"
            newest[replay, place.partition, key] = place.offset
    for one in world.reader.replays.all():
        assert one.ended_at is not None
        if one.state is not ReplayState.done or world.clocks:
            continue
        counts = dict(world.reader.replays.counts(one.id))
        counts.pop(("left", "damaged_record"), None)
        wanted = [
            item
            for partition, way in world.reader.replays.ways(one.id).items()
            for item in world.log.events[partition][: way.upto]
            if isinstance(item, Stored) and one.wanted.fits(item)
        ]
        assert sum(counts.values()) == len(wanted), (one, counts)


def _times(accepted: list[tuple[int, str]], n: int) -> bool:
    parts = [part for m, part in accepted if m == n]
    return len(parts) > len(set(parts))
