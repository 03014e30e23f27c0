"""What may happen in a world (world.py) while events come: everything that somebody, or chance, can do to delivery."""

import asyncio
import json

import msgspec

from milonga.delivery.editing import Edited, edited
from milonga.delivery.parked_editing import ParkedEditWish
from milonga.delivery.parked_list import parked_keys
from milonga.delivery.replay_rows import Replay, ReplayState
from milonga.delivery.rows import stamp_bytes
from milonga.delivery.selection import Selection
from milonga.eventlog.api import Damaged
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.world import World

ALWAYS = {
    "restart": 3, "mood": 3, "account": 4, "state": 2, "off_on": 1, "settings": 1, "delivery": 2, "resend": 3,
    "edit": 3, "disk": 1,
}  # fmt: skip
"""What may happen in every world, and how often."""


async def things_happen(world: World) -> None:
    """Until all events have come."""
    dice, receiver = world.dice, world.receiver
    while sum(world.log.ends().values()) < world.count:
        await asyncio.sleep(dice.expovariate(1 / 0.8))
        match dice.choices(
            [*ALWAYS, "clock", "replay"],
            [*ALWAYS.values(), world.clocks, world.replays],
        )[0]:
            case "restart":
                await world.restart()
            case "mood":
                receiver.mood = dice.choice([None, None, 503, 401, 403, "refused", "lost", 400])
            case "account":
                account = dice.choice(["hot", f"a{dice.randrange(12)}"])
                receiver.bad_accounts[account] = dice.choice([503, 200, 200, 403, 400])
            case "state":
                world.change(world.another_state())
            case "off_on":
                world.change(DestinationState.off, tell=False)
                if dice.random() < 0.5:
                    world.add(len(world.keys) + 100_000)
                world.change(DestinationState.on)
            case "settings":
                world.new_settings()
            case "delivery":
                world.new_delivery()
            case "resend":
                _resend(world, dice.randrange(1, 6))
            case "edit":
                _edit(world, dice.randrange(1, 6))
            case "replay":
                _replay(world)
            case "clock":
                await world.set_clock()
            case "disk":
                world.disk_full = True
                await asyncio.sleep(dice.uniform(0, 2.5))
                world.disk_full = False


def _resend(world: World, limit: int) -> None:
    for letter in world.reader.dead_letters(world.config.id, limit=limit):
        n = world.numbers[letter.position]
        mended = None
        if n % 3 == 0 and letter.event.stamp.user_id is not None:  # somebody adds what no request repeats
            event = edited(letter.event, json.dumps(json.loads(letter.event.body) | {"mended": True}))
            letter = msgspec.structs.replace(letter, event=event)
            mended = Edited(at=world.now(), by="ada", event=event)
        if world.runner.resend(letter, mended):
            world.resent.add(n)
            world.poison.pop(n, None)


def _edit(world: World, most: int) -> None:
    """What is first in some parked lines: somebody adds what no request repeats."""
    reader, number = world.reader, world.config.id
    for one in parked_keys(reader, number, limit=most):
        parked = reader.parked(number, one.first)
        item = world.log.events[one.first.partition][one.first.offset - 1]
        if parked is None or isinstance(item, Damaged) or item.event.stamp.user_id is None:
            continue
        event = parked.event or item.event
        event = edited(event, json.dumps(json.loads(event.body) | {"mended": True}))
        wish = ParkedEditWish(
            destination=number,
            position=(one.first.partition, one.first.offset),
            parked_at=parked.parked_at,
            stamp=stamp_bytes(event).decode(),
            event=event.body.decode(),
        )
        world.edited += not world.runner.edit_parked(wish)


def _replay(world: World) -> None:
    """Of all there is by now, or of one account; or another one is stopped."""
    unfinished = world.reader.replays.first_unfinished(world.config.id)
    if unfinished is not None and world.dice.random() < 0.3:
        state = world.dice.choice([ReplayState.paused, ReplayState.stopped, ReplayState.running])
        world.runner.replaying.set_state(unfinished.id, state, "")
        return
    if world.config.state is DestinationState.off:
        return
    world.asked += 1
    account = world.dice.choice([None, None, "hot", f"a{world.dice.randrange(12)}"])
    world.runner.replaying.begin(
        Replay(
            id=world.asked,
            destination=world.config.id,
            asked_at=world.now(),
            by="test",
            wanted=Selection(source=paper.SOURCE, since=0, until=2**60, account=account),
            rate=world.dice.choice([5.0, 100.0]),
            overwrite=False,
        )
    )
