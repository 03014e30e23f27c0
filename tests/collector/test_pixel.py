"""Events in the address of a picture: what is read, and that the picture comes whatever happens."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from milonga.collector.pixel import MAX_DOTS, MAX_FIELDS, Query, Unreadable
from milonga.collector.proxies import Proxies
from milonga.spec.event import Group, Page, Track
from tests.collector.parts import KEY, NOW, Answered, Bench, Front, Server, run, send

DOT = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
EVENT = {"writeKey": KEY, "userId": "025pikachu025", "event": "Email Opened", "properties": {"subject": "Électric?>~"}}


@pytest.fixture(params=["asgi", "own", "uvloop"])
def front(request: pytest.FixtureRequest) -> Front:
    kind: Front = request.param
    return kind


def assert_dot(answer: Answered) -> None:
    assert answer.status == 200
    assert answer.body == DOT
    assert len(DOT) == 43
    assert answer.headers["content-type"] == "image/gif"
    assert answer.headers["content-length"] == "43"
    assert answer.headers["cache-control"] == "no-store"


def see(bench: Bench, query: str, type_: str = "track", front: Front = "own", **headers: str) -> None:
    with bench.listening(front) as server:
        assert_dot(send(server, "GET", f"/v1/pixel/{type_}?{query}", headers=headers))


def data(event: Any) -> str:
    text = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
    return base64.b64encode(text).decode()


def forms(text: str) -> dict[str, str]:
    """The ways in which base64 gets into an address."""
    url_safe = text.replace("+", "-").replace("/", "_")
    return {
        "percent-encoded": quote(text, safe=""),
        "as it is": text,  # a plus sign then means a blank
        "unpadded": quote(text.rstrip("="), safe=""),
        "url-safe": url_safe,
        "url-safe, unpadded": url_safe.rstrip("="),
        "in lines": quote("\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)), safe=""),
    }


@pytest.mark.parametrize("form", list(forms("")))
@pytest.mark.parametrize("more", ["", "?", "??"])
def test_base64_is_read_in_all_its_forms(form: str, more: str) -> None:
    event = {**EVENT, "properties": {"subject": f"Électric?>~{more}"}}
    text = data(event)
    assert {"+", "/"} & set(text)
    bench = Bench()
    see(bench, "data=" + forms(text)[form])
    (found,) = bench.events
    assert found.received == event
    assert found.user_id == "025pikachu025"


def test_the_dotted_form_is_read(front: Front) -> None:
    bench = Bench()
    query = {
        "writeKey": KEY,
        "userId": "u 1",
        "event": "Email Opened",
        "properties.subject": "The ÉR & you",
        "properties.number": "5",
        "properties.nested.deep.down": "x",
        "context.groupId": "acme",
        "integrations.All": "false",
        "integrations.Totango": "true",
    }
    see(bench, urlencode(query), front=front)
    (event,) = bench.events
    assert event.call == Track(
        "Email Opened", {"subject": "The ÉR & you", "number": "5", "nested": {"deep": {"down": "x"}}}
    )
    assert event.user_id == "u 1"
    assert event.integrations == {"All": False, "Totango": True}
    assert event.account is not None
    assert event.account.id == "acme"


def test_what_amp_sends_is_read() -> None:
    """The fields of the `segment` vendor of AMP's analytics, for a page view."""
    bench = Bench()
    query = {
        "writeKey": KEY,
        "context.library.name": "amp",
        "anonymousId": "amp-x7",
        "context.locale": "en-us",
        "context.page.path": "/a",
        "context.page.url": "https://www.example.com/a?b=c",
        "context.page.referrer": "",
        "context.page.title": "A & B",
        "context.screen.width": "412",
        "context.screen.height": "915",
        "name": "Home",
    }
    see(bench, urlencode(query), "page")
    (event,) = bench.events
    assert isinstance(event.call, Page)
    assert event.call.name == "Home"
    assert event.anonymous_id == "amp-x7"
    assert event.context == {
        "library": {"name": "amp"},
        "locale": "en-us",
        "page": {"path": "/a", "url": "https://www.example.com/a?b=c", "referrer": "", "title": "A & B"},
        "screen": {"width": 412, "height": 915},
        "ip": "127.0.0.1",
    }
    assert event.timestamp == NOW * 1000


@pytest.mark.parametrize("type_", ["identify", "group", "alias", "page", "screen", "track"])
def test_the_path_says_which_call_it_is(type_: str) -> None:
    bench = Bench()
    see(bench, f"writeKey={KEY}&type=nonsense&userId=u&event=e&groupId=g&previousId=p", type_)
    assert [event.type for event in bench.events] == [type_]
    if type_ == "group":
        assert isinstance(bench.events[0].call, Group)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"writeKey={KEY}&userId=u", "event_not_defined"),
        (f"writeKey={KEY}&event=e", "no_user_anon_id"),
        (f"writeKey={KEY}&event=e&userId=u&properties=5", "properties_not_object"),
        (f"writeKey={KEY}&data=%25%25%25", "malformed_json"),
        (f"writeKey={KEY}&data={data(b'hello')}", "malformed_json"),
        (f"writeKey={KEY}&data=", "malformed_json"),
        (f"writeKey={KEY}&data=A", "malformed_json"),
        (f"writeKey={KEY}&data=" + "A" * 5, "malformed_json"),
        (f"writeKey={KEY}&userId=u&event=e&" + "a." * MAX_DOTS + "b=1", "malformed_json"),
        ("data=" + data({"writeKey": KEY, "userId": "u"}), "event_not_defined"),
    ],
)
def test_what_cannot_be_kept_is_in_the_books_of_its_source_and_answered_all_the_same(query: str, code: str) -> None:
    bench = Bench()
    see(bench, query)
    assert bench.events == []
    assert bench.codes == [code]
    assert bench.ledger.discards[0].source == 1
    assert bench.ledger.discards[0].excerpt
    assert bench.collector.counts["pixel_lost"] == 0


