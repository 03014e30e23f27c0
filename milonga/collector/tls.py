"""TLS of our own, for a server without a proxy in front. The files are read again when they change."""

import os
import ssl
from pathlib import Path
from typing import Final, TypeAlias

import structlog

_log = structlog.get_logger("milonga.collector")

_Seen: TypeAlias = tuple[tuple[int, int, int], ...]

HANDSHAKE: Final = 10.0  #: seconds a sender has for its part of the handshake
GOODBYE: Final = 2.0  #: seconds it has to confirm the end


class BadCertificate(ValueError):
    """The files cannot be used; the message says which, and why."""


class Tls:
    """
    context  for new connections, TLS 1.2 and later; connections that are there keep what they began with
    """

    def __init__(self, cert: Path, key: Path) -> None:
        """
        cert  PEM: the certificate, then those that vouch for it
        key   PEM: its private key, not encrypted

        BadCertificate.
        """
        self._cert, self._key = cert, key
        self._seen = self._files()
        self.context = _context(cert, key)

    def look(self) -> None:
        """Every now and then: have the files changed? What cannot be used is told once, and the old one stays."""
        seen = self._files()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            _context(self._cert, self._key)  # half of a pair must never get into the one in use
            self.context.load_cert_chain(self._cert, self._key, _no_password)
        except (BadCertificate, OSError) as error:
            _log.error("certificate_unusable", error=str(error), then="the one before stays in use")
        else:
            _log.info("certificate_renewed", file=str(self._cert))

    def _files(self) -> _Seen:
        found = []
        for path in (self._cert, self._key):
            try:
                stat = os.stat(path)  # noqa: PTH116 - as Path does, in a third of the time
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return tuple(found)


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    """BadCertificate."""
    for path, what in ((cert, "certificate"), (key, "key")):
        try:
            path.read_bytes()
        except OSError as error:
            raise BadCertificate(f"The {what} {path} cannot be read: {error.strerror}.") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, _no_password)
    except ssl.SSLError as error:
        raise BadCertificate(_words(cert, key, error)) from None
    return context


def _no_password() -> str:
    """Without it, OpenSSL would ask the terminal."""
    raise BadCertificate("The key is encrypted. Give one without a password: openssl pkey -in KEY -out PLAIN-KEY.")


def _words(cert: Path, key: Path, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"The key {key} does not belong to the certificate {cert}. If there is a chain, ours must come first."
    if "BEGIN CERTIFICATE" not in cert.read_text("latin-1"):
        return f"{cert} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)."
    if "PRIVATE KEY" not in key.read_text("latin-1"):
        return f"{key} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)."
    return f"{cert} and {key} cannot be used: {error.reason or error}."
