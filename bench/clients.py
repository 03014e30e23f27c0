"""
Delivery clients beside each other: the sender (pycurl), and pyreqwest if it is installed, against the same stub.

    python -m bench.clients [--seconds 4] [--in-flight 256] [--latency 0.05] [--tls] [--profile]

The stub is another process that answers each POST with 200 after `latency`, so that in-flight / latency is the most any
client can reach; what compares clients is the requests per second of the client process's own CPU time. pyreqwest is no
dependency: `pip install pyreqwest` into a throw-away environment to have it measured too.
"""

import argparse
import asyncio
import cProfile
import datetime
import multiprocessing
import pstats
import resource
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import httptools
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from milonga.delivery.outgoing import Outgoing, Reply
from milonga.delivery.sender import Sender
from milonga.destinations.contract import Answer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nServer: stub\r\nContent-Length: 43\r\n\r\n" + b"G" * 43
KIND = "application/x-www-form-urlencoded"
Client = Callable[[str, str, int, float], Awaitable[int]]
"""(url, CA file, requests in flight, seconds) -> requests answered with 200"""


#: what Totango would be sent for one event, about 170 bytes; encoding it is not a client's work
BODY = (
    b"sdr_s=SP-12345-01&sdr_o=account-600&sdr_u=user-123456%40example.com&sdr_a=Completed+Purchase&sdr_m=Conversion"
    b"&sdr_o.Contract+Value=120000&sdr_u.name=Ada+Lovelace&r=0123456789"
)


class Stub(asyncio.Protocol):
    """Reads requests and answers each after the latency."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._loop.call_later(self._latency, self._transport.write, ANSWER)  # type: ignore[attr-defined]


def stub(told: Connection, latency: float, certificate: str | None) -> None:
    async def main() -> None:
        tls = None
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Stub(latency), "127.0.0.1", 0, ssl=tls, backlog=2048)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


async def with_sender(url: str, ca_file: str, in_flight: int, seconds: float) -> int:
    loop = asyncio.get_running_loop()
    sender = Sender(loop, allow_private=True, ca_file=ca_file, max_connections=in_flight)
    headers = (("Content-Type", KIND),)
    end = time.perf_counter() + seconds
    answered = 0
    failed: list[Reply] = []

    def send() -> None:
        sender.send(Outgoing(method="POST", url=url, headers=headers, body=BODY, timeout=10), done)

    def done(reply: Reply, took: float) -> None:
        nonlocal answered
        if isinstance(reply, Answer):
            answered += reply.status == 200
        else:
            failed.append(reply)
        if time.perf_counter() < end:
            send()

    for _ in range(in_flight):
        send()
    await asyncio.sleep(seconds)
    await sender.close(5)
    if failed:
        raise SystemExit(f"{len(failed)} failed: {failed[0]}")
    return answered


async def with_pyreqwest(url: str, ca_file: str, in_flight: int, seconds: float) -> int:
    from pyreqwest.client import ClientBuilder  # type: ignore[import-not-found, unused-ignore]

    builder = ClientBuilder().timeout(datetime.timedelta(seconds=10)).follow_redirects(False).no_proxy()
    if url.startswith("https"):
        builder = builder.add_root_certificate_pem(Path(ca_file).read_bytes())  # noqa: ASYNC240
    end = time.perf_counter() + seconds
    answered = 0
    async with builder.build() as client:

        async def lane() -> None:
            nonlocal answered
            while time.perf_counter() < end:
                request = client.post(url).header("Content-Type", KIND).body_bytes(BODY).build()
                answer = await request.send()
                await answer.bytes()
                answered += answer.status == 200

        await asyncio.gather(*(lane() for _ in range(in_flight)))
    return answered


def certificate(folder: Path) -> Path:
    """Self-signed, for localhost, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "stub.pem"
    path.write_bytes(made.public_bytes(pem) + private)
    return path


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(name: str, client: Client, url: str, ca_file: str, args: argparse.Namespace) -> None:
    """The second of two runs counts: by then all is imported and warm. It opens its own connections again."""
    profile = cProfile.Profile() if args.profile else None

    async def main() -> tuple[int, float, float]:
        await client(url, ca_file, args.in_flight, 0.3)
        began, before = time.perf_counter(), cpu()
        if profile:
            profile.enable()
        answered = await client(url, ca_file, args.in_flight, args.seconds)
        if profile:
            profile.disable()
        return answered, time.perf_counter() - began, cpu() - before

    answered, seconds, spent = uvloop.run(main())
    print(f"{name:12} {answered / seconds:8,.0f} requests/s {answered / spent:8,.0f} requests per CPU second")
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.clients")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        pem = str(certificate(Path(folder)))
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=stub, args=(there, args.latency, pem if args.tls else None), daemon=True
        )
        process.start()
        try:
            url = f"{'https' if args.tls else 'http'}://localhost:{here.recv()}/pixel.gif/"
            most = args.in_flight / args.latency if args.latency else float("inf")
            print(f"{url}  {args.in_flight} in flight, {args.latency * 1000:g} ms: at most {most:,.0f} requests/s")
            measure("sender", with_sender, url, pem, args)
            try:
                import pyreqwest  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
            except ImportError:
                print("pyreqwest    is not installed here: not measured")
            else:
                measure("pyreqwest", with_pyreqwest, url, pem, args)
        finally:
            process.terminate()
            process.join()


if __name__ == "__main__":
    main()
