"""What a test of the connection finds, against real listeners; it sends none of them anything."""

import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest

from milonga.delivery.probing import Found, probe, reached_by
from milonga.destinations import registry
from milonga.destinations.contract import Destination
from tests.delivery.sending import bound
from tests.delivery.test_sender_tls import certificate as certificate
from tests.delivery.test_sender_tls import tls_server
from tests.running import PATIENCE, eventually

WEBHOOK = registry.kind("webhook")
TOTANGO = registry.kind("totango")
HUSH = "hush-hush-4711"


def found(url: str, **options: Any) -> Found:
    return probe(WEBHOOK, WEBHOOK.settings(url=url), **{"allow_private": True, **options})


class Listener:
    """
    Takes one connection after the other, and remembers what came over each.

    got  bytes of each connection that ended, within TLS if it is spoken
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.got: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._thread.join(PATIENCE)
        self._socket.close()

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.got.append(self._heard(connection))

    def _heard(self, connection: socket.socket) -> bytes:
        connection.settimeout(PATIENCE)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True, suppress_ragged_eofs=True)
        except OSError:
            connection.close()
            return b""
        heard = b""
        with connection:
            try:
                while part := connection.recv(1_000):
                    heard += part
            except OSError:
                pass
        return heard

    def ended(self) -> list[bytes]:
        """Of the one connection there is to be."""
        eventually(lambda: len(self.got) > 0, "the connection has ended")
        return self.got


def test_a_receiver_that_listens_is_reachable_and_gets_nothing() -> None:
    with Listener() as receiver:
        seen = found(receiver.url(f"/in?key={HUSH}"))
        assert receiver.ended() == [b""]
    assert (seen.reached, seen.code, seen.address, seen.secure) == (True, "", "127.0.0.1", False)
    assert seen.where == f"127.0.0.1:{receiver.port}"
    assert "without TLS" in seen.says
    assert seen.unproven == WEBHOOK.unproven
    assert HUSH not in repr(seen)


def test_its_certificate_is_verified_and_its_end_is_told(certificate: Path) -> None:
    now = time.time()
    with Listener(tls_server(certificate)) as receiver:
        url = receiver.url(scheme="https", host="localhost")
        seen = found(url, ca_file=str(certificate), now=now - 20 * 86_400)
        assert receiver.ended() == [b""]
    assert (seen.reached, seen.secure, seen.to_do) == (True, True, "")
    assert seen.until is not None
    assert now < seen.until < now + 2 * 86_400
    assert f"TLS valid until {time.strftime('%Y-%m-%d', time.gmtime(seen.until))}." in seen.says


def test_a_certificate_that_ends_soon_is_worth_a_word(certificate: Path) -> None:
    with Listener(tls_server(certificate)) as receiver:
        seen = found(receiver.url(scheme="https", host="localhost"), ca_file=str(certificate))
    assert seen.reached
    assert "ends soon" in seen.to_do


def test_an_unknown_authority_is_told_with_what_to_do(certificate: Path) -> None:
    with Listener(tls_server(certificate)) as receiver:
        seen = found(receiver.url(scheme="https", host="localhost"))
        assert receiver.ended() == [b""]
    assert (seen.reached, seen.code, seen.until, seen.unproven) == (False, "tls", None, "")
    assert "certificate" in seen.says
    assert "authority" in seen.to_do


def test_a_certificate_of_another_name_is_refused(certificate: Path) -> None:
    with Listener(tls_server(certificate)) as receiver:
        seen = found(receiver.url(scheme="https"), ca_file=str(certificate))
    assert (seen.reached, seen.code) == (False, "tls")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_refused_whatever_they_are_called(host: str) -> None:
    with Listener() as receiver:
        seen = found(receiver.url(f"/?key={HUSH}", host=host), allow_private=False)
    assert (seen.reached, seen.code) == (False, "forbidden_address")
    assert "loopback" in seen.says
    assert "--allow-private-destinations" in seen.says
    assert receiver.got == []
    assert HUSH not in repr(seen)


def test_where_nothing_listens_says_so() -> None:
    with bound(None) as port:
        seen = found(f"http://127.0.0.1:{port}/")
    assert (seen.reached, seen.code) == (False, "no_connection")
    assert "firewall" in seen.to_do


def test_a_listener_that_never_speaks_tls_is_given_up() -> None:
    with bound(8) as port:
        seen = found(f"https://127.0.0.1:{port}/", within=0.3)
    assert (seen.reached, seen.code, seen.says) == (
        False,
        "timeout",
        f"No connection to 127.0.0.1:{port} within 0.3 s.",
    )


def test_a_name_without_an_address_is_told() -> None:
    seen = found("https://nobody.invalid/")
    assert (seen.reached, seen.code, seen.where) == (False, "no_address", "nobody.invalid:443")
    assert "spelled" in seen.to_do


@pytest.mark.parametrize(
    ("url", "code"), [("", "not_set"), ("https://x.example:0/", "bad_url"), ("https://ä.example/", "bad_url")]
)
def test_what_is_no_address_is_not_tried(url: str, code: str) -> None:
    assert (found(url).reached, found(url).code) == (False, code)


def test_totango_is_reached_where_its_region_says_and_never_said_to_confirm_anything() -> None:
    assert reached_by(TOTANGO, TOTANGO.settings()) == "https://sdr.totango.com/pixel.gif/"
    assert reached_by(TOTANGO, TOTANGO.settings(region="eu1")).startswith("https://sdr-eu1.totango.com")
    with Listener() as receiver:
        seen = probe(TOTANGO, TOTANGO.settings(endpoint=receiver.url()), allow_private=True)
    assert seen.reached
    assert "confirms neither" in seen.unproven


@pytest.mark.parametrize("kind", registry.kinds().values(), ids=registry.kinds())
def test_every_kind_says_where_it_sends_and_what_a_test_leaves_open(kind: Destination) -> None:
    assert isinstance(reached_by(kind, kind.settings()), str)
    assert kind.unproven.endswith(".")
