"""
What a backup is on disk: a folder laid out as a data directory, or the same in one tar file; in both a `manifest.json`,
written last, that names every file with its size and SHA-256. It is made under another name and gets its own when it is
complete and durable, so that nothing half done is ever taken for a backup.
"""

import fcntl
import hashlib
import io
import os
import re
import shutil
import tarfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, Protocol

import apsw
import msgspec
from msgspec import Struct

from milonga.cli.copying import copy_database
from milonga.workspace.errors import UserError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MANIFEST_BYTES: Final = 64 * 1024 * 1024  #: at most; a file takes some 130
UNFINISHED: Final = ".unfinished"
TAR: Final = ".tar"
CHUNK: Final = 1024 * 1024  #: bytes read at once
NAMES: Final = re.compile(r"workspace\.db|delivery\.db|log/(\d{16}|counters)\.db|outcomes/(\d{8,18}|counters)\.db")
"""Nothing else is ever taken out of a backup."""


class File(Struct, frozen=True):
    """
    size    bytes
    sha256  hexadecimal
    """

    name: str
    size: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    format    of the backup
    milonga   version that made it
    made_at   unix milliseconds
    formats   kind of file -> format (milonga.cli.copying.known_formats)
    events    first and last offset of the log
    key_file  where the key for its secrets was looked for; None if there are no secrets, or it came from elsewhere
    left_out  file -> why it could not be read
    """

    format: int
    milonga: str
    made_at: int
    formats: dict[str, int]
    events: tuple[int, int]
    key_file: str | None
    left_out: dict[str, str]
    files: list[File]


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """
    An empty folder `<target>.unfinished`, gone when the block ends unless it was renamed. What a killed process has
    left under that name is removed. UserError if another process is at it.
    """
    draft = target.with_name(target.name + UNFINISHED)
    draft.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another backup is just being written to {draft}. Wait for it, or name another.") from None
        _empty(draft)
        try:
            yield draft
        finally:
            with suppress(FileNotFoundError):
                if os.fstat(lock).st_ino == draft.stat().st_ino:
                    shutil.rmtree(draft)
    finally:
        os.close(lock)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def sync(path: Path) -> None:
    """A file's bytes, or a folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_target(target: Path, data: Path) -> None:
    """UserError unless a backup can be put there. An empty folder counts as nothing."""
    whole, within = target.resolve(), data.resolve()
    if whole == within or whole.is_relative_to(within):
        raise UserError(f"{target} lies in the data directory {data}. Name a place outside, best on another disk.")
    if target.is_dir() and os.path.ismount(target):
        raise UserError(f"{target} is where a disk is mounted. Name a folder in it: {target / 'milonga'}")
    if target.exists() and not (target.is_dir() and target.suffix != TAR and not any(target.iterdir())):
        raise UserError(f"{target} is there already. Name a new folder, or a new file that ends in {TAR}.")
    if not target.resolve().parent.is_dir():
        raise UserError(f"There is no folder {target.resolve().parent}. Make it first.")


