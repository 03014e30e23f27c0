"""What is believed about a sender, and what whoever serves browsers is told of it. Both front ends."""

import pytest

from milonga.collector.answers import NOT_FOUND, Answer, answer_of
from milonga.collector.ask import Ask
from milonga.collector.proxies import Proxies
from tests.collector.parts import EVENT, KEY, Bench, Front, send, talk

PAGE = answer_of(200, b"text/html", b"<p>", (b"etag", b'"1"'))


@pytest.fixture(params=["asgi", "own", "uvloop"])
def front(request: pytest.FixtureRequest) -> Front:
    kind: Front = request.param
    return kind


class Site:
    def __init__(self, answer: Answer = PAGE) -> None:
        self.asks: list[Ask] = []
        self._answer = answer

    def __call__(self, ask: Ask) -> Answer:
        self.asks.append(ask)
        return self._answer


def test_what_is_no_tracking_path_is_asked_of_whoever_serves_it(front: Front) -> None:
    site = Site()
    with Bench(serve=site).listening(front) as server:
        headers = {"Host": "events.example.com:8080", "Accept-Encoding": "br, gzip", "If-None-Match": '"1"'}
        answer = send(server, "GET", "//a%20b//c/?x=/y", headers=headers)
        assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"<p>", '"1"')
        assert send(server, "HEAD", "/", headers=headers).body == b""
        assert send(server, "GET", "/v1/projects/a%2Fb/settings/", headers=headers).status == 200
    assert [ask.path for ask in site.asks] == ["/a b/c/", "/", "/v1/projects/a/b/settings"]
    assert site.asks[0] == Ask(
        path="/a b/c/",
        host="events.example.com:8080",
        secure=False,
        accepts=b"br, gzip",
        if_none_match=b'"1"',
    )


def test_what_is_not_served_is_not_found(front: Front) -> None:
    site = Site(NOT_FOUND)
    with Bench(serve=site).listening(front) as server:
        assert send(server, "GET", "/nothing").code == "not_found"
        assert send(server, "POST", "/nothing", b"{}").code == "not_found"
        assert send(server, "GET", "/v1/track").code == "method_not_allowed"
        assert send(server, "GET", "/healthz").json == {"status": "alive"}
    assert [ask.path for ask in site.asks] == ["/nothing"]


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "x/y",
        "x?y",
        "user@x",
        "x:",
        "x:port",
        "x:123456",
        '"x"',
        "<script>",
        "x,y",
        "[::1",
        "[x]",
        "-x",
        "é",
        "a" * 300,
    ],
)
def test_a_host_that_is_none_is_refused(front: Front, host: str) -> None:
    site = Site()
    bench = Bench(serve=site)
    with bench.listening(front) as server:
        head = b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host.encode()
        answer = talk(server, head)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"invalid_host"' in answer
    assert site.asks == []
    assert bench.collector.counts["refused"] == 1


def test_a_host_is_asked_for_only_where_it_matters() -> None:
    bench = Bench(serve=Site())
    with bench.listening() as server:
        assert b"invalid_host" in talk(server, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        head = b"POST /v1/t HTTP/1.1\r\nHost: <>\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(EVENT)
        assert b"missing_write_key" in talk(server, head + EVENT)


@pytest.mark.parametrize("host", ["x", "localhost:8080", "127.0.0.1", "[::1]:80", "a_b.example.com", "EXAMPLE.com"])
def test_hosts_of_all_kinds_are_passed_on(host: str) -> None:
    site = Site()
    with Bench(serve=site).listening() as server:
        assert send(server, "GET", "/", headers={"Host": host}).status == 200
    assert site.asks[0].host == host


TOLD = {
    "Host": "inner:8080",
    "X-Forwarded-Host": "events.example.com",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.9",
}


def test_nobody_is_believed_unless_he_is_trusted(front: Front) -> None:
    site = Site()
    bench = Bench(serve=site, proxies=Proxies(["192.0.2.0/24"]))
    bench.set(ip="always")
    with bench.listening(front) as server:
        send(server, "GET", "/", headers=TOLD)
        send(server, "POST", f"/v1/t?writeKey={KEY}", EVENT[:-1] + b',"writeKey":"%b"}' % KEY.encode(), TOLD)
    assert (site.asks[0].host, site.asks[0].secure) == ("inner:8080", False)
    assert [event.context["ip"] for event in bench.events] == ["127.0.0.1"]


def test_a_trusted_proxy_is_believed(front: Front) -> None:
    site = Site()
    bench = Bench(serve=site, proxies=Proxies(["127.0.0.0/8"]))
    bench.set(ip="always")
    with bench.listening(front) as server:
        send(server, "GET", "/", headers=TOLD)
        send(server, "POST", "/v1/t", EVENT[:-1] + b',"writeKey":"%b"}' % KEY.encode(), TOLD)
    assert (site.asks[0].host, site.asks[0].secure) == ("events.example.com", True)
    assert [event.context["ip"] for event in bench.events] == ["203.0.113.9"]


def test_a_host_from_a_proxy_is_checked_too(front: Front) -> None:
    site = Site()
    with Bench(serve=site, proxies=Proxies(["127.0.0.1"])).listening(front) as server:
        assert send(server, "GET", "/", headers={**TOLD, "X-Forwarded-Host": "<script>"}).code == "invalid_host"
    assert site.asks == []


def test_the_public_url_overrides_whatever_is_said(front: Front) -> None:
    site = Site()
    proxies = Proxies(["127.0.0.1"], "https://public.example.com/")
    with Bench(serve=site, proxies=proxies).listening(front) as server:
        assert send(server, "GET", "/", headers={**TOLD, "Host": "<>"}).status == 200
    assert (site.asks[0].host, site.asks[0].secure) == ("public.example.com", True)


def told(trusted: list[str], peer: str | None, **fields: str) -> tuple[str | None, tuple[str, bool] | None]:
    """Address, and host with scheme."""
    proxies = Proxies(trusted)
    headers = {name.replace("_", "-").encode(): value.encode() for name, value in {"host": "h", **fields}.items()}
    other = proxies.peer(peer, secure=False)
    return proxies.address(headers, other), proxies.front(headers, other)


INNER = ["10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("peer", "hops", "address"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),  # the sender made up the first
        ("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:5678,10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),  # all are ours: the farthest
        ("10.0.0.1", "203.0.113.9, unknown", None),
        ("10.0.0.1", "203.0.113.9, ", None),
        ("10.0.0.1", "203.0.113.9, _hidden, 10.0.0.2", None),
        ("10.0.0.1", "2001:db9::1", None),  # IPv6 is not collected
        ("10.0.0.1", "[2001:db9::1]:443", None),
        ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8::5", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4," * 3000 + "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.1," * 3000, None),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("2001:db9::1", "203.0.113.9", None),
        ("nonsense", "203.0.113.9", None),
        (None, "203.0.113.9", None),
    ],
)
def test_the_address_is_of_the_farthest_hop_that_a_trusted_proxy_vouches_for(
    peer: str | None, hops: str, address: str | None
) -> None:
    assert told(INNER, peer, x_forwarded_for=hops)[0] == address


