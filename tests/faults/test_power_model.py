"""The model of a disk keeps what was synced, and nothing else for sure; the trace is read as strace writes it."""

from random import Random

import pytest

from tests.faults.power.disk import Disk, Model
from tests.faults.power.trace import (
    Answer,
    Append,
    Call,
    Create,
    Mkdir,
    NotModelled,
    Rename,
    Sync,
    Truncate,
    What,
    Write,
    calls,
)

MODELS: tuple[Model, ...] = ("strict", "journal")


def done(*whats: What) -> list[Call]:
    """One after the other."""
    return [Call(2 * place, 2 * place + 1, float(place), what) for place, what in enumerate(whats)]


def found(disk: Disk, cut: int, model: Model = "strict") -> list[dict[str, bytes | None]]:
    """What many throws of the dice leave."""
    return [disk.after(cut, model, Random(seed)) for seed in range(200)]


@pytest.mark.parametrize("model", MODELS)
def test_what_was_synced_is_there_and_what_was_not_is_there_sometimes(model: Model) -> None:
    base = {"/d": None, "/d/f": b"old"}
    disk = Disk(base, done(Write("/d/f", 0, b"new"), Sync("/d/f"), Write("/d/f", 3, b"er")))
    assert {image["/d/f"] for image in found(disk, 1, model)} >= {b"old", b"new"}  # begun, not synced
    assert {image["/d/f"] for image in found(disk, 2, model)} >= {b"old", b"new"}  # the sync has only begun
    assert {image["/d/f"] for image in found(disk, 3, model)} == {b"new"}
    assert {image["/d/f"] for image in found(disk, 5, model)} == {b"new", b"newer"}


def test_a_write_that_ended_after_a_sync_began_is_not_safe() -> None:
    calls = [Call(0, 2, 0.0, Write("/d/f", 0, b"new")), Call(1, 3, 0.0, Sync("/d/f"))]
    assert {image["/d/f"] for image in found(Disk({"/d": None, "/d/f": b"old"}, calls), 9)} == {b"new", b"old"}


def test_writes_get_there_in_any_order_and_in_part() -> None:
    calls = done(Write("/d/f", 0, b"a" * 1024), Write("/d/f", 1024, b"b" * 1024))
    images = {image["/d/f"] or b"" for image in found(Disk({"/d": None, "/d/f": b""}, calls), 9)}
    assert bytes(1024) + b"b" * 1024 in images  # the second without the first
    assert bytes(512) + b"a" * 512 in images  # the second sector of the first alone
    assert b"a" * 1024 + b"b" * 1024 in images


def test_a_name_is_safe_once_its_folder_is_synced_and_the_folders_around_it() -> None:
    calls = done(Mkdir("/d/log"), Create("/d/log/f"), Write("/d/log/f", 0, b"x"), Sync("/d/log/f"), Sync("/d/log"))
    disk = Disk({"/d": None}, calls)
    assert any("/d/log/f" not in image for image in found(disk, 9))
    assert all("/d/log" in image for image in found(disk, 9) if "/d/log/f" in image)
    assert all(image["/d/log/f"] == b"x" for image in found(disk, 9, "journal"))
    synced = Disk({"/d": None}, [*calls, Call(10, 11, 5.0, Sync("/d"))])
    assert all(image["/d/log/f"] == b"x" for image in found(synced, 11))


def test_a_journal_keeps_the_order_of_names_and_takes_along_what_came_before() -> None:
    calls = done(Create("/d/a"), Create("/d/b"), Rename("/d/b", "/d/c"), Write("/d/c", 0, b"c"), Sync("/d/c"))
    disk = Disk({"/d": None}, calls)
    for image in found(disk, 7, "journal"):
        assert "/d/a" in image or not ("/d/b" in image or "/d/c" in image)
    assert all({"/d/a", "/d/c"} <= image.keys() for image in found(disk, 9, "journal"))
    assert any("/d/c" not in image for image in found(disk, 9, "strict"))


def test_a_truncation_is_a_write() -> None:
    disk = Disk({"/d": None, "/d/f": b"long"}, done(Truncate("/d/f", 1)))
    assert {image["/d/f"] for image in found(disk, 9)} == {b"l", b"long"}


def test_a_file_that_is_written_anew_is_empty_or_holds_the_old_or_the_new() -> None:
    calls = done(Create("/d/f", empty=True), Append("/d/f", b"new"), Append("/d/f", b"er"))
    images = {image["/d/f"] for image in found(Disk({"/d": None, "/d/f": b"old"}, calls), 9)}
    assert {b"old", b"", b"new", b"newer"} <= images


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def test_a_trace_of_two_threads_is_read_in_its_true_order() -> None:
    file = hexed("/d/f")
    said = hexed("HTTP/1.1 200 OK")
    lines = [
        f'7 1.5 openat(AT_FDCWD<{hexed("/")}>, "{file}", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5<{file}>',
        f'7 1.6 pwrite64(5<{file}>, "{hexed("one")}", 3, 8 <unfinished ...>',
        f'8 1.7 write(9<TCP:[127.0.0.1:80->127.0.0.1:4711]>, "{said}", 15) = 15',
        "7 1.8 <... pwrite64 resumed>) = 3",
        f"7 1.9 fdatasync(5<{file}>) = 0",
        f'7 2.0 pwrite64(5<{file}>, "x", 1, 8) = -1 ENOSPC (No space left on device)',
        f'7 2.1 pwrite64(6<{hexed("/d/f-shm")}>, "{hexed("x")}", 1, 8) = 1',
        f'7 2.2 pwrite64(7<{file}>(deleted), "{hexed("x")}", 1, 8) = 1',
        f'8 2.3 write(9<TCP:[127.0.0.1:80->127.0.0.1:4711]>, "{hexed("HTTP/1.1 503 ")}", 13) = 13',
        "8 2.4 +++ killed by SIGKILL +++",
    ]
    assert [(call.begun, call.ended, call.what) for call in calls(lines, "/d", 80)] == [
        (0, 0, Create("/d/f")),
        (2, 2, Answer(4711)),
        (1, 3, Write("/d/f", 8, b"one")),
        (4, 4, Sync("/d/f")),
    ]


@pytest.mark.parametrize(
    "line",
    [
        f'writev(5<{hexed("/d/f")}>, [{{iov_base="{hexed("x")}", iov_len=1}}], 1) = 1',
        f'link("{hexed("/d/f")}", "{hexed("/d/g")}") = 0',
        f"mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 5<{hexed('/d/f')}>, 0) = 0x7f",
    ],
)
def test_what_the_model_does_not_know_is_not_passed_over(line: str) -> None:
    with pytest.raises(NotModelled):
        calls([f"7 1.0 {line}"], "/d", 80)
