"""The sender against real servers on real sockets."""

import asyncio
import datetime
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pycurl
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from milonga import __version__
from milonga.delivery.outgoing import NoAnswer, Outgoing, Reply
from milonga.delivery.sendable import flaw_of
from milonga.delivery.sender import Sender
from milonga.destinations.contract import Answer

Run = Callable[[Coroutine[Any, Any, None]], None]
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a loop of that kind."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runner(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(asyncio.wait_for(main, 20))

    return runner


class Received:
    def __init__(self, connection: int, line: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.connection = connection
        self.line = line
        self.headers = dict(headers)
        self.body = body


class Receiver:
    """
    A server that answers as `answer` says: bytes to write, or a coroutine function (request, writer) that does what it
    likes. `requests` is what arrived whole; `connections` how many were accepted; `lost` how many of them have ended.
    """

    def __init__(self) -> None:
        self.answer: bytes | Callable[[Received, asyncio.StreamWriter], Awaitable[None]] = OK
        self.requests: list[Received] = []
        self.connections = 0
        self.lost = 0
        self.port = 0
        self.arrived = asyncio.Event()

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                line, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
                headers = [(n.lower(), v.strip()) for n, _, v in (h.partition(b":") for h in rest)]
                body = await reader.readexactly(int(dict(headers).get(b"content-length", b"0")))
                self.requests.append(Received(number, line, headers, body))
                self.arrived.set()
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                else:
                    await self.answer(self.requests[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.lost += 1
            writer.close()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await receiver._serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await server.wait_closed()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # let the aborted transports say their good-bye to the loop


@asynccontextmanager
async def sending(**options: Any) -> AsyncIterator[Sender]:
    sender = Sender(asyncio.get_running_loop(), **{"allow_private": True, **options})
    try:
        yield sender
    finally:
        await sender.close(0)


def post(url: str, body: bytes = b"a=b", **changes: Any) -> Outgoing:
    return Outgoing(**{"method": "POST", "url": url, "headers": FORM, "body": body, "timeout": 5.0, **changes})


async def reply_to(sender: Sender, outgoing: Outgoing) -> Reply:
    reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def done(given: Reply, seconds: float) -> None:
        assert 0 <= seconds < 20
        reply.set_result(given)  # raises if it is called twice

    sender.send(outgoing, done)
    return await reply


async def answer_to(sender: Sender, outgoing: Outgoing) -> Answer:
    reply = await reply_to(sender, outgoing)
    assert isinstance(reply, Answer), reply
    return reply


async def failure_of(sender: Sender, outgoing: Outgoing) -> NoAnswer:
    reply = await reply_to(sender, outgoing)
    assert isinstance(reply, NoAnswer), reply
    return reply


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  # what is waited for is often in the kernel
            await asyncio.sleep(0.005)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a receiver that crashed does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# What is sent


def test_a_post_arrives_byte_for_byte(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            body = b"sdr_s=SP-1&sdr_o=acme&sdr_u=a%2Bb%40x.example&sdr_a=Caf%C3%A9+%00"
            answer = await answer_to(sender, post(receiver.url("/pixel.gif/?x=%2F&y=../z"), body))
            assert answer == Answer(200, {}, b"ok")
            (request,) = receiver.requests
            assert request.line == b"POST /pixel.gif/?x=%2F&y=../z HTTP/1.1"
            assert request.body == body
            assert request.headers == {
                b"host": f"127.0.0.1:{receiver.port}".encode(),
                b"user-agent": f"milonga/{__version__}".encode(),
                b"accept": b"*/*",
                b"content-type": b"application/x-www-form-urlencoded",
                b"content-length": str(len(body)).encode(),
            }

    run(main())


def test_each_method_and_header_is_as_asked_for_also_after_another_on_the_same_connection(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(max_connections=1) as sender:
            for method, body in [
                ("GET", b""),
                ("PUT", b"{}"),
                ("DELETE", b""),
                ("POST", b""),
                ("PATCH", b"1"),
                ("GET", b""),
            ]:
                headers = (("X-Empty", ""), ("X-Kind", "ü"), ("User-Agent", "mine"))
                await answer_to(sender, post(receiver.url("/a/../b"), body, method=method, headers=headers))
                request = receiver.requests[-1]
                assert request.line == f"{method} /a/../b HTTP/1.1".encode()
                assert request.body == body
                assert request.headers[b"x-empty"] == b""
                assert request.headers[b"x-kind"] == "ü".encode()
                assert request.headers[b"user-agent"] == b"mine"
                assert b"content-type" not in request.headers
                assert (b"content-length" in request.headers) == (method != "GET")
            assert receiver.connections == 1

    run(main())


def test_a_large_body_is_sent_without_asking_first(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            body = os.urandom(3_000_000)
            await answer_to(sender, post(receiver.url(), body))
            assert receiver.requests[0].body == body
            assert b"expect" not in receiver.requests[0].headers

    run(main())


def test_connections_are_kept_and_used_again(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            for n in range(20):
                await answer_to(sender, post(receiver.url(f"/{n}")))
            assert len(receiver.requests) == 20
            assert receiver.connections == 1

    run(main())


def test_nothing_is_taken_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def main() -> None:
        async with receiving() as receiver, receiving() as proxy:
            for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url())
            monkeypatch.setenv("HOME", str(tmp_path))
            (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
            receiver.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; path=/\r\nContent-Length: 0\r\n\r\n"
            async with sending() as sender:
                for _ in range(2):
                    await answer_to(sender, post(receiver.url()))
            assert len(receiver.requests) == 2
            assert proxy.connections == 0
            assert not {b"authorization", b"cookie", b"proxy-connection"} & set(receiver.requests[1].headers)

    run(main())


# What comes back


def test_an_answers_status_first_bytes_and_useful_headers_are_kept(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            receiver.answer = (
                b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nRETRY-AFTER:  17 \r\nContent-Type: text/plain\r\n"
                b"X-Other: " + b"x" * 500 + b"\r\nContent-Length: 3000\r\n\r\n" + b"0123456789" * 300
            )
            answer = await answer_to(sender, post(receiver.url()))
            assert answer == Answer(429, {"retry-after": "17", "content-type": "text/plain"}, b"0123456789" * 100)

    run(main())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(run: Run, status: int) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            to = receiver.url("/elsewhere")
            receiver.answer = f"HTTP/1.1 {status} Go\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()
            assert await answer_to(sender, post(receiver.url())) == Answer(status, {"location": to}, b"")
            assert len(receiver.requests) == 1

    run(main())


def test_a_compressed_answer_is_left_as_it_is(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\x00"
            assert (await answer_to(sender, post(receiver.url()))).body == b"\x1f\x8b\x00\x00"

    run(main())


def test_informational_answers_before_and_trailers_after_change_nothing(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            receiver.answer = (
                b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
                b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\nTrailer: Retry-After\r\n\r\n"
                b"2\r\nno\r\n0\r\nRetry-After: 99\r\n\r\n"
            )
            for _ in range(2):
                assert await answer_to(sender, post(receiver.url())) == Answer(503, {}, b"no")
            assert receiver.connections == 1

    run(main())


def test_an_endless_answer_is_cut_off(run: Run) -> None:
    async def main() -> None:
        written = 0

        async def endless(request: Received, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 10_000)
                await writer.drain()
                written += 10_000

        async with receiving() as receiver, sending() as sender:
            receiver.answer = endless
            answer = await answer_to(sender, post(receiver.url()))
            assert answer == Answer(200, {}, b"x" * 1_000)
            await until(lambda: receiver.lost == 1)
            assert written < 20_000_000  # what fits into the kernel's buffers on both sides

    run(main())


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nno chunk"],
    ids=["broken off", "bad chunk"],
)
def test_a_whole_head_is_an_answer_though_its_body_is_broken(run: Run, rest: bytes) -> None:
    async def main() -> None:
        async def half(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 201 Created\r\n" + rest)
            await writer.drain()
            writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = half
            assert await answer_to(sender, post(receiver.url())) == Answer(201, {}, b"half")

    run(main())


def test_a_whole_head_is_an_answer_though_its_body_never_ends(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
            assert await answer_to(sender, post(receiver.url(), timeout=0.3)) == Answer(200, {}, b"half")

    run(main())


@pytest.mark.parametrize(
    "garbage",
    [
        b"GIF89a, not HTTP\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 \r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNul: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: more\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    ],
    ids=lambda garbage: repr(garbage[:40])[2:-1],
)
def test_what_is_not_http_is_a_bad_answer_and_the_request_has_perhaps_arrived(run: Run, garbage: bytes) -> None:
    async def main() -> None:
        async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(garbage)
            await writer.drain()
            writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = answer
            failure = await failure_of(sender, post(receiver.url()))
            assert (failure.code, failure.perhaps) == ("bad_answer", True)
            assert len(receiver.requests) == 1

    run(main())


# What goes wrong before the request is written


@contextmanager
def bound(listen: int | None) -> Iterator[int]:
    """A port that refuses (None), or listens without accepting."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        if listen is not None:
            sock.listen(listen)
        yield sock.getsockname()[1]


def test_a_refused_connection_has_surely_not_delivered(run: Run) -> None:
    async def main() -> None:
        async with sending() as sender:
            with bound(None) as port:
                failure = await failure_of(sender, post(f"http://127.0.0.1:{port}/"))
            assert (failure.code, failure.perhaps) == ("no_connection", False)
            assert f"127.0.0.1:{port}" in failure.reason

    run(main())


def test_a_name_without_an_address_is_named(run: Run) -> None:
    async def main() -> None:
        async with sending() as sender:
            failure = await failure_of(sender, post("https://no-such-name.invalid/secret?token=secret"))
            assert (failure.code, failure.perhaps) == ("no_address", False)
            assert "no-such-name.invalid" in failure.reason
            assert "secret" not in failure.reason

    run(main())


def test_names_are_looked_up_off_the_event_loop() -> None:
    assert pycurl.version_info()[4] & pycurl.VERSION_ASYNCHDNS


def test_a_connection_that_is_never_accepted_times_out_and_has_surely_not_delivered(run: Run) -> None:
    async def main() -> None:
        async with sending() as sender:
            with bound(0) as port, socket.create_connection(("127.0.0.1", port)):  # the queue of one is full
                failure = await failure_of(sender, post(f"http://127.0.0.1:{port}/", timeout=0.3))
            assert (failure.code, failure.perhaps) == ("timeout", False)

    run(main())


def test_a_server_silent_in_the_tls_handshake_has_surely_not_been_given_the_request(run: Run) -> None:
    async def main() -> None:
        async with sending() as sender:
            with bound(5) as port:
                failure = await failure_of(sender, post(f"https://127.0.0.1:{port}/", timeout=0.3))
            assert (failure.code, failure.perhaps) == ("timeout", False)

    run(main())


# What goes wrong after


def test_no_answer_in_time_means_perhaps_delivered(run: Run) -> None:
    async def main() -> None:
        async def never(request: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(60)

        async with receiving() as receiver, sending() as sender:
            receiver.answer = never
            failure = await failure_of(sender, post(receiver.url("/?token=secret"), timeout=0.3))
            assert (failure.code, failure.perhaps) == ("timeout", True)
            assert failure.reason == f"127.0.0.1:{receiver.port} did not answer within 0.3 s."
            assert len(receiver.requests) == 1

    run(main())


@pytest.mark.parametrize(
    "partly", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-"], ids=["nothing", "line", "head"]
)
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_connection_lost_after_the_request_means_perhaps_delivered(run: Run, how: str, partly: bytes) -> None:
    async def main() -> None:
        async def lose(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(partly)
            await writer.drain()
            if how == "reset":
                reset(writer)
            else:
                writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = lose
            failure = await failure_of(sender, post(receiver.url()))
            assert failure.perhaps
            assert failure.code in (("connection_lost",) if not partly else ("connection_lost", "bad_answer"))
            assert len(receiver.requests) == 1

    run(main())


def test_a_connection_lost_while_the_request_is_being_written_means_perhaps_delivered(run: Run) -> None:
    async def main() -> None:
        async def lose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(1_000)
            reset(writer)

        server = await asyncio.start_server(lose, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, sending() as sender:
            failure = await failure_of(sender, post(f"http://127.0.0.1:{port}/", b"x" * 20_000_000))
            assert (failure.code, failure.perhaps) == ("connection_lost", True)

    run(main())


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("kept", [1, 3])
def test_a_kept_connection_that_dies_after_the_request_does_not_send_it_again(
    run: Run, how: str, method: str, kept: int
) -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
            if request.line.split()[1] == b"/first":
                if len(receiver.requests) == kept:
                    release.set()  # so that the first ones are on a connection each
                await release.wait()
                writer.write(OK)
            elif how == "reset":
                reset(writer)
            else:
                writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = answer
            await asyncio.gather(*(answer_to(sender, post(receiver.url("/first"))) for _ in range(kept)))
            assert receiver.connections == kept
            body = b"" if method == "GET" else b"once=1"
            failure = await failure_of(sender, post(receiver.url("/second"), body, method=method))
            assert (failure.code, failure.perhaps) == ("connection_lost", True)
            seconds = [request for request in receiver.requests if b"/second" in request.line]
            assert [request.body for request in seconds] == [body]
            assert seconds[0].connection <= kept  # it went over one that was kept
            receiver.answer = OK  # and the sender is none the worse for it
            await answer_to(sender, post(receiver.url("/third")))

    run(main())


def test_a_kept_connection_that_dies_with_its_server_is_perhaps_delivered_though_no_new_one_is_accepted(
    run: Run,
) -> None:
    async def main() -> None:
        async with sending() as sender:
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            loop = asyncio.get_running_loop()
            first = asyncio.ensure_future(
                answer_to(sender, post(url := f"http://127.0.0.1:{listener.getsockname()[1]}/"))
            )
            connection, _ = await loop.sock_accept(listener)
            await loop.sock_recv(connection, 10_000)
            await loop.sock_sendall(connection, OK)
            await first
            listener.close()
            second = asyncio.ensure_future(failure_of(sender, post(url)))
            await loop.sock_recv(connection, 10_000)
            connection.close()
            failure = await second
            assert (failure.code, failure.perhaps) == ("connection_lost", True)

    run(main())


def test_a_connection_closed_while_idle_costs_nothing(run: Run) -> None:
    async def main() -> None:
        async def answer_and_close(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(OK)
            await writer.drain()
            writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = answer_and_close
            for n in range(1, 6):
                await answer_to(sender, post(receiver.url()))
                await until(lambda n=n: receiver.lost == n)  # type: ignore[misc]  # mypy cannot type the default
            assert len(receiver.requests) == 5

    run(main())


# TLS


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


# Where may be sent to


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "0177.0.0.1",
    ],
)
def test_private_addresses_are_refused_before_a_connection_is_made(run: Run, host: str) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(allow_private=False) as sender:
            failure = await failure_of(sender, post(receiver.url("/?secret", host=host)))
            assert (failure.code, failure.perhaps) == ("forbidden_address", False)
            assert "--allow-private-destinations" in failure.reason
            assert "address" in failure.reason
            assert "secret" not in failure.reason
            await asyncio.sleep(0)
            assert receiver.connections == 0

    run(main())


def test_the_refusal_names_the_address_behind_the_name(run: Run) -> None:
    async def main() -> None:
        async with sending(allow_private=False) as sender:
            failure = await failure_of(sender, post("http://localhost:9/"))
            assert "localhost:9 leads to " in failure.reason
            assert "127.0.0.1, a loopback address" in failure.reason or "::1, a loopback address" in failure.reason

    run(main())


def test_private_addresses_are_reached_by_number_and_name_when_allowed(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(allow_private=True) as sender:
            for host in ("127.0.0.1", "localhost"):
                assert (await answer_to(sender, post(receiver.url(host=host)))).status == 200

    run(main())


# What cannot be sent at all


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://example.com/"},
        {"url": "file:///etc/passwd"},
        {"url": "example.com"},
        {"url": ""},
        {"url": "http://"},
        {"url": "http:///path"},
        {"url": "http://example.com:99999/"},
        {"url": "http://example.com:http/"},
        {"url": "http://exa mple.com/"},
        {"url": "http://example.com/\r\nX: y"},
        {"url": "http://example.com/\0"},
        {"url": "http://bücher.example/"},
        {"url": "http://[::1/"},
        {"url": "http://exa%zzmple.com/"},
        {"headers": (("X", "a\r\nInjected: b"),)},
        {"headers": (("X", "a\nb"),)},
        {"headers": (("X", "a\0b"),)},
        {"headers": (("X: y\r\nZ", "a"),)},
        {"headers": (("", "a"),)},
        {"headers": (("X;", ""),)},
        {"headers": (("Content-Length", "0"),)},
        {"headers": (("transfer-encoding", "chunked"),)},
        {"headers": (("X", "\ud800"),)},
        {"method": "POST / HTTP/1.1\r\nX: y"},
        {"method": "CONNECT"},
        {"timeout": float("inf")},
    ],
    ids=str,
)
def test_what_cannot_be_sent_is_said_so_and_never_raises(run: Run, changes: dict[str, Any]) -> None:
    async def main() -> None:
        async with sending(max_connections=1) as sender:
            failure = await failure_of(sender, post(**{"url": "http://127.0.0.1:9/?secret", "timeout": 1.0, **changes}))
            assert (failure.code, failure.perhaps) == ("bad_url", False)
            assert "secret" not in failure.reason
            async with receiving() as receiver:
                await answer_to(sender, post(receiver.url()))

    run(main())


@given(name=st.text(max_size=20), value=st.text(max_size=20))
def test_no_header_that_could_start_another_line_is_let_through(name: str, value: str) -> None:
    if flaw_of(post("http://example.com/", headers=((name, value),))) is None:
        assert name
        assert not set("\r\n\0: ;") & set(name)
        assert not set("\r\n\0") & set(value)


def test_done_is_never_called_from_within_send(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(max_connections=1) as sender:
            calls: list[str] = []
            urls = [receiver.url(), "nonsense", "http://127.0.0.1:1/", receiver.url()]
            for url in urls:
                sender.send(post(url), lambda reply, seconds, url=url: calls.append(url))  # type: ignore[misc]
                assert calls == []
            await until(lambda: len(calls) == len(urls))
            assert sorted(calls) == sorted(urls)

    run(main())


# Many at once, and the end


def test_no_more_than_the_cap_are_under_way_and_all_come_back_once(run: Run) -> None:
    async def main() -> None:
        under_way, most = 0, 0

        async def slowly(request: Received, writer: asyncio.StreamWriter) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.005)
            under_way -= 1
            writer.write(OK)

        async with receiving() as receiver, sending(max_connections=8) as sender:
            receiver.answer = slowly
            replies = await asyncio.gather(*(reply_to(sender, post(receiver.url(), b"%d" % n)) for n in range(300)))
            assert all(isinstance(reply, Answer) for reply in replies)
            assert sorted(int(request.body) for request in receiver.requests) == list(range(300))
            assert most == 8
            assert receiver.connections == 8

    run(main())


def test_the_time_in_the_queue_does_not_count(run: Run) -> None:
    async def main() -> None:
        async def slowly(request: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.1)
            writer.write(OK)

        async with receiving() as receiver, sending(max_connections=1) as sender:
            receiver.answer = slowly
            outgoing = post(receiver.url(), timeout=0.5)
            assert all(
                isinstance(r, Answer) for r in await asyncio.gather(*(reply_to(sender, outgoing) for _ in range(8)))
            )

    run(main())


def test_a_callback_that_fails_is_reported_and_costs_the_others_nothing(run: Run) -> None:
    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        async with receiving() as receiver, sending(max_connections=1) as sender:
            outgoing = post(receiver.url())
            sender.send(outgoing, lambda reply, seconds: 1 // 0)  # type: ignore[arg-type]
            await answer_to(sender, outgoing)
            assert isinstance(told[0]["exception"], ZeroDivisionError)

    run(main())


def test_a_callback_may_send(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(max_connections=1) as sender:
            finished = asyncio.Event()

            def done(reply: Reply, seconds: float) -> None:
                if len(receiver.requests) == 50:
                    finished.set()
                else:
                    sender.send(post(receiver.url()), done)

            sender.send(post(receiver.url()), done)
            await finished.wait()
            assert receiver.connections == 1

    run(main())


def test_close_waits_for_what_is_under_way_and_queued_and_takes_no_more(run: Run) -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def wait(request: Received, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.write(OK)

        async with receiving() as receiver, sending(max_connections=2) as sender:
            receiver.answer = wait
            replies = [asyncio.ensure_future(reply_to(sender, post(receiver.url()))) for _ in range(5)]
            await receiver.arrived.wait()
            closing = asyncio.ensure_future(sender.close(10))
            await asyncio.sleep(0)
            late = await failure_of(sender, post(receiver.url()))
            assert (late.code, late.perhaps) == ("connection_lost", False)
            assert not closing.done()
            release.set()
            await closing
            assert all(isinstance(reply, Answer) for reply in await asyncio.gather(*replies))
            await until(lambda: receiver.lost == receiver.connections == 2)

    run(main())


def test_close_breaks_off_what_takes_longer_than_the_grace_and_says_what_was_perhaps_delivered(run: Run) -> None:
    async def main() -> None:
        async def never(request: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(60)

        async with receiving() as receiver, sending(max_connections=2) as sender:
            receiver.answer = never
            ended: list[Reply] = []
            for _ in range(5):
                sender.send(post(receiver.url()), lambda reply, seconds: ended.append(reply))
            await until(lambda: len(receiver.requests) == 2)
            await sender.close(0.05)
            assert len(ended) == 5
            assert all(isinstance(reply, NoAnswer) and reply.code == "connection_lost" for reply in ended)
            assert sorted(isinstance(reply, NoAnswer) and reply.perhaps for reply in ended) == [False] * 3 + [True] * 2
            await sender.close(0.05)  # a second time does no harm

    run(main())


def test_no_descriptor_is_left_behind(run: Run) -> None:
    async def main() -> None:
        def descriptors() -> int:
            return len(list(Path("/proc/self/fd").iterdir()))

        async with receiving() as receiver:
            before = descriptors()
            for _ in range(5):
                async with sending() as sender:
                    await asyncio.gather(*(answer_to(sender, post(receiver.url())) for _ in range(10)))
                    with bound(None) as port:
                        await failure_of(sender, post(f"http://127.0.0.1:{port}/"))
            await until(lambda: receiver.lost == receiver.connections)
            await until(lambda: descriptors() <= before)

    run(main())
