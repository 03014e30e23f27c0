"""
What a disk may hold after the power went: everything that was synced, and of the rest whatever the dice say. Pure.

A file's bytes are safe once a sync of that file began after the write had ended, and ended before the cut. Every other
write that had begun may be there, or not, or in part: some of its sectors, of 512 or 4,096 bytes. The order in which
they were made means nothing.

For names there are two models. *strict*: a name made, moved or removed is safe once its directory was synced so; every
other change may have happened or not, each for itself. That is what POSIX promises, and less than the usual file
systems give. *journal*: changes of names happen in order, as ext4 and XFS have it, so a cut leaves the first so many of
them; a sync of a directory, or of a file that was made or has grown, takes all changes before along.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from tests.faults.power.trace import Answer, Append, Call, Create, Mkdir, Rename, Sync, Truncate, Unlink, Write

Model: TypeAlias = Literal["strict", "journal"]
Image: TypeAlias = dict[str, bytes | None]
"""Path -> content; None for a directory."""

SECTORS: Final = (512, 4096)


class _File(Struct):
    """
    base    what was there before the trace; safe. None for a directory
    writes  of its bytes
    syncs   (begun, ended)
    grown   places, among all changes of names, that its syncs take along in the journal model: (ended, place)
    """

    base: bytes | None = b""
    writes: list[Call] = field(default_factory=list)
    syncs: list[tuple[int, int]] = field(default_factory=list)
    grown: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0

    def synced(self, cut: int) -> int:
        """The begin of its last sync before the cut: what had ended by then is safe."""
        return max((begun for begun, done in self.syncs if done <= cut), default=-1)


class _Change(Struct, frozen=True):
    """
    Of a name.

    file    number of the file it names afterwards; None if it is removed
    former  the name that a file had before it was renamed
    """

    call: Call
    path: str
    file: int | None
    former: str | None = None


class Disk:
    """All that happened to it. `after` says what a cut may leave."""

    def __init__(self, base: Mapping[str, bytes | None], calls: Sequence[Call]) -> None:
        self._files: list[_File] = []
        self._base: dict[str, int] = {}
        self._changes: list[_Change] = []
        for path, content in base.items():
            self._base[path] = self._add(content)
        names = dict(self._base)
        for call in calls:
            self._happened(call, names)

    def _add(self, content: bytes | None) -> int:
        self._files.append(_File(base=content, size=len(content or b"")))
        return len(self._files) - 1

    def _happened(self, call: Call, names: dict[str, int]) -> None:
        match call.what:
            case Create(path, empty):
                if path not in names:
                    self._named(call, names, path, self._add(b""))
                elif empty:
                    self._happened(replace(call, what=Truncate(path, 0)), names)
            case Mkdir(path):
                self._named(call, names, path, self._add(None))
            case Unlink(path):
                self._changes.append(_Change(call, path, None))
                names.pop(path, None)
            case Rename(path, to):
                number = names.pop(path)
                self._changes.append(_Change(call, to, number, path))
                names[to] = number
            case Write(path, offset, data):
                file = self._files[names[path]]
                file.writes.append(call)
                if offset + len(data) > file.size:
                    file.size = offset + len(data)
                    file.grown.append((call.ended, len(self._changes)))
            case Append(path, data):
                write = Write(path, self._files[names[path]].size, data)
                self._happened(replace(call, what=write), names)
            case Truncate(path, size):
                file = self._files[names[path]]
                file.writes.append(call)
                file.size = size
                file.grown.append((call.ended, len(self._changes)))
            case Sync(path):
                if path in names:
                    self._files[names[path]].syncs.append((call.begun, call.ended))
            case Answer():
                pass

    def _named(self, call: Call, names: dict[str, int], path: str, number: int) -> None:
        names[path] = number
        self._changes.append(_Change(call, path, number))
        self._files[number].grown.append((call.ended, len(self._changes)))

    def after(self, cut: int, model: Model, dice: Random) -> Image:
        """
        What is found when the power is back.

        cut  line of the trace, which was the last thing that happened
        """
        likely = dice.choice((0.0, 0.1, 0.5, 0.9, 1.0))  # how much of what was not synced got there
        sector = dice.choice(SECTORS)
        names = self._names_strict(cut, likely, dice) if model == "strict" else self._names_journal(cut, likely, dice)
        image: Image = {}
        for path, number in sorted(names.items()):
            parent = path.rpartition("/")[0]
            if path in self._base or image.get(parent, b"") is None:  # else its directory is gone
                image[path] = self._content(self._files[number], cut, likely, sector, dice)
        return image

    def _names_strict(self, cut: int, likely: float, dice: Random) -> dict[str, int]:
        names = dict(self._base)
        synced = [file.synced(cut) if file.base is None else -1 for file in self._files]
        made = {change.path: change.file for change in self._changes if change.file is not None}
        directories = {**self._base, **made}
        for change in self._changes:
            if change.call.begun > cut:
                continue
            directory = directories.get(change.path.rpartition("/")[0])
            safe = directory is not None and change.call.ended < synced[directory]
            if safe or dice.random() < likely:
                _change(names, change)
        return names

    def _names_journal(self, cut: int, likely: float, dice: Random) -> dict[str, int]:
        begun = [place for place, change in enumerate(self._changes, 1) if change.call.begun <= cut]
        most = begun[-1] if begun else 0
        ended = [(change.call.ended, place) for place, change in enumerate(self._changes, 1)]
        least = 0
        for file in self._files:
            if (synced := file.synced(cut)) >= 0:
                taken = file.grown if file.base is not None else ended  # of a directory, all changes before
                least = max([least, *(place for at, place in taken if at < synced)])
        upto = least + sum(dice.random() < likely for _ in range(most - least))
        names = dict(self._base)
        for change in self._changes[:upto]:
            _change(names, change)
        return names

    def _content(self, file: _File, cut: int, likely: float, sector: int, dice: Random) -> bytes | None:
        if file.base is None:
            return None
        content, synced = bytearray(file.base), file.synced(cut)
        for call in file.writes:
            if call.begun > cut:
                break
            safe = call.ended < synced
            if not safe and dice.random() >= likely:
                continue
            match call.what:
                case Truncate(_, size):
                    del content[size:]
                    content.extend(bytes(size - len(content)))
                case Write(_, offset, data):
                    if safe or dice.random() < 0.5:
                        _put(content, offset, data)
                    else:
                        _put_torn(content, offset, data, sector, dice)
        return bytes(content)


def _change(names: dict[str, int], change: _Change) -> None:
    if change.file is None:
        names.pop(change.path, None)
        return
    if change.former is None:
        names[change.path] = change.file
    elif names.get(change.former) == change.file:
        del names[change.former]
        names[change.path] = change.file


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _put_torn(content: bytearray, offset: int, data: bytes, sector: int, dice: Random) -> None:
    """Some of its sectors, as they lie on the disk."""
    begin = 0
    while begin < len(data):
        end = min(len(data), (offset + begin) // sector * sector + sector - offset)
        if dice.random() < 0.5:
            _put(content, offset + begin, data[begin:end])
        begin = end
