"""
A test of a connection: as far as a request would get before it is written, and no further. Nothing is sent.

It goes the way of delivery (curlcall.py): the same libcurl and options, the same judgement of every address when its
socket is about to be opened, TLS 1.2 or later, verified, no proxy. So what passes here passes there.
"""

import socket
import ssl
import threading
import time
from typing import Any, Final

import certifi
import pycurl
from msgspec import Struct
from msgspec.structs import replace

from milonga.delivery.curlcall import OPTIONS, UNSENT, place_of, refusal
from milonga.delivery.opening import allowed_socket
from milonga.delivery.outgoing import Outgoing
from milonga.delivery.sendable import flaw_of
from milonga.destinations.contract import Destination
from milonga.workspace.fields import fields_of

WITHIN: Final = 10.0  #: seconds for name, connection and TLS together
SOON: Final = 14 * 86_400  #: seconds before its end from which a certificate is worth a warning

_TO_DO: Final = {
    "not_set": "Set it, then test again.",
    "bad_url": "Mend the address.",
    "no_address": "Is the name spelled correctly, and does this machine's name server know it?",
    "no_connection": "Is the port right, does the receiver run, and does a firewall let this machine through?",
    "timeout": "Is the port right, and does a firewall let this machine through?",
    "tls": "Its certificate must be valid today, made for this name, come with the ones between it and its authority, "
    "and that authority must be a known one.",
    "forbidden_address": "Set a public address, or start it so if the receiver is in your own network.",
}


class Found(Struct, frozen=True, kw_only=True):
    """
    reached   a connection stood, with TLS that was verified if the address says https
    code      "" if reached; else as NoAnswer's, or not_set: no address is set
    says      what was found, in words
    to_do     what to do about it; "" if nothing
    unproven  what this cannot tell, in words
    where     host and port; "" if there is no address
    address   numeric, that was connected to; "" if none
    secure    by TLS
    until     unix seconds at which the certificate ends; None without one
    seconds   that it took
    """

    reached: bool
    code: str
    says: str
    to_do: str = ""
    unproven: str = ""
    where: str = ""
    address: str = ""
    secure: bool = False
    until: int | None = None
    seconds: float = 0.0


def reached_by(kind: Destination, settings: Struct) -> str:
    """The URL that requests would go to; "" if none is set."""
    if kind.reaches is not None:
        return kind.reaches(settings)
    for field in fields_of(type(settings)):
        if field.address:
            return str(getattr(settings, field.attribute) or "")
    return ""


def probe(
    kind: Destination,
    settings: Struct,
    *,
    allow_private: bool = False,
    ca_file: str | None = None,
    within: float = WITHIN,
    now: float | None = None,
) -> Found:
    """
    Blocks for `within` seconds at most.

    settings  of that kind, saved or not, secrets in the clear: none of them is used
    ca_file   PEM file of the authorities to trust
    now       unix seconds; the clock unless given
    """
    found = _probed(reached_by(kind, settings), kind.label, allow_private, ca_file or certifi.where(), within)
    if found.until is not None:
        found = _with_certificate(found, time.time() if now is None else now)
    return found if not found.reached else replace(found, unproven=kind.unproven)


def _probed(url: str, label: str, allow_private: bool, ca_file: str, within: float) -> Found:
    if not url:
        return _failed("not_set", f"{label} has no address yet.")
    flaw = flaw_of(Outgoing(method="GET", url=url, headers=(), body=b"", timeout=within))
    if flaw is not None:
        return _failed("bad_url", flaw.reason)
    attempt = _Attempt(url, allow_private, ca_file, within)
    # In a thread that nobody waits for longer: libcurl, at its end, waits for a look-up however long that takes.
    thread = threading.Thread(target=attempt.run, daemon=True)
    thread.start()
    thread.join(within + 0.5)
    return attempt.found or _failed("timeout", _no_connection(place_of(url), within), where=place_of(url))


class _Attempt:
    """found  None until it has ended"""

    def __init__(self, url: str, allow_private: bool, ca_file: str, within: float) -> None:
        self._url = url
        self._where = place_of(url)
        self._allow_private = allow_private
        self._ca_file = ca_file
        self._within = within
        self._refused = ""
        self._opened = False
        self._sockets: list[socket.socket] = []
        self.found: Found | None = None

    def run(self) -> None:
        easy = pycurl.Curl()
        try:
            for option, value in OPTIONS:
                easy.setopt(option, value)
            easy.setopt(pycurl.CAINFO, self._ca_file)
            easy.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
            easy.setopt(pycurl.URL, self._url)
            easy.setopt(pycurl.CONNECT_ONLY, 1)
            easy.setopt(pycurl.OPT_CERTINFO, 1)
            easy.setopt(pycurl.TIMEOUT_MS, max(1, int(self._within * 1000)))
            easy.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(self._within * 1000)))
            easy.perform()
            self.found = self._reached(easy)
        except pycurl.error as error:
            self.found = self._not_reached(*error.args[:2])
        except Exception as error:
            self.found = _failed("bad_url", f"This address cannot be connected to: {error}.", where=self._where)
        finally:
            easy.close()
            for one in self._sockets:
                one.close()

    def _open_socket(self, purpose: int, address: Any) -> socket.socket | int:
        found = allowed_socket(address, allow_private=self._allow_private)
        if isinstance(found, str):
            self._refused = found
            return int(pycurl.SOCKET_BAD)
        self._opened = True
        self._sockets.append(found)  # libcurl works on a duplicate of it
        return found

    def _reached(self, easy: pycurl.Curl) -> Found:
        address, secure = easy.getinfo(pycurl.PRIMARY_IP), self._url.lower().startswith("https:")
        return Found(
            reached=True,
            code="",
            says=f"{self._where} is reachable, at {address}"
            + (", TLS valid." if secure else ", without TLS: everything that is sent can be read on its way."),
            to_do="" if secure else "Where the receiver speaks https, let the address begin with https://.",
            where=self._where,
            address=address,
            secure=secure,
            until=_ends(easy.getinfo(pycurl.INFO_CERTINFO)) if secure else None,
            seconds=easy.getinfo(pycurl.PRETRANSFER_TIME) or easy.getinfo(pycurl.CONNECT_TIME),
        )

    def _not_reached(self, code: int, text: str) -> Found:
        if self._refused and not self._opened:
            return _failed("forbidden_address", refusal(self._where, self._refused), where=self._where)
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return _failed("timeout", _no_connection(self._where, self._within), where=self._where)
        name, words = UNSENT.get(code, ("no_connection", "could not be reached"))
        return _failed(name, f"{self._where} {words} ({text[:200].rstrip('.')}).", where=self._where)


def _no_connection(where: str, within: float) -> str:
    return f"No connection to {where} within {within:g} s."


def _failed(code: str, says: str, where: str = "") -> Found:
    return Found(reached=False, code=code, says=says, to_do=_TO_DO[code], where=where)


def _with_certificate(found: Found, now: float) -> Found:
    assert found.until is not None  # noqa: S101  whoever calls has looked
    day = time.strftime("%Y-%m-%d", time.gmtime(found.until))
    says = found.says.replace("TLS valid.", f"TLS valid until {day}.")
    if found.until - now >= SOON:
        return replace(found, says=says)
    return replace(found, says=says, to_do="Its certificate ends soon: see that the receiver gets another in time.")


def _ends(chain: Any) -> int | None:
    """Unix seconds at which the receiver's own certificate ends, of what libcurl tells of all of them."""
    for name, value in chain[0] if chain else ():
        if name == "Expire date":
            try:
                return int(ssl.cert_time_to_seconds(value))
            except ValueError:
                return None
    return None
