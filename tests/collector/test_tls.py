"""TLS of our own: real certificates, real handshakes, on both event loops."""

import asyncio
import socket
import ssl
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from milonga.collector.answers import Answer, answer_of
from milonga.collector.ask import Ask
from milonga.collector.connection import Patience
from milonga.collector.server import HttpServer
from milonga.collector.tls import BadCertificate, Tls
from tests.collector.parts import BASIC, EVENT, HEAD, Bench, Front, Server, request, run
from tests.running import eventually


@pytest.fixture(params=["own", "uvloop"])
def front(request: pytest.FixtureRequest) -> Front:
    kind: Front = request.param
    return kind


def make(folder: Path, name: str = "localhost", password: bytes | None = None) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed))
    return cert_file, key_file


def trusting(cert: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(cert))


def ask(server: Server, cert: Path, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = HTTPSConnection("localhost", server.port, timeout=10, context=trusting(cert))
    connection.connect()
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def talk(server: Server, cert: Path, sent: bytes) -> bytes:
    with (
        socket.create_connection((server.host, server.port), timeout=10) as plain,
        trusting(cert).wrap_socket(plain, server_hostname="localhost") as link,
    ):
        link.sendall(sent)
        answer = b""
        while part := link.recv(65536):
            answer += part
        return answer


def test_events_are_taken_over_tls(front: Front, tmp_path: Path) -> None:
    cert, key = make(tmp_path)
    bench = Bench()
    with bench.listening(front, tls=Tls(cert, key)) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert ask(server, cert, "POST", "/v1/t", EVENT, Authorization=BASIC) == (200, b'{"success": true}')
        answer = talk(server, cert, request() + request() + request(EVENT, b"Connection: close"))
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
        large = b'{"batch":[' + b",".join([EVENT] * 2000) + b"]}"
        assert ask(server, cert, "POST", "/v1/b", large, Authorization=BASIC)[0] == 200
    assert len(bench.events) == 1


def test_who_serves_browsers_is_told_that_it_is_tls(front: Front, tmp_path: Path) -> None:
    asks: list[Ask] = []

    def serve(one: Ask) -> Answer:
        asks.append(one)
        return answer_of(200, b"text/plain", b"x" * 3_000_000)

    cert, key = make(tmp_path)
    with Bench(serve=serve).listening(front, tls=Tls(cert, key)) as server:
        status, body = ask(server, cert, "GET", "/x")
        assert (status, len(body)) == (200, 3_000_000)
    assert [(one.host, one.secure) for one in asks] == [(f"localhost:{server.port}", True)]


def test_what_is_refused_can_be_read_over_tls_too(front: Front, tmp_path: Path) -> None:
    cert, key = make(tmp_path)
    patience = Patience(head=0.1, stall=0.1, take=5, idle=5, linger=0.2, tick=0.02)
    with Bench().listening(front, tls=Tls(cert, key), patience=patience) as server:
        assert b'"code":"invalid_http"' in talk(server, cert, b"nonsense\r\n\r\n")
        assert b'"code":"slow_body"' in talk(server, cert, HEAD + b"Content-Length: 5\r\n\r\n{")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(tmp_path: Path, version: ssl.TLSVersion) -> None:
    cert, key = make(tmp_path)
    tls = Tls(cert, key)
    assert tls.context.minimum_version == ssl.TLSVersion.TLSv1_2
    with Bench().listening(tls=tls) as server:
        context = trusting(cert)
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection((server.host, server.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as link,
        ):
            assert link.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
            assert link.selected_alpn_protocol() == "http/1.1"


def test_who_never_ends_the_handshake_is_cut_off(front: Front, tmp_path: Path) -> None:
    cert, key = make(tmp_path)
    with Bench().listening(front, tls=Tls(cert, key), handshake=0.2) as server:
        for first in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection((server.host, server.port), timeout=10) as link:
                link.sendall(first)
                try:
                    while link.recv(1000):
                        pass
                except ConnectionResetError:
                    pass
        assert ask(server, cert, "GET", "/healthz")[0] == 200


def test_who_begins_many_handshakes_loses_the_oldest_and_keeps_nobody_out(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milonga.collector.server.MOST_HANDSHAKES", 5)
    cert, key = make(tmp_path)
    with Bench().listening(front, tls=Tls(cert, key), handshake=60) as server, ExitStack() as links:
        begun = [links.enter_context(socket.create_connection((server.host, server.port), 60)) for _ in range(20)]
        for link in begun[:15]:
            with suppress(ConnectionResetError):
                assert link.recv(1) == b""
        assert ask(server, cert, "GET", "/healthz")[0] == 200
        begun[-1].settimeout(0.1)
        with pytest.raises(TimeoutError):
            begun[-1].recv(1)


def test_a_new_certificate_is_taken_up_and_connections_go_on(front: Front, tmp_path: Path) -> None:
    cert, key = make(tmp_path)
    old = tmp_path / "old.pem"
    old.write_bytes(cert.read_bytes())
    tls = Tls(cert, key)
    with Bench().listening(front, tls=tls, patience=Patience(tick=0.02)) as server:
        kept = HTTPSConnection("localhost", server.port, timeout=10, context=trusting(old))
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        make(tmp_path)

        def is_new() -> bool:
            try:
                return ask(server, cert, "GET", "/healthz")[0] == 200
            except ssl.SSLCertVerificationError:
                return False

        eventually(is_new, "the new certificate is shown")
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() == b'{"status":"alive"}'
        kept.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(server, old, "GET", "/healthz")


def test_half_a_pair_is_told_and_the_old_one_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cert, key = make(tmp_path)
    old = tmp_path / "old.pem"
    old.write_bytes(cert.read_bytes())
    tls = Tls(cert, key)
    with Bench().listening(tls=tls, patience=Patience(tick=60)) as server:
        other, other_key = make(tmp_path / "other")
        cert.write_bytes(other.read_bytes())
        tls.look()
        tls.look()
        said = "".join(capsys.readouterr())
        assert said.count("certificate_unusable") == 1
        assert "does not belong" in said
        assert ask(server, old, "GET", "/healthz")[0] == 200
        cert.unlink()
        tls.look()
        assert "cannot be read" in "".join(capsys.readouterr())
        assert ask(server, old, "GET", "/healthz")[0] == 200
        cert.write_bytes(other.read_bytes())
        key.write_bytes(other_key.read_bytes())
        tls.look()
        assert ask(server, other, "GET", "/healthz")[0] == 200


def test_files_that_cannot_be_used_are_named_in_words(tmp_path: Path) -> None:
    cert, key = make(tmp_path)
    _, other = make(tmp_path / "other")
    _, sealed = make(tmp_path / "sealed", password=b"secret")
    nothing = tmp_path / "nothing.pem"
    odd = tmp_path / "odd.pem"
    odd.write_text("hello")
    cases: list[tuple[Any, Any, str]] = [
        (nothing, key, "certificate .*nothing.pem cannot be read: No such file"),
        (cert, tmp_path, "key .* cannot be read: Is a directory"),
        (cert, other, "does not belong to the certificate"),
        (odd, key, "holds no certificate in PEM form"),
        (cert, odd, "holds no private key in PEM form"),
        (cert, sealed, "encrypted"),
    ]
    for one, two, words in cases:
        with pytest.raises(BadCertificate, match=words):
            Tls(one, two)


def test_stopping_ends_tls_connections_too(front: Front, tmp_path: Path) -> None:
    cert, key = make(tmp_path)

    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front, tls=Tls(cert, key))
        assert isinstance(server, HttpServer)
        context = trusting(cert)
        idle, idle_writer = await asyncio.open_connection(
            server.host, server.port, ssl=context, server_hostname="localhost"
        )
        reader, writer = await asyncio.open_connection(
            server.host, server.port, ssl=context, server_hostname="localhost"
        )
        writer.write(request())
        await bench.log.appending.acquire()
        stopping = asyncio.create_task(server.stop())
        assert await idle.read() == b""
        bench.log.held.set()
        assert b"200 OK" in await reader.read()
        await stopping
        assert not server._connections
        for one in (idle_writer, writer):
            one.close()

    run(front, scenario())
