"""
What must hold of the functions between the socket and the decoder, whatever they are given: found by hypothesis. The
decoder's own are in tests/spec/test_decode_properties.py, those of translating in tests/destinations/test_any_event.py.
"""

import base64
import gzip
import re
import string
import zlib
from contextlib import suppress
from ipaddress import IPv4Address
from urllib.parse import quote_from_bytes, urlencode

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from milonga.collector.answers import Answer
from milonga.collector.ask import Ask
from milonga.collector.cdn import Cdn
from milonga.collector.origins import allows, preflight, shared_with
from milonga.collector.pixel import Query, Unreadable
from milonga.collector.proxies import Proxies
from milonga.collector.request import Peer
from milonga.collector.routes import Route, route_to
from milonga.collector.unpack import Broken, TooLarge, UnknownEncoding, unpack
from milonga.collector.write_key import key_in_header
from milonga.spec.arrived import NotJson
from milonga.spec.decode import decode, decode_mended
from milonga.spec.event import EventType
from milonga.spec.limits import MAX_REQUEST
from milonga.spec.read import EVENT_TYPES
from milonga.workspace.model import BrowserDestination, Source, is_write_key
from tests.fuzz import fetches, tables
from tests.fuzz.judge import HEADERS, script_flaws, settings_flaws
from tests.fuzz.wire import Heard, Listening

LINE = st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\r\n\0"))
"""What can stand in a header."""

KEY_SIGNS = "".join(sign for sign in map(chr, range(33, 127)) if sign != ":")
WRITE_KEYS = st.text(KEY_SIGNS, min_size=1, max_size=100)


def as_written(answer: Answer, *more: bytes) -> Heard:
    """As the front end writes it, and a client reads it: NotHttp if a header is more than one."""
    listening = Listening([answer.status in (204, 304)])
    listening.feed(answer.head + b"".join(more) + b"\r\n" + answer.body)
    (heard,) = listening.answers
    assert listening.rest == b""
    return heard


ENCODINGS = st.none() | st.sampled_from([b"gzip", b"deflate", b"identity", b" GZip ", b"br", b""]) | LINE
PACKED = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=300).map(gzip.compress),
    st.binary(max_size=300).map(zlib.compress),
    st.lists(st.binary(max_size=50).map(gzip.compress), max_size=4).map(b"".join),
)


@given(PACKED, ENCODINGS)
@settings(max_examples=300)
def test_unpacking_gives_bytes_or_one_of_three_errors(body: bytes, encoding: bytes | None) -> None:
    with suppress(UnknownEncoding, Broken, TooLarge):
        assert len(unpack(body, encoding)) <= MAX_REQUEST


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(0, 20))
@settings(max_examples=200)
def test_what_was_packed_in_any_number_of_members_is_unpacked(parts: list[bytes], padding: int) -> None:
    assert unpack(b"".join(map(gzip.compress, parts)) + b"\0" * padding, b"gzip") == b"".join(parts)


@given(st.binary(min_size=1, max_size=200), st.data())
@settings(max_examples=200)
def test_what_was_cut_off_is_never_taken_for_whole(body: bytes, data: st.DataObject) -> None:
    whole = gzip.compress(body)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        unpack(part, b"gzip")
    except Broken:
        return
    raise AssertionError(part)


METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"CONNECT"]) | LINE
TARGETS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([*tables.TARGETS]),
    st.lists(st.sampled_from(tables.STEPS), max_size=6).map(lambda steps: b"/" + b"/".join(steps)),
)


@given(METHODS, TARGETS)
@settings(max_examples=500)
def test_every_request_line_leads_somewhere(method: bytes, target: bytes) -> None:
    assert isinstance(route_to(method, target), Route | Answer)