@pytest.mark.parametrize(
    "query", ["", "data", "data=%", "event=e&userId=u", "writeKey=nobodys&event=e&userId=u", "&".join(["a=b"] * 5000)]
)
def test_what_belongs_to_nobody_is_answered_too_and_counted(query: str) -> None:
    bench = Bench()
    see(bench, query[:8000])
    assert bench.events == []
    assert bench.codes == []
    assert bench.collector.counts["pixel_lost"] == 1


def test_the_picture_comes_also_if_nothing_can_be_kept(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    query = f"writeKey={KEY}&userId=u&event=e"
    for fault in ("full", "broken"):
        bench = Bench()
        setattr(bench.log, fault, True)
        see(bench, query, front=front)
        assert bench.collector.counts["pixel_lost"] == 1
    bench = Bench()
    bench.ready = False
    see(bench, query, front=front)
    assert bench.collector.counts["pixel_lost"] == 1
    said = capsys.readouterr()
    assert (said.out + said.err).count("pixels_lost") == 3
    assert "secret" not in said.out + said.err


def test_the_picture_waits_until_the_event_is_kept() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve("own")
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(
            f"GET /v1/pixel/track?writeKey={KEY}&userId=u&event=e HTTP/1.1\r\nConnection: close\r\n\r\n".encode()
        )
        await bench.log.appending.acquire()
        answer = asyncio.create_task(reader.read())
        assert not (await asyncio.wait((answer,), timeout=0.05))[0]
        bench.log.held.set()
        assert (await answer).endswith(DOT)
        writer.close()
        await server.stop()

    run("own", scenario())


def test_a_look_at_its_head_keeps_nothing(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        answer = send(server, "HEAD", f"/v1/pixel/track?writeKey={KEY}&userId=u&event=e")
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", "image/gif")
        assert send(server, "POST", "/v1/pixel/track", b"{}").status == 405
    assert bench.events == []


def test_a_source_that_is_switched_off_or_has_sent_enough_says_so_in_its_books() -> None:
    bench = Bench()
    query = f"writeKey={KEY}&userId=u&event=e"
    bench.set(enabled=False)
    see(bench, query)
    bench.set(rate_limit=1)
    for _ in range(11):
        see(bench, query)
    assert bench.codes == ["source_disabled", "rate_limited"]
    assert len(bench.events) == 10


def test_a_pixel_has_the_address_of_whoever_looks_at_it() -> None:
    def sender(server: Server) -> None:
        path = f"/v1/pixel/track?writeKey={KEY}&userId=u&event=e"
        assert_dot(send(server, "GET", path, headers={"X-Forwarded-For": "203.0.113.9"}))
        assert_dot(send(server, "GET", path + "&context.ip=0.0.0.0", headers={"X-Forwarded-For": "203.0.113.9"}))

    bench = Bench(proxies=Proxies(["127.0.0.1"]))
    with bench.listening() as server:
        sender(server)
    assert [event.context["ip"] for event in bench.events] == ["203.0.113.9", "0.0.0.0"]


@pytest.mark.parametrize(
    ("query", "event"),
    [
        (b"/x?a.b=1&a=2&a.b.c=3", {"a": {"b": "1"}}),
        (b"/x?a=2&a.b=1", {"a": "2"}),
        (b"/x?a..b=1&.c=2", {"a": {"": {"b": "1"}}, "": {"c": "2"}}),
        (
            b"/x?context.active=false&properties.active=false",
            {"context": {"active": False}, "properties": {"active": "false"}},
        ),
        (b"/x?context.direct=yes", {"context": {"direct": "yes"}}),
        (
            b"/x?context.screen.width=1e9&context.screen.density=1.5",
            {"context": {"screen": {"width": "1e9", "density": 1.5}}},
        ),
        (b"/x?userId=5&groupId=007", {"userId": "5", "groupId": "007"}),
        (b"/x?a=%FF%00&b=\xff", {"a": "\ufffd\0", "b": "\ufffd"}),
        (b"/x?a=1?2#3", {"a": "1?2#3"}),
    ],
)
def test_how_dots_become_objects(query: bytes, event: dict[str, Any]) -> None:
    assert json.loads(Query(query).event()) == event


def test_the_bounds_of_a_query() -> None:
    json.loads(Query(b"/x?" + b"&".join([b"a%d=b" % n for n in range(MAX_FIELDS)])).event())
    with pytest.raises(Unreadable, match="at most 500 fields"):
        Query(b"/x?" + b"&".join([b"a%d=b" % n for n in range(MAX_FIELDS + 1)]))
    with pytest.raises(Unreadable, match="characters"):
        Query(b"/x?data=" + b"A" * 70_000).event()
