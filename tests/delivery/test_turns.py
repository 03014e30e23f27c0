"""Whose turn it is: no account starves another."""

import random
from collections import Counter
from itertools import count

from milonga.delivery.entry import Entry, Stage
from milonga.delivery.turns import REMEMBERED, Turns
from milonga.eventlog.api import Position

number = count(1)


def ready(turns: Turns, account: str, times: int = 1) -> None:
    for _ in range(times):
        entry = Entry(Position(0, next(number)), 0, ((account, "someone"),))
        entry.stage = Stage.ready
        turns.add(entry)


def taken(turns: Turns, at_most: int = 1_000) -> list[Entry]:
    found: list[Entry] = []
    while len(found) < at_most and (entry := turns.take()) is not None:
        entry.stage = Stage.flying
        turns.hold(entry)
        found.append(entry)
    return found


def names(found: list[Entry]) -> str:
    return "".join(entry.owner for entry in found)


def test_one_alone_takes_half_the_next_a_quarter_and_something_is_always_left() -> None:
    turns = Turns(64)
    for account, share in (("a", 32), ("b", 16), ("c", 8), ("d", 4), ("e", 2), ("f", 1)):
        ready(turns, account, 100)
        assert names(taken(turns)) == account * share
    ready(turns, "g", 100)
    assert names(taken(turns)) == "g"
    assert turns.used == 64


def test_a_destination_with_a_single_slot_gives_it_away() -> None:
    turns = Turns(1)
    ready(turns, "a", 2)
    first = taken(turns)
    assert names(first) == "a"
    turns.release(first[0])
    assert names(taken(turns)) == "a"


def test_fewer_slots_are_not_given_again_until_enough_are_free_and_more_at_once() -> None:
    turns = Turns(64)
    ready(turns, "a", 100)
    mine = taken(turns)
    turns.resize(8)
    assert names(taken(turns)) == ""
    for entry in mine[:28]:
        turns.release(entry)
    assert names(taken(turns)) == "", "4 of 8 are its share"
    turns.release(mine[28])
    assert names(taken(turns)) == "a"
    turns.resize(64)
    assert names(taken(turns)) == "a" * 28
    assert turns.slow == 8


def test_accounts_take_turns_and_the_one_with_the_fewest_slots_comes_first() -> None:
    turns = Turns(64)
    ready(turns, "a", 3)
    ready(turns, "b", 2)
    ready(turns, "c")
    assert names(taken(turns, 4)) == "abca"
    ready(turns, "d")
    assert names(taken(turns)) == "dba"


def test_within_an_account_they_go_in_the_order_in_which_they_became_ready() -> None:
    turns = Turns(64)
    ready(turns, "a", 10)
    first = taken(turns, 1)[0]
    turns.release(first)
    first.stage = Stage.ready
    turns.put_back(first)
    found = taken(turns)
    assert found[0] is first
    assert [entry.position for entry in found] == sorted(entry.position for entry in found)


def test_a_freed_slot_is_the_next_ones_at_once() -> None:
    turns = Turns(8)
    ready(turns, "a", 100)
    mine = taken(turns)
    assert names(mine) == "aaaa"
    turns.release(mine[0])
    turns.release(mine[0])
    assert turns.used == 3, "released twice is released once"
    assert names(taken(turns)) == "a"


def test_who_is_no_longer_ready_is_passed_by() -> None:
    turns = Turns(8)
    ready(turns, "a", 3)
    ready(turns, "b", 2)
    first = turns.take()
    assert first is not None
    first.stage = Stage.gone
    for line in turns._ready.values():
        line[0].stage = Stage.delayed
    assert names(taken(turns)) == "ba"
    assert turns.take() is None
    assert not turns._ready
    assert not turns._by_held


def test_an_account_hangs_when_it_has_its_share_and_that_for_long() -> None:
    turns = Turns(4)
    ready(turns, "a", 3)
    assert not turns.hangs("a", since=100.0)
    first, second = taken(turns)
    first.sent_at, second.sent_at = 10.0, 50.0
    assert turns.hangs("a", since=20.0)
    assert not turns.hangs("a", since=10.0)
    assert not turns.hangs("b", since=20.0)
    turns.release(first)
    assert not turns.hangs("a", since=100.0), "it may take another"


def test_slow_accounts_share_an_eighth_of_the_slots_until_an_answer_comes() -> None:
    turns = Turns(64)
    for account in "abcdefg":
        ready(turns, account, 100)
        turns.timed_out(account)
    first = taken(turns)
    assert len(first) == 8
    assert set(names(first)) == set("abcdefg"), "they share it"
    ready(turns, "x", 100)
    assert names(taken(turns)) == "x" * 28, "half of what is left"
    for entry in first:
        turns.release(entry)
    turns.answered("a")
    others = Counter(names(taken(turns)))
    assert sum(others[account] for account in "bcdefg") == 8, "still an eighth"
    assert others["a"] > 8, "no longer one of them"


def test_a_slow_account_that_cannot_go_hangs() -> None:
    turns = Turns(8)
    turns.timed_out("a")
    turns.timed_out("b")
    ready(turns, "a", 2)
    ready(turns, "b", 2)
    assert not turns.hangs("b", since=0.0)
    assert names(taken(turns)) == "a"
    assert turns.hangs("b", since=0.0)


def test_only_so_many_slow_accounts_are_remembered() -> None:
    turns = Turns(8)
    for n in range(REMEMBERED + 10):
        turns.timed_out(f"a{n}")
    assert len(turns._slow) == REMEMBERED
    assert "a0" not in turns._slow


def test_whatever_happens_everybody_who_holds_less_than_is_free_gets_a_slot() -> None:
    dice = random.Random(3)
    turns, flying, waits = Turns(16), list[Entry](), Counter[str]()
    for _ in range(5_000):
        if dice.random() < 0.05:
            (turns.timed_out if dice.random() < 0.5 else turns.answered)(dice.choice("abcdefghij"))
        match dice.randrange(3):
            case 0:
                account = dice.choice("aaaaabcdefghij")
                ready(turns, account)
                waits[account] += 1
            case 1 if flying:
                turns.release(flying.pop(dice.randrange(len(flying))))
            case _:
                for entry in taken(turns, dice.randrange(1, 4)):
                    waits[entry.owner] -= 1
                    flying.append(entry)
                assert turns.used == len(flying) <= 16
    for account in "abcdefghij":
        turns.answered(account)
    for entry in taken(turns):
        waits[entry.owner] -= 1
        flying.append(entry)
    held = Counter(entry.owner for entry in flying)
    assert all(held[account] >= 16 - len(flying) for account, waiting in waits.items() if waiting)
    for entry in flying:
        turns.release(entry)
    assert turns.used == 0
    assert turns._used_by_slow == 0
    assert not turns._held