@given(METHODS, st.lists(st.sampled_from(tables.STEPS), min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=200)
def test_more_slashes_lead_to_the_same(method: bytes, steps: list[bytes], slashes: int, end: int) -> None:
    steps = [step for step in steps if step] or [b"v1", b"t"]
    plain = route_to(method, b"/" + b"/".join(steps))
    more = route_to(method, b"".join(b"/" * slashes + step for step in steps) + b"/" * end)
    if isinstance(plain, Route):
        assert isinstance(more, Route)
        assert (plain.kind, plain.type, plain.path.rstrip("/")) == (more.kind, more.type, more.path.rstrip("/"))
    else:
        assert more is plain


AUTHORIZATIONS = st.one_of(
    LINE,
    st.sampled_from(tables.AUTHORIZATIONS),
    st.binary(max_size=60).map(lambda raw: b"Basic " + base64.b64encode(raw)),
)


@given(AUTHORIZATIONS)
@settings(max_examples=300)
def test_a_header_holds_a_key_or_none(header: bytes) -> None:
    key = key_in_header(header)
    assert key is None or key.strip() == key != ""


@given(WRITE_KEYS, st.sampled_from(["", ":", ":secret", "::"]))
@settings(max_examples=200)
def test_every_write_key_there_can_be_is_found_in_a_header(key: str, end: str) -> None:
    assert is_write_key(key)
    assert key_in_header(b"Basic " + base64.b64encode((key + end).encode())) == key


HOPS = st.one_of(
    LINE,
    st.sampled_from(
        [b"203.0.113.9", b"10.0.0.7", b"[2001:db8::1]:443", b"unknown", b"::ffff:10.0.0.7", b"1.2.3.4:5", b""]
    ),
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        b"host": st.sampled_from(tables.HOSTS) | LINE,
        b"x-forwarded-for": st.lists(HOPS, max_size=5).map(b", ".join),
        b"x-forwarded-host": st.lists(st.sampled_from(tables.HOSTS) | LINE, max_size=3).map(b",".join),
        b"x-forwarded-proto": st.lists(st.sampled_from([b"https", b"http", b"", b"javascript"]) | LINE, max_size=3).map(
            b",".join
        ),
        b"forwarded": LINE
        | st.lists(
            st.builds(lambda hop, host: b'for="%b";host=%b;proto=https' % (hop, host), HOPS, LINE), max_size=3
        ).map(b",".join),
    },
)
A_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@given(FIELDS, st.sampled_from(["10.0.0.7", "203.0.113.9", "::1", "fe80::1%eth0", None, ""]), st.booleans())
@settings(max_examples=500)
def test_who_sends_is_an_address_and_what_we_are_called_a_host_whatever_is_said(
    fields: dict[bytes, bytes], address: str | None, secure: bool
) -> None:
    for proxies in (Proxies(), Proxies(["10.0.0.0/8", "::1"]), Proxies(["0.0.0.0/0"], "https://events.example.com")):
        peer = proxies.peer(address, secure=secure)
        found = proxies.address(fields, peer)
        assert found is None or str(IPv4Address(found)) == found
        front = proxies.front(fields, peer)
        assert front is None or A_HOST.fullmatch(front[0])


@given(FIELDS)
@settings(max_examples=200)
def test_nobody_is_believed_who_is_no_trusted_proxy(fields: dict[bytes, bytes]) -> None:
    proxies = Proxies(["10.0.0.0/8"])
    peer = Peer("203.0.113.200")
    assert proxies.address(fields, peer) == "203.0.113.200"
    front = proxies.front(fields, peer)
    assert front is None or front == (fields[b"host"].decode("latin-1"), False)


@given(
    st.sampled_from(tables.ORIGINS) | st.binary(max_size=60), st.sampled_from(fetches.ASKED) | st.binary(max_size=60)
)
@example(b"https://a\r\nX-Injected: 1", b"authorization\r\nX-Injected: 1")
@settings(max_examples=500)
def test_what_a_page_says_becomes_no_header_of_its_own(origin: bytes, asked: bytes) -> None:
    shared = shared_with(origin)
    heard = as_written(preflight(asked), b"" if shared is None else shared.lines)
    assert heard.headers.keys() <= HEADERS
    assert shared is None or heard.headers["access-control-allow-origin"] == origin.decode()
    assert "Authorization" in heard.headers["access-control-allow-headers"]


@given(st.sampled_from(tables.ORIGINS).map(lambda raw: raw.decode("latin-1")) | st.text(max_size=60))
@settings(max_examples=300)
def test_a_list_of_origins_lets_nobody_in_who_is_not_on_it(origin: str) -> None:
    if allows(("https://shop.example", "https://*.good.example"), origin):
        host = origin.lower().removeprefix("https://").removesuffix(":443")
        assert host == "shop.example" or host.endswith(".good.example")


def cdn() -> Cdn:
    """Of a source whose key and whose destination's settings are as hostile as they may be."""
    key = "'\"`</script><!--${alert(7)}\\"
    says = {"name": "</script>\u2028\u2029<!--", "serviceId": "'-alert(7)-'", "nested": {"<": ["\\", "]]>"]}}
    source = Source(id=1, name="web", write_keys=(key, "plain"), created_at=0)
    sources, destinations = (source,), (BrowserDestination(source=1, label="</script>", says=says),)
    return Cdn(lambda: sources, lambda: destinations)


