"""`milonga backup` and `milonga restore`: a consistent copy of the data directory, and the way back."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Final

import apsw
import typer

from milonga import __version__
from milonga.cli.archive import (
    FORMAT,
    NAMES,
    TAR,
    Backup,
    Making,
    Manifest,
    check_target,
    draft_of,
    opened_backup,
    sync,
    take_out,
)
from milonga.cli.choosing import say_it_is_here
from milonga.cli.common import DATA, DataOption, JsonOption, note, told
from milonga.cli.copying import copy
from milonga.cli.returning import Returned, later_state, regulate, remove_draft
from milonga.cli.terminal import many, print_json
from milonga.eventlog.aside import with_companions
from milonga.eventlog.levels import MB
from milonga.eventlog.room import Room
from milonga.facts.directory import exists
from milonga.facts.formats import LOG, OUTCOMES, known_formats, read_only
from milonga.outcomes.words import instant
from milonga.workspace import database, lock
from milonga.workspace.errors import UserError
from milonga.workspace.lock import DataLock
from milonga.workspace.secrets import KeyProvider

HALF: Final = ".restoring"  #: at the end of workspace.db's name until everything else is in place
NOT_COUNTED: Final = {"lost+found", lock.NAME}  #: a directory with nothing else in it is empty


def backup(
    target: Annotated[
        Path,
        typer.Argument(metavar="FILE_OR_FOLDER", help=f"A new folder; a name that ends in {TAR} makes one file."),
    ],
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Copy the data directory as of one moment, also beside a running server. The key for secrets is not in it."""
    say_it_is_here("backup", data)
    with told(), _disk_told():
        if not exists(data):
            raise UserError(
                f"There is no workspace in {data.absolute()}. Is that the right directory (--data, MILONGA_DATA)?"
            )
        check_target(target, data)
        _check_room(data, target.resolve().parent)
        keys = KeyProvider(data)
        with draft_of(target) as draft:
            making = Making(draft, tar=target.suffix == TAR)
            copied = copy(data, making)
            manifest = Manifest(
                format=FORMAT,
                milonga=__version__,
                made_at=time.time_ns() // 1_000_000,
                formats=copied.formats,
                events=(copied.first, copied.last),
                key_file=str(keys.path) if key_ids(data / database.NAME) and not keys.given else None,
                left_out=copied.left_out,
                files=[],
            )
            making.finish(manifest, target)
    if json:
        print_json(_told_of(manifest) | {"backup": str(target), "bytes": making.size})
    else:
        typer.echo(f"{target}: {_events(manifest)}; {_megabytes(making.size)}.")
        if manifest.key_file is not None:
            typer.echo(f"The key for its secrets is not in it: keep a copy of {manifest.key_file} in another place.")
        elif keys.given:
            typer.echo("The key for its secrets (MILONGA_KEY) is not in it: keep a copy in another place.")
    if manifest.left_out:
        _tell_left_out(manifest)
        raise typer.Exit(1)


def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `milonga backup` made.")],
    regulations_of: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR_OR_BACKUP",
            help="The data directory that this one replaces, or a newer backup: who was suppressed or deleted since.",
        ),
    ] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Put a backup into a data directory that is empty or not there yet."""
    say_it_is_here("restore", data)
    with told(), _disk_told(), opened_backup(source) as found:
        _check_formats(found.manifest, source)
        _check_empty(data)
        with DataLock.acquire(data, "restore"):
            _check_empty(data)  # nobody came in between
            returned = _take_out_all(found, data, regulations_of)
        key, opens = key_words(data, found.manifest.key_file)
    manifest = found.manifest
    if json:
        print_json(
            _told_of(manifest)
            | {"data": str(data), "keyIds": sorted(key_ids(data / database.NAME)), "keyFits": opens}
            | {"regulationsTakenOver": returned.taken_over, "usersToErase": returned.users}
            | {"notLookedThrough": list(returned.unread)}
        )
    else:
        typer.echo(f"{data}: {_events(manifest)}, as of {instant(manifest.made_at)}. {key}")
        typer.echo("What waited then is sent when a server starts, also what has been delivered since; what has become")
        typer.echo("too old meanwhile ends as expired.")
        for line in _of_users(returned):
            typer.echo(line)
        typer.echo("Users of the console, their passwords and API tokens are those of then; nobody is logged in.")
        typer.echo(f"Start it with: milonga serve --data {data}")
    for name in returned.unread:
        note(f"{name} cannot be looked through for users who were deleted.")
    if manifest.left_out:
        _tell_left_out(manifest)


def _of_users(returned: Returned) -> Iterator[str]:
    if returned.taken_over is None:
        yield "Users who were deleted or suppressed since then are back: restore again with --regulations-of and the"
        yield "directory that this one replaces, or name them again before you start it (`milonga regulations --help`)."
    else:
        yield f"Taken over: {many(returned.taken_over, 'later regulation')}, and who is suppressed."
    if returned.users:
        yield f"{many(returned.users, 'deleted user')} came back with it: erased again when the server starts."


@contextmanager
def _disk_told() -> Iterator[None]:
    """What a disk refuses, in words."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{error.filename or 'The disk'}: {error.strerror}. What was begun is removed.") from error
    except apsw.Error as error:
        raise UserError(
            f"A file cannot be copied: {error} ({type(error).__name__}). What was begun is removed."
        ) from error