def test_a_trusted_proxy_that_says_nothing_is_the_sender_itself() -> None:
    assert told(INNER, "10.0.0.1") == ("10.0.0.1", ("h", False))


@pytest.mark.parametrize(
    ("fields", "front"),
    [
        ({"x_forwarded_proto": "https"}, ("h", True)),
        ({"x_forwarded_proto": "HTTPS"}, ("h", True)),
        ({"x_forwarded_proto": "http"}, ("h", False)),
        ({"x_forwarded_proto": "nonsense"}, ("h", False)),
        # the outer proxy speaks https with the sender, the inner one http with the outer
        ({"x_forwarded_for": "203.0.113.9, 10.0.0.2", "x_forwarded_proto": "https, http"}, ("h", True)),
        ({"x_forwarded_for": "203.0.113.9", "x_forwarded_proto": "https, http"}, ("h", False)),
        ({"x_forwarded_for": "203.0.113.9, 10.0.0.2", "x_forwarded_host": "evil, outer, inner"}, ("outer", False)),
        ({"x_forwarded_for": "203.0.113.9, 10.0.0.2", "x_forwarded_host": "outer"}, ("outer", False)),
        ({"x_forwarded_host": "evil, outer"}, ("outer", False)),
    ],
)
def test_host_and_scheme_are_those_that_the_sender_used(fields: dict[str, str], front: tuple[str, bool]) -> None:
    assert told(INNER, "10.0.0.1", **fields)[1] == front
    assert told(INNER, "192.0.2.1", **fields)[1] == ("h", False)


def test_forwarded_is_read_where_it_stands_alone() -> None:
    said = (
        'for=1.2.3.4;host=evil, for="203.0.113.9:47011";Proto=https; host="events.example.com:8443", '
        "for=10.0.0.2;proto=http"
    )
    assert told(INNER, "10.0.0.1", forwarded=said) == ("203.0.113.9", ("events.example.com:8443", True))
    assert told(INNER, "10.0.0.1", forwarded='for="[2001:db9::1]:80"') == (None, ("h", False))
    # A proxy that writes the one lets through what the sender made up for the other.
    both = told(INNER, "10.0.0.1", forwarded=said, x_forwarded_for="198.51.100.7")
    assert both == ("198.51.100.7", ("h", False))


@pytest.mark.parametrize("wrong", ["", "nonsense", "10.0.0.0/40", "example.com"])
def test_a_proxy_that_is_none_is_told_in_words(wrong: str) -> None:
    with pytest.raises(ValueError, match="neither an address nor a network"):
        Proxies([wrong])


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "events.example.com",
        "ftp://x",
        "https://",
        "https://x/y",
        "https://u@x",
        "https://x?y",
        "https://[",
        "https://x y",
    ],
)
def test_a_public_url_that_is_none_is_told_in_words(wrong: str) -> None:
    with pytest.raises(ValueError, match="such as https://events"):
        Proxies(public_url=wrong)
