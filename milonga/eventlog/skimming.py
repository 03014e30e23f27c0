"""Rows of one segment that a reader passes by are counted where they lie; only the others are read whole."""

import json
from collections import Counter
from collections.abc import Set
from functools import cache
from typing import Final, get_args

import apsw
import msgspec

from milonga.eventlog.api import Offset, Page, Passing
from milonga.eventlog.record import RECORD, stored
from milonga.spec.event import EventType

SOME = f"SELECT {RECORD} FROM events WHERE offset IN (SELECT value FROM json_each(?)) ORDER BY offset"  # noqa: S608

LETTERS: Final = 4  #: of a type, which tell it from all others

_offsets = msgspec.json.Decoder(list[int]).decode


@cache
def _skim(accounts: int, types: int) -> str:
    """The statement for so many of each: 0.9 us an event. To look into stamps as JSON would take as much again."""
    return f"""
SELECT iif(passed, who, NULL), count(*), max(offset), json_group_array(offset) FILTER (WHERE passed IS NOT TRUE)
FROM (
  SELECT offset, who, CASE WHEN source = ? AND who IN ({_holes(accounts)})
      THEN substr(stamp, 1, ?) IN ({_holes(types)})
    END AS passed
  FROM (
    SELECT offset, source, stamp, coalesce(nullif(account, ''), nullif(user_id, '')) AS who
    FROM events WHERE offset > ? AND offset <= ?
  )
)
GROUP BY 1
"""  # noqa: S608


def skim_rows(connection: apsw.Connection, after: Offset, limit: int, most: int, passing: Passing) -> Page | None:
    """
    See LogReader. None also if anything is missing, or cannot be read: then each event is looked at by itself.

    after  not before the segment's first - 1
    """
    begins = _begins(passing.source, passing.but)
    query = _skim(len(passing.accounts), len(begins))
    wanted = (passing.source, *passing.accounts, len(next(iter(begins), "")), *begins)
    upto = after + limit
    while True:
        passed: Counter[str] = Counter()
        whole: list[int] = []
        count, last = 0, after
        for who, rows, newest, others in connection.execute(query, (*wanted, after, upto)):
            count += rows
            last = max(last, newest)
            if who is None:
                whole = sorted(_offsets(others))
            else:
                passed[who] = rows
        if not passed or count < last - after:
            return None
        if len(whole) <= most:
            break
        upto = whole[most] - 1
    items = [stored(row) for row in connection.execute(SOME, (json.dumps(whole),))] if whole else []
    return None if len(items) < len(whole) else Page(items, last, passed)


def _begins(source: int, but: Set[EventType]) -> list[str]:
    """How the stamps of all other types begin, as record.py writes them; one that begins otherwise is read whole."""
    left_out = {one[:LETTERS] for one in but}
    types = {one[:LETTERS] for one in get_args(EventType)} - left_out
    return [f'{{"source":{source},"type":"{one}' for one in sorted(types)]


def _holes(count: int) -> str:
    return ", ".join("?" * count)