def _told_of(manifest: Manifest) -> dict[str, object]:
    return {
        "madeAt": instant(manifest.made_at),
        "milonga": manifest.milonga,
        "firstOffset": manifest.events[0],
        "lastOffset": manifest.events[1],
        "keyFile": manifest.key_file,
        "leftOut": manifest.left_out,
    }


def _events(manifest: Manifest) -> str:
    first, last = manifest.events
    return f"events {first} to {last} of the log" if last >= first else "no events yet"


def _megabytes(size: int) -> str:
    return f"{size / MB:,.1f} MB"


def _tell_left_out(manifest: Manifest) -> None:
    for name, why in sorted(manifest.left_out.items()):
        note(f"{name} is not in it: it cannot be read ({why}). `milonga check` says what that means.")


# Before


def _check_room(data: Path, folder: Path) -> None:
    """UserError rather than a full disk. On the data directory's own disk the server keeps its reserve."""
    size = 0
    for path in [data / database.NAME, *data.glob("delivery.db"), *data.glob("log/*.db"), *data.glob("outcomes/*.db")]:
        for part in with_companions(path)[:2]:
            try:
                size += part.stat().st_size
            except FileNotFoundError:
                continue
    same_disk = folder.stat().st_dev == data.stat().st_dev
    if Room(folder, None if same_disk else 0).is_short(size):
        keeps = " beyond what the server needs to go on" if same_disk else ""
        raise UserError(f"{folder} has no room for {_megabytes(size)}{keeps}. Free some, or name another disk.")


def _check_formats(manifest: Manifest, source: Path) -> None:
    known = known_formats()
    newer = [kind for kind, version in sorted(manifest.formats.items()) if version > known.get(kind, 0)]
    if newer:
        raise UserError(
            f"{source} was made by a newer Milonga ({manifest.milonga}): this one cannot read its {', '.join(newer)}. "
            "Restore it with that one. Nothing was changed."
        )


def _check_empty(data: Path) -> None:
    """What a restore that was cut short has left counts as nothing."""
    if data.exists() and not data.is_dir():
        raise UserError(f"{data} is a file, not a directory. Choose another place with --data.")
    there = {path.name for path in data.iterdir()} - NOT_COUNTED if data.exists() else set()
    if there and not database.is_unfinished(data / database.NAME):
        raise UserError(
            f"{data} is not empty ({', '.join(sorted(there)[:3])}). A backup goes only into an empty directory: name "
            "another with --data, or move what is there away. Nothing was changed."
        )


# The way back


def _take_out_all(found: Backup, data: Path, regulations_of: Path | None) -> Returned:
    """
    The workspace stands there last: until then nothing can be begun with what there is. If it fails, nothing is left.
    """
    unfinished = data / database.NAME
    try:
        _clear(data)
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(database.UNFINISHED)
        sync(unfinished)
        sync(data)
        later = None if regulations_of is None else later_state(regulations_of, data)
        for folder in (LOG, OUTCOMES):
            (data / folder).mkdir(mode=0o700)
        half = data / f"{database.NAME}{HALF}"
        names = set()
        for file in found.manifest.files:
            take_out(found, file, half if file.name == database.NAME else data / file.name)
            names.add(file.name)
        if database.NAME not in names:
            raise UserError("The backup has no workspace.db: nothing can be done with it. Take another.")  # noqa: TRY301
        for folder in (LOG, OUTCOMES):
            sync(data / folder)
        returned = regulate(half, data, found.manifest.events[1], later)
        half.rename(unfinished)
        sync(data)
    except BaseException:
        if database.is_unfinished(unfinished):
            _clear(data)
        raise
    return returned


def _clear(data: Path) -> None:
    """What a restore makes. The workspace last: as long as there is anything, it must say that it is not complete."""
    if not database.is_unfinished(data / database.NAME):
        return
    remove_draft(data)
    for half in data.glob(f"{database.NAME}{HALF}*"):
        half.unlink()
    for folder in (data / LOG, data / OUTCOMES, data):
        for path in folder.glob("*.db"):
            if NAMES.fullmatch(path.relative_to(data).as_posix()) and path.name != database.NAME:
                for part in with_companions(path):
                    part.unlink(missing_ok=True)
        if folder != data and folder.exists():
            folder.rmdir()
    (data / database.NAME).unlink()


def key_ids(workspace: Path) -> set[str]:
    """Of the keys that the secrets in there are sealed with."""
    with closing(read_only(workspace)) as db:
        return {row[0] for row in db.execute("SELECT key_id FROM secret WHERE sealed IS NOT NULL")}


def key_words(data: Path, was: str | None = None) -> tuple[str, bool]:
    """
    Which key is needed, and whether what a server would find here fits.

    was  where the key was when the backup was made
    """
    ids, keys = key_ids(data / database.NAME), KeyProvider(data)
    if not ids:
        return "It holds no secrets: no key is needed.", True
    try:
        key = keys.find()
    except UserError as error:
        return str(error), False
    if key is not None and ids == {key.id}:
        return f"Its secrets open with {keys.where}.", True
    if key is not None and key.id in ids:
        others = ", ".join(sorted(ids - {key.id}))
        return f"Some of its secrets open with {keys.where}; others were sealed with the key {others}.", False
    found = f"{keys.where} holds another ({key.id})" if key is not None else f"{keys.where} is not there"
    before = "" if was is None else f" (it was in {was})"
    words = (
        f"Its secrets need the key {' and '.join(sorted(ids))}{before}, and {found}. Put the key file there, or name "
        "it with MILONGA_KEY_FILE; until then the destinations that have secrets are paused and keep what arrives."
    )
    return words, False
