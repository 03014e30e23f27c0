"""Where in the log a time of arrival lies."""

from typing import Final

from milonga.eventlog.api import LogReader, Offset, Stored

MARGIN: Final = 3_600_000  #: milliseconds by which the log may be out of order, since a clock can be set


async def stretch(log: LogReader, partition: int, since: int, until: int) -> tuple[Offset, Offset]:
    """
    (after, upto): events outside of it did not arrive from `since` up to `until` (unix milliseconds), unless the clock
    was set back by more than MARGIN in between.
    """
    begin, end = await log.begin(partition), await log.end(partition)
    after = await _last_before(log, partition, max(0, begin - 1), end, since - MARGIN)
    return after, await _last_before(log, partition, after, end, until + MARGIN)


async def _last_before(log: LogReader, partition: int, low: Offset, high: Offset, at: int) -> Offset:
    """The last offset of those that arrived before then; `low` if none did. By halves."""
    while low < high:
        middle = (low + high + 1) // 2
        found = [item for item in await log.read(partition, middle - 1, 20) if isinstance(item, Stored)]
        if found and found[0].event.stamp.received_at < at:
            low = max(middle, min(found[0].position.offset, high))
        else:
            high = middle - 1
    return low