class Making:
    """A backup being made in a draft. It is complete after `finish`."""

    def __init__(self, draft: Path, *, tar: bool) -> None:
        self._draft = draft
        self._files: dict[str, File] = {}
        self._tar = tarfile.open(draft / "backup.tar", "x", format=tarfile.PAX_FORMAT) if tar else None  # noqa: SIM115
        self.size = 0

    def names(self) -> Collection[str]:
        """See milonga.cli.copying.Taker."""
        return tuple(self._files)

    def add(self, name: str, source: apsw.Connection) -> None:
        """See milonga.cli.copying.Taker."""
        path = self._draft / (name if self._tar is None else "piece")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            copy_database(source, path)
            with path.open("rb") as file:
                self._files[name] = File(name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
                if self._tar is not None:
                    file.seek(0)
                    self._append(self._tar, name, file, path.stat().st_size)
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.size += self._files[name].size
        if self._tar is not None:
            path.unlink()

    @staticmethod
    def _append(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        tar.addfile(entry, file)

    def drop(self, name: str) -> None:
        """See milonga.cli.copying.Taker. What a tar file holds beyond its manifest is never looked at."""
        self.size -= self._files.pop(name).size
        if self._tar is None:
            (self._draft / name).unlink()

    def finish(self, manifest: Manifest, target: Path) -> None:
        """From here on there is a backup. files of the manifest are filled in here."""
        text = msgspec.json.format(
            msgspec.json.encode(msgspec.structs.replace(manifest, files=[*self._files.values()]))
        )
        if self._tar is None:
            path = self._draft / MANIFEST
            path.touch(mode=0o600)
            path.write_bytes(text)
            for part in (path, *(one for one in self._draft.iterdir() if one.is_dir()), self._draft):
                sync(part)
            self._draft.rename(target)
        else:
            self._append(self._tar, MANIFEST, io.BytesIO(text), len(text))
            self._tar.close()
            (self._draft / "backup.tar").chmod(0o600)
            sync(self._draft / "backup.tar")
            (self._draft / "backup.tar").rename(target)
        sync(target.resolve().parent)


class Backup(Protocol):
    """A complete backup, as it claims."""

    manifest: Manifest

    def open(self, name: str) -> IO[bytes]:
        """One of its files. OSError if it is not there."""


class _Folder:
    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path, self.manifest = path, manifest

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")


class _Tar:
    def __init__(self, tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], manifest: Manifest) -> None:
        self._tar, self._members, self.manifest = tar, members, manifest

    def open(self, name: str) -> IO[bytes]:
        found = self._tar.extractfile(self._members[name]) if name in self._members else None
        if found is None:
            raise FileNotFoundError(2, "It is missing", name)
        return found


@contextmanager
def opened_backup(path: Path) -> Iterator[Backup]:
    """UserError for what is no backup, or was cut short."""
    if not path.exists():
        raise UserError(f"There is no {path}.")
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise _no_backup(path)
        with (path / MANIFEST).open("rb") as file:
            yield _Folder(path, _manifest_of(file.read(MANIFEST_BYTES), path))
        return
    try:
        tar = tarfile.open(path, "r:")  # noqa: SIM115
    except tarfile.TarError:
        raise _no_backup(path) from None
    with tar:
        try:
            members = {member.name: member for member in tar if member.isreg()}
            found = tar.extractfile(members[MANIFEST])
            assert found is not None  # noqa: S101
            text = found.read(MANIFEST_BYTES)
        except (KeyError, tarfile.TarError):
            raise _no_backup(path) from None
        yield _Tar(tar, members, _manifest_of(text, path))


def _no_backup(path: Path) -> UserError:
    return UserError(
        f"{path} is no complete backup: it has no {MANIFEST}. One that was cut short cannot be restored, and one that "
        f"is being made is called ...{UNFINISHED}. Take another."
    )


def _manifest_of(text: bytes, path: Path) -> Manifest:
    try:
        about = msgspec.json.decode(text, type=dict[str, object])
        if isinstance(about.get("format"), int) and about["format"] != FORMAT:
            raise UserError(
                f"{path} was made by a newer Milonga (format {about['format']}, version {about.get('milonga')}; this "
                f"one knows {FORMAT}). Restore it with that one."
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise UserError(f"The {MANIFEST} of {path} is damaged ({error}). Take another backup.") from error
    for file in manifest.files:
        if not NAMES.fullmatch(file.name) or file.size < 0:
            raise UserError(f"The {MANIFEST} of {path} names a file that no data directory has. Nothing was done.")
    return manifest


def take_out(backup: Backup, file: File, target: Path) -> None:
    """Durable on return, and surely as it was put in. UserError if it is damaged."""
    digest, size = hashlib.sha256(), 0
    target.touch(mode=0o600)
    try:
        with backup.open(file.name) as source, target.open("wb") as out:
            while chunk := source.read(min(CHUNK, file.size + 1 - size)):
                size += len(chunk)
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    except (FileNotFoundError, tarfile.TarError) as error:
        raise _damaged(file.name, str(error)) from error
    if (size, digest.hexdigest()) != (file.size, file.sha256):
        raise _damaged(file.name, f"{size} bytes of {file.size}" if size != file.size else "its checksum does not fit")


def _damaged(name: str, why: str) -> UserError:
    return UserError(
        f"The backup is damaged: {name} ({why}). Take another one. Without another: a backup is laid out as a data "
        "directory (a tar file holds one), and a server starts on what is copied from it by hand, damage or not."
    )
