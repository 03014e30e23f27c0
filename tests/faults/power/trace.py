"""
What strace wrote down of a Milonga: every write, sync and change of a name in its data directory, and every answer that
it gave, in their true order. Pure.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from msgspec import Struct

CALLS: Final = (
    *("openat", "creat", "mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "unlink", "unlinkat", "link"),
    *("linkat", "symlink", "symlinkat", "truncate", "ftruncate", "fallocate", "copy_file_range", "sendfile"),
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "fsync", "fdatasync", "mmap"),
)
COMMAND: Final = (
    *("strace", "-f", "-yy", "-ttt", "-xx", "-s", "1048576", "--seccomp-bpf", "-qq"),
    *("-e", f"trace={','.join(CALLS)}", "-e", "signal=none"),
)
"""-f: all threads and children; -yy: the file or the connection behind a number; -xx: bytes, all of them."""

VOLATILE: Final = ("-shm", "/lock", "/writer.lock", "/server.log")
"""
Ends of names of files that nobody needs after a power cut: SQLite makes its shared memory anew, locks are held by
processes.
"""


class Write(Struct, frozen=True):
    path: str
    offset: int
    data: bytes


class Append(Struct, frozen=True):
    """To a file that was opened empty, by plain writes: behind what it holds."""

    path: str
    data: bytes


class Truncate(Struct, frozen=True):
    path: str
    size: int


class Sync(Struct, frozen=True):
    """Of a file, or of a directory: the names in it."""

    path: str


class Create(Struct, frozen=True):
    """Opened with O_CREAT: made, if it was not there; emptied, if it was to be (O_TRUNC)."""

    path: str
    empty: bool = False


class Mkdir(Struct, frozen=True):
    path: str


class Unlink(Struct, frozen=True):
    path: str


class Rename(Struct, frozen=True):
    path: str
    to: str


class Answer(Struct, frozen=True):
    """A 200, written to the connection from this port."""

    port: int


What: TypeAlias = Write | Append | Truncate | Sync | Create | Mkdir | Unlink | Rename | Answer


class Call(Struct, frozen=True):
    """
    begun, ended  lines of the trace: what the call does may be done from the first on, and is done at the second
    at            unix seconds of its begin
    """

    begun: int
    ended: int
    at: float
    what: What


class NotModelled(Exception):
    """The server did to its files what this model of a disk does not know: teach it, or the cuts prove nothing."""


def calls(lines: Iterable[str], data: str, port: int) -> list[Call]:
    """
    Those that matter, as they ended.

    data  the data directory, absolute
    port  that the collector listens on
    """
    return sorted(_calls(lines, data, f"TCP:[127.0.0.1:{port}->"), key=lambda call: call.ended)


def _calls(lines: Iterable[str], data: str, door: str) -> Iterator[Call]:
    under_way: dict[str, tuple[int, float, str]] = {}
    for number, line in enumerate(lines):
        thread, at, rest = line.rstrip("\n").split(maxsplit=2)
        if rest.startswith(("+++", "---")):
            continue
        begun, since = number, float(at)
        if rest.endswith("<unfinished ...>"):
            under_way[thread] = (begun, since, rest.removesuffix("<unfinished ...>"))
            continue
        if rest.startswith("<... "):
            if thread not in under_way:
                continue
            begun, since, first = under_way.pop(thread)
            rest = first + rest.partition(" resumed>")[2]
        head, _, result = rest.rpartition(" = ")
        if not head or result.startswith(("-1", "?")):
            continue
        name, _, arguments = head.rstrip().removesuffix(")").partition("(")
        what = _what(name, arguments, result, data, door)
        if what is not None:
            yield Call(begun, number, since, what)
    # A write that the end of the trace cut off may have been done, in part: it was begun, and never ended.
    for begun, since, first in under_way.values():
        name, _, arguments = first.partition("(")
        if name == "pwrite64" and (what := _what(name, arguments, "", data, door)) is not None:
            yield Call(begun, 2**60, since, what)


def _what(name: str, arguments: str, result: str, data: str, door: str) -> What | None:
    match name:
        case "pwrite64":
            path, rest = _descriptor(arguments)
            if not _counts(path, data):
                return None
            text, _, numbers = rest.partition('", ')
            content = _bytes(text.lstrip(' "'))
            if result and int(result.split()[0]) != len(content):
                raise NotModelled(f"a short write to {path}: {result}")
            return Write(path, int(numbers.split(",")[1]), content)
        case "write" | "writev" | "sendto" | "sendmsg":
            path, rest = _descriptor(arguments)
            if path.startswith(door):
                said = _bytes(rest.partition('"')[2].partition('"')[0])
                return Answer(int(path.removeprefix(door).split(":")[-1].rstrip("]"))) if _is_200(said) else None
            if name == "write" and _counts(path, data):
                return Append(path, _bytes(rest.partition('"')[2].partition('"')[0]))
            if _counts(path, data):
                raise NotModelled(f"{name} to {path}")
        case "fsync" | "fdatasync":
            path, _ = _descriptor(arguments)
            return Sync(path) if path == data or _counts(path, data) else None
        case "ftruncate":
            path, rest = _descriptor(arguments)
            return Truncate(path, int(rest)) if _counts(path, data) else None
        case "openat" if "O_CREAT" in arguments:
            path = _name(arguments)
            if _counts(path, data):
                return Create(path, empty="O_TRUNC" in arguments)
        case "mkdir" | "unlink":
            path = _name(arguments)
            if _counts(path, data):
                return Mkdir(path) if name == "mkdir" else Unlink(path)
        case "rename":
            path, to = _name(arguments), _name(arguments.partition('", ')[2])
            if _counts(path, data) or _counts(to, data):
                return Rename(path, to)
        case "mmap":
            if "PROT_WRITE" in arguments and "MAP_SHARED" in arguments and "<" in arguments:
                path = _bytes(arguments.partition("<")[2].partition(">")[0]).decode()
                if _counts(path, data):
                    raise NotModelled(f"{path} is written through memory")
        case "openat":
            pass
        case _:
            if any(_counts(path, data) for path in _names(arguments)):
                raise NotModelled(f"{name}({arguments[:200]})")
    return None


def _counts(path: str, data: str) -> bool:
    return path.startswith(f"{data}/") and not path.endswith(VOLATILE) and "/bells" not in path


def _descriptor(arguments: str) -> tuple[str, str]:
    """The file behind it, "" if it has none any more; and the arguments that follow."""
    first, _, rest = arguments.partition(",")
    name = first.partition("<")[2]
    if "(deleted)" in name:
        return "", rest
    name = name.rpartition(">")[0]
    return (_bytes(name).decode() if name.startswith("\\x") else name), rest


def _name(arguments: str) -> str:
    """The first path among the arguments."""
    return _bytes(arguments.partition('"')[2].partition('"')[0]).decode()


def _names(arguments: str) -> Iterator[str]:
    for at, piece in enumerate(arguments.replace("<", '"').replace(">", '"').split('"')):
        if at % 2 and piece.startswith("\\x"):
            yield _bytes(piece).decode(errors="replace")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _is_200(said: bytes) -> bool:
    return said.startswith(b"HTTP/1.1 200 ")
