"""What may only ever say "surely new": approximate filters over the message ids of sealed segments."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from zlib import adler32, crc32

from rbloom import Bloom

IDS_PER_FILTER = 6_000_000  #: then another filter is begun
ROOM = 3  #: for so many times the ids that go into it: a filter takes about 16 MiB
PROBES = 5  #: bits of an id; of a full filter 1 new id in 3,000 must be looked up although it is new
"""
Filters are larger than any processor's cache, so what counts is how often memory is asked. In one so sparse the first
bit mostly tells that an id is new; of dense ones, three for 5 million ids, each was asked twice, and that took longer
than all else that is done about an id.
"""

MEMORY = 64 * 1024 * 1024  #: bytes of filters; beyond it, filters are merged: slower, never wrong
SLICE = 500  #: ids added without a pause: about 0.1 ms


def key_of(source: int, message_id: str) -> int:
    """What ids in memory are keyed by. Differs from process to process: never store it."""
    return hash((source, message_id))


def filter_key(message_id: str) -> int:
    """
    What the filters are keyed by: 64 bits, the same for ever, so that they can be stored. Two ids with one key cost
    a look-up, no more.
    """
    text = message_id.encode()
    return crc32(text) << 32 | adler32(text)


class Generation:
    """One filter and the segments whose ids went into it."""

    def __init__(self, ids: Bloom, count: int, segments: set[int]) -> None:
        self.ids = ids
        self.count = count
        self.segments = segments


class SurelyNew:
    """
    For a key, the segments that may hold it: most often none. A segment whose filter is not known yet may hold
    anything. Segments are named by a number that grows with their age, the first offset. One thread at a time,
    `filter_of` aside.
    """

    def __init__(self, *, ids_per_filter: int = IDS_PER_FILTER, memory: int = MEMORY) -> None:
        self._ids_per_filter = ids_per_filter
        self._most = max(2, memory * 8 // self._empty().size_in_bits)
        self._generations: list[Generation] = []
        self._unknown: list[int] = []

    def _empty(self) -> Bloom:
        return Bloom(ROOM * self._ids_per_filter, 0.5**PROBES)

    def filter_of(self, keys: Iterable[int], pause: Callable[[], None] = lambda: None) -> Bloom:
        """
        A filter for `learn`; may be made in another thread.

        pause  called after each SLICE of keys, so that other threads get the interpreter
        """
        ids = self._empty()
        rest: Iterator[int] = iter(keys)
        while part := list(islice(rest, SLICE)):
            ids.update(part)
            pause()
        return ids

    def expect(self, segment: int) -> None:
        """A segment whose filter will follow: until then every id may be in it."""
        self._unknown = sorted({*self._unknown, segment}, reverse=True)

    def learn(self, segment: int, ids: Bloom, count: int) -> None:
        """The filter of this segment, which holds `count` ids."""
        self._unknown = [unknown for unknown in self._unknown if unknown != segment]
        roomy = [g for g in self._generations if g.count + count <= self._ids_per_filter]
        if roomy:
            self._add(roomy[-1], Generation(ids, count, {segment}))
            return
        self._generations.append(Generation(ids, count, {segment}))
        if len(self._generations) > self._most:
            self._generations.sort(key=lambda generation: -generation.count)
            self._add(self._generations[-2], self._generations.pop())

    @staticmethod
    def _add(into: Generation, other: Generation) -> None:
        into.ids.update(other.ids)
        into.count += other.count
        into.segments |= other.segments

    def forget(self, segment: int) -> None:
        """The segment is gone or too old to matter. Its filter goes when the last of its generation does."""
        self._unknown = [unknown for unknown in self._unknown if unknown != segment]
        for generation in self._generations:
            generation.segments.discard(segment)
        self._generations = [generation for generation in self._generations if generation.segments]

    def where(self, key: int) -> list[int]:
        """Segments that may hold this key, newest first."""
        found: list[int] | None = None
        for generation in self._generations:
            if key in generation.ids:
                found = [*(found or ()), *generation.segments]
        if found is None:
            return self._unknown
        return sorted((*found, *self._unknown), reverse=True)

    @property
    def is_unsure(self) -> bool:
        """Whether filters are still to follow."""
        return bool(self._unknown)

    @property
    def memory(self) -> int:
        """Bytes of all filters."""
        return sum(generation.ids.size_in_bits // 8 for generation in self._generations)
