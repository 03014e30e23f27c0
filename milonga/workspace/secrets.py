"""
Secrets at rest: AES-256-GCM under one key that lies outside the data directory. See docs/decisions/0004-secrets.md.

The key comes from MILONGA_KEY (base64 of 32 bytes), else from the file MILONGA_KEY_FILE, else from `<data>.key` beside
the data directory.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from milonga.workspace.errors import UserError

KEY_BYTES = 32
NONCE_BYTES = 12  #: random for each sealing; what AES-GCM is specified for (NIST SP 800-38D, 8.2)


class Key(Struct, frozen=True):
    """
    raw  the 32 bytes
    id   short name of it that gives nothing away, stored beside everything it sealed
    """

    raw: bytes
    id: str

    def __repr__(self) -> str:
        return f"Key({self.id})"


class Sealed(Struct, frozen=True):
    """
    key_id  of the key that sealed it
    data    nonce, then ciphertext with its tag; None once it was thrown away
    """

    key_id: str
    data: bytes | None


def key_of(raw: bytes) -> Key:
    return Key(raw, hashlib.sha256(b"milonga key id\0" + raw).hexdigest()[:12])


def seal(key: Key, text: str, destination: int, name: str) -> Sealed:
    """`destination` (its id) and `name` (the setting's) are bound in: moved elsewhere, it does not open."""
    nonce = os.urandom(NONCE_BYTES)
    return Sealed(key.id, nonce + AESGCM(key.raw).encrypt(nonce, text.encode(), _place(destination, name)))


def unseal(key: Key, sealed: Sealed, destination: int, name: str) -> str | None:
    """None if it does not open: another key, another place, or damage."""
    if sealed.data is None or sealed.key_id != key.id:
        return None
    try:
        nonce, rest = sealed.data[:NONCE_BYTES], sealed.data[NONCE_BYTES:]
        return AESGCM(key.raw).decrypt(nonce, rest, _place(destination, name)).decode()
    except (InvalidTag, ValueError):
        return None


def _place(destination: int, name: str) -> bytes:
    return f"milonga secret\0{destination}\0{name}".encode()


class KeyProvider:
    """Reads the key when it is first needed, and again when its file changes. Never keeps a wrong one."""

    def __init__(self, data: Path, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        self._given = env.get("MILONGA_KEY", "").strip()
        named = env.get("MILONGA_KEY_FILE", "")
        whole = data.resolve()
        self.path = Path(named).expanduser() if named else whole.with_name(whole.name + ".key")
        self._data = whole
        self._read: tuple[object, Key] | None = None

    @property
    def given(self) -> bool:
        """Whether the key itself is in the environment."""
        return bool(self._given)

    @property
    def where(self) -> str:
        """For people."""
        return "the environment variable MILONGA_KEY" if self._given else f"the key file {self.path}"

    def stamp(self) -> object:
        """Cheap; differs once the key was put there, exchanged or lost."""
        if self._given:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def find(self) -> Key | None:
        """The key, or None if there is none. UserError if there is something that is no key."""
        stamp = self.stamp()
        if self._read is not None and self._read[0] == stamp:
            return self._read[1]
        if self._given:
            key = self._decoded(self._given)
        else:
            self._outside()
            try:
                key = self._decoded(self.path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None
            except OSError as error:
                raise UserError(
                    f"The key file {self.path} cannot be read: {error.strerror}. "
                    "Let the user who runs Milonga read it, or name another with MILONGA_KEY_FILE."
                ) from error
            except UnicodeDecodeError:
                raise self._no_key() from None
        self._read = (stamp, key)
        return key

    def make(self) -> Key:
        """The key; if there is none, a new one. Two processes that make it at once get the same."""
        if (key := self.find()) is not None:
            return key
        text = base64.b64encode(os.urandom(KEY_BYTES)) + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Written in full under another name first, so that nobody reads half a key. mkstemp makes it 0600.
            handle, draft = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):
                    os.link(draft, self.path)
            finally:
                Path(draft).unlink()
            _sync(self.path.parent)
        except OSError as error:
            raise UserError(
                f"The key for secrets cannot be kept in {self.path}: {error.strerror}. "
                "Name a place that can be written with MILONGA_KEY_FILE, or give the key itself in MILONGA_KEY."
            ) from error
        key = self.find()
        if key is None:
            raise UserError(f"The key file {self.path} was removed while it was being made. Try again.")
        return key

    def _outside(self) -> None:
        if self.path.resolve().is_relative_to(self._data):
            raise UserError(
                f"The key file {self.path} lies inside the data directory {self._data}, so that a copy of the one "
                "would hold the other. Name a place outside with MILONGA_KEY_FILE."
            )

    def _decoded(self, text: str) -> Key:
        try:
            raw = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            raise self._no_key() from None
        if len(raw) != KEY_BYTES:
            raise self._no_key()
        return key_of(raw)

    def _no_key(self) -> UserError:
        return UserError(
            f"There is no usable key in {self.where}: it must be the base64 form of {KEY_BYTES} random bytes. "
            "Put the right one back; a first one can be made with: openssl rand -base64 32"
        )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