CDN = cdn()
HOSTS = st.from_regex(A_HOST, fullmatch=True).filter(lambda host: len(host) < 200)
KEYS = st.one_of(
    WRITE_KEYS, st.sampled_from(["plain", "'\"`</script><!--${alert(7)}\\", "", "a:b", "\0"]), st.text(max_size=30)
)
ASKS = st.builds(
    Ask,
    path=st.one_of(
        KEYS.map("/analytics.js/v1/{}/analytics.min.js".format),
        KEYS.map("/analytics.js/v1/{}/platform/analytics.min.js".format),
        KEYS.map("/v1/projects/{}/settings".format),
        st.text(max_size=30).map("/analytics-next/bundles/{}".format),
        st.text(string.printable, max_size=40),
        st.just("/analytics-next/bundles/../analytics.min.js"),
    ),
    host=HOSTS,
    secure=st.booleans(),
    accepts=st.sampled_from([b"", b"gzip", b"gzip;q=0", b"*;q=0.5", b"br"]) | LINE,
    if_none_match=st.sampled_from([b"", b"*", b'"x"']) | LINE,
)


@given(ASKS)
@settings(max_examples=500, deadline=None)
def test_what_is_served_holds_no_more_than_texts_where_texts_are_filled_in(ask: Ask) -> None:
    answer = CDN.answer(ask)
    heard = as_written(answer)
    assert heard.headers.keys() <= HEADERS
    assert answer.status in (200, 304, 404)
    if answer.status != 200:
        return
    body = gzip.decompress(answer.body) if heard.headers.get("content-encoding") == "gzip" else answer.body
    if ask.path.endswith("/settings"):
        assert list(settings_flaws(body)) == []
    elif "/analytics.min.js" in ask.path:
        assert list(script_flaws(body)) == []


@given(WRITE_KEYS, HOSTS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_packed_or_not_it_is_the_same_and_is_known_again(key: str, host: str, secure: bool) -> None:
    for path in (f"/analytics.js/v1/{key}/analytics.min.js", f"/v1/projects/{key}/settings"):
        plain = CDN.answer(Ask(path=path, host=host, secure=secure))
        packed = CDN.answer(Ask(path=path, host=host, secure=secure, accepts=b"gzip"))
        assert gzip.decompress(packed.body) == plain.body
        tag = dict(packed.headers)[b"etag"]
        assert CDN.answer(Ask(path=path, host=host, secure=secure, accepts=b"gzip", if_none_match=tag)).status == 304
        assert CDN.answer(Ask(path=path, host=host, secure=secure, if_none_match=tag)).status == 200


@given(WRITE_KEYS.filter(lambda key: "/" not in key))  # of doubled slashes, one is meant
@settings(max_examples=200)
def test_a_write_key_of_any_signs_finds_its_way_from_an_address_to_the_library(key: str) -> None:
    target = f"/v1/projects/{quote_from_bytes(key.encode(), safe='')}/settings".encode()
    route = route_to(b"GET", target)
    assert isinstance(route, Route)
    assert route.path == f"/v1/projects/{key}/settings"


NAMES = st.one_of(
    st.sampled_from(
        [*fetches.DOTTED, "writeKey", "userId", "event", "context.page.url", "properties.a", "context.screen.width"]
    ),
    st.text(max_size=20),
)
FIELDS_OF_A_QUERY = st.lists(
    st.tuples(NAMES, st.text(max_size=20) | st.sampled_from(["true", "1", "-0", "9" * 30, "1e9"])), max_size=30
)
QUERIES = st.one_of(
    st.binary(max_size=200),
    FIELDS_OF_A_QUERY.map(lambda pairs: urlencode(pairs, errors="surrogatepass").encode()),
    st.binary(max_size=200).map(lambda raw: b"data=" + base64.urlsafe_b64encode(raw).rstrip(b"=")),
    st.sampled_from(fetches.ENCODED_DAMAGE).map(lambda text: b"data=" + text.encode()),
)


@given(QUERIES, st.sampled_from(sorted(EVENT_TYPES)))
@settings(max_examples=500, deadline=None)
def test_every_query_of_a_pixel_is_an_event_or_unreadable_or_no_json(text: bytes, type_: EventType) -> None:
    with suppress(Unreadable, NotJson):
        query = Query(b"/v1/pixel/track?" + text)
        assert query.write_key != ""
        body = query.event()
        decoded = decode(body, type_) or decode_mended(body, type_)
        assert decoded.events or decoded.rejected


FLAT = st.dictionaries(
    st.sampled_from(["userId", "event", "messageId"])
    | st.text(string.ascii_letters, min_size=1, max_size=8).map("properties.{}".format),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=8,
)


@given(FLAT)
@settings(max_examples=200)
def test_a_dotted_query_says_what_it_was_made_from(flat: dict[str, str]) -> None:
    found = msgspec.json.decode(Query(b"/?" + urlencode(flat).encode()).event())
    assert {**{k: v for k, v in found.items() if k != "properties"}, **_with_dots(found.get("properties", {}))} == flat


def _with_dots(properties: dict[str, str]) -> dict[str, str]:
    return {f"properties.{name}": value for name, value in properties.items()}
