"""Certificates and versions of TLS that the sender trusts, and those that it does not."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.delivery.sending import (
    Run,
    answer_to,
    failure_of,
    post,
    receiving,
    sending,
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate and its key for the name localhost alone, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def tls_server(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_an_untrusted_certificate_is_refused_before_anything_is_sent(run: Run, certificate: Path) -> None:
    async def main() -> None:
        async with receiving(tls_server(certificate)) as receiver, sending() as sender:
            failure = await failure_of(sender, post(receiver.url("/?secret", scheme="https", host="localhost")))
            assert (failure.code, failure.perhaps) == ("tls", False)
            assert "certificate" in failure.reason
            assert "secret" not in failure.reason
            assert receiver.requests == []

    run(main())


def test_a_trusted_certificate_is_accepted_and_its_connection_kept(run: Run, certificate: Path) -> None:
    async def main() -> None:
        async with (
            receiving(tls_server(certificate)) as receiver,
            sending(ca_file=str(certificate)) as sender,
        ):
            for _ in range(3):
                assert (await answer_to(sender, post(receiver.url(scheme="https", host="localhost")))).status == 200
            assert [request.body for request in receiver.requests] == [b"a=b"] * 3
            assert receiver.connections == 1

    run(main())


def test_a_trusted_certificate_of_another_name_is_refused(run: Run, certificate: Path) -> None:
    async def main() -> None:
        async with (
            receiving(tls_server(certificate)) as receiver,
            sending(ca_file=str(certificate)) as sender,
        ):
            failure = await failure_of(sender, post(receiver.url(scheme="https", host="127.0.0.1")))
            assert (failure.code, failure.perhaps) == ("tls", False)
            assert receiver.requests == []

    run(main())


def test_tls_older_than_1_2_is_refused(run: Run, certificate: Path) -> None:
    async def main() -> None:
        old = tls_server(certificate)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
            old.minimum_version = ssl.TLSVersion.TLSv1
        async with receiving(old) as receiver, sending(ca_file=str(certificate)) as sender:
            failure = await failure_of(sender, post(receiver.url(scheme="https", host="localhost")))
            assert (failure.code, failure.perhaps) == ("tls", False)

    run(main())


def test_a_server_without_tls_behind_https_is_a_tls_failure(run: Run) -> None:
    async def main() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 smtp.example ready\r\n")
            await writer.drain()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server, sending() as sender:
            failure = await failure_of(sender, post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
            assert (failure.code, failure.perhaps) == ("tls", False)

    run(main())
