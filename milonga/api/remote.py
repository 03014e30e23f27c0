"""One request to the API of a Milonga elsewhere, over HTTP. What goes wrong is told in words."""

import json
import os
import re
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import certifi
from msgspec import Struct

from milonga import __version__
from milonga.api.problem import VERSION, Problem, is_problem

PATIENCE: Final = 90.0  #: seconds; longer than the API works at any answer
MOST: Final = 256 * 1024 * 1024  #: bytes of an answer
VERSION_FORM: Final = re.compile(r"[0-9A-Za-z.+_-]{1,40}")


class BadAddress(ValueError):
    """It is no address that a Milonga could have. Write it like https://milonga.example.com:8081."""


class Got(Struct, frozen=True):
    """
    told     JSON
    version  of the server; "" if it does not say
    """

    told: dict[str, Any]
    version: str


class Server(Struct, frozen=True):
    """
    Whom to ask.

    secure  https; its certificate is checked
    prefix  of its paths, where something in front of it puts one; without a slash at the end
    token   "" if there is none
    """

    secure: bool
    host: str
    port: int
    prefix: str
    token: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.secure else ''}://{host}:{self.port}{self.prefix}"

    @property
    def in_the_clear(self) -> bool:
        """Whether others may read along on the way."""
        if self.secure or self.host == "localhost":
            return False
        try:
            return not ip_address(self.host).is_loopback
        except ValueError:
            return True

    def ask(self, method: str, path: str, body: bytes | None) -> Got:
        """A Problem: the server's own, with its version among the headers, or 502 for what went wrong on the way."""
        headers = {"Accept": "application/json", "User-Agent": f"milonga/{__version__}"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, f"{self.prefix}{path}", body, headers)
            with connection.getresponse() as answer:
                text, version = answer.read(MOST + 1), answer.headers.get(VERSION, "")
        except TimeoutError:
            raise self._trouble(f"No answer within {PATIENCE:g} seconds.") from None
        except ssl.SSLCertVerificationError as error:
            said = f"Its certificate cannot be trusted: {error.verify_message}."
            raise self._trouble(f"{said} SSL_CERT_FILE may name the certificate of an authority of your own.") from None
        except (OSError, HTTPException) as error:
            said = str(getattr(error, "strerror", None) or error) or type(error).__name__
            raise self._trouble(f"It cannot be reached: {said}. Does the console run there, on this port?") from None
        finally:
            connection.close()
        return self._read(answer.status, text, version if VERSION_FORM.fullmatch(version) else "")

    def _read(self, status: int, text: bytes, version: str) -> Got:
        try:
            told = json.loads(text)
        except ValueError:
            told = None
        if len(text) > MOST or not isinstance(told, dict) or (status >= 300 and not is_problem(told)):
            raise self._trouble(f"What answers there (status {status}) is no API of Milonga's.")
        if status >= 300:
            code, field = str(told.get("code")), str(told.get("field", ""))
            raise Problem(status, code, str(told["detail"]), field=field, headers={VERSION: version})
        return Got(told, version)

    def _connection(self) -> HTTPConnection:
        if not self.secure:
            return HTTPConnection(self.host, self.port, timeout=PATIENCE)
        trusted = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
        return HTTPSConnection(self.host, self.port, timeout=PATIENCE, context=trusted)

    def _trouble(self, said: str) -> Problem:
        return Problem(502, "unreachable", f"{self.url}: {said}")


def server_at(url: str, token: str) -> Server:
    """BadAddress, ValueError if the token is none that could be sent."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise BadAddress(BadAddress.__doc__) from None
    host = parts.hostname or ""
    odd = parts.username or parts.password or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not host or odd or not _is_plain(url):
        raise BadAddress(BadAddress.__doc__)
    if not _is_plain(token):
        raise ValueError("A token has no spaces and no line breaks within it.")
    secure = parts.scheme == "https"
    return Server(secure, host, port or (443 if secure else 80), parts.path.rstrip("/"), token)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
