"""
What holds for every request before a page sees it, and for every answer: which names we answer to, how much we read,
where a change may come from, and what a browser may do with a page.
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY: Final = 2 * 1024 * 1024  #: bytes
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class Guard:
    """Around the whole application."""

    def __init__(self, app: ASGIApp, names: tuple[str, ...], *, secure: bool) -> None:
        """
        names   that we have, lower case, beside addresses of any machine and localhost
        secure  pages come by https
        """
        self._app, self._names, self._secure = app, frozenset(names), secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if len(headers.getlist("host")) != 1 or not self._knows(headers.get("host", "")):
            words = "Milonga's console does not answer to this name. Start it with --console-url if it is right.\n"
            await PlainTextResponse(words, 421)(scope, receive, self._telling(send))
            return
        by_https = is_by_https(scope.get("scheme", "http"), headers.get("host", ""), behind_https=self._secure)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and (where := strange_origin(headers, by_https=by_https)):
            words = f"Refused: this request was made by a page of {where[:200]!r}, not by one of ours.\n"
            await PlainTextResponse(words, 403)(scope, receive, self._telling(send))
            return
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > MOST_BODY:
            words = f"Refused: more than {MOST_BODY:,} bytes.\n"
            await PlainTextResponse(words, 413)(scope, receive, self._telling(send))
            return
        await self._app(scope, _bounded(receive), self._telling(send))

    def _knows(self, host: str) -> bool:
        """A name that was not given to us may be a stranger's that leads here (DNS rebinding); an address is none."""
        bare = bare_name(host)
        if bare == "localhost" or bare in self._names:
            return True
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            return False
        return True

    def _telling(self, send: Send) -> Send:
        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                if self._secure:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        return tell


def bare_name(host: str) -> str:
    """Of a Host header, without the port, lower case; "" if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".") if host.isascii() and "@" not in host else ""
    except ValueError:
        return ""


def is_by_https(scheme: str, host: str, *, behind_https: bool) -> bool:
    """
    scheme        of the connection to us
    host          the Host header
    behind_https  people reach the console by https, which may be a proxy's. Whoever asks for a loopback name without it
                  is on this machine, or comes through a tunnel
    """
    return scheme == "https" or (behind_https and not _is_loopback(bare_name(host)))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def strange_origin(headers: Headers, *, by_https: bool) -> str:
    """
    Who asks, if it is a page that is not ours; "" if it is ours, or no browser. Browsers always say so on a POST.

    by_https  a page of the same name without TLS, which anybody on the way can write, is not ours
    """
    origin = headers.get("origin")
    if origin is not None:
        try:
            split = urlsplit(origin)
        except ValueError:
            return origin
        ours = split.netloc.lower() == headers.get("host", "").lower() and (split.scheme == "https" or not by_https)
        return "" if ours else origin
    site = headers.get("sec-fetch-site", "same-origin")
    return "" if site in ("same-origin", "none") else site


class TooMuch(Exception):
    """The body is longer than MOST_BODY."""


def _bounded(receive: Receive) -> Receive:
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MOST_BODY:
            raise TooMuch
        return message

    return bounded
