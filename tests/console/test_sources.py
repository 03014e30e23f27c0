"""The pages of sources, over HTTP: what they show, what they change, and for whom."""

import json
import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.harness import Console, console_of
from tests.console.reading import words
from tests.running import PATIENCE, Client, eventually, track

KEY = "k-web"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("sources")) as running:
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
        with Client(running.milonga.port, KEY) as client:
            client.send([track(number, "ada", "acme") for number in range(3)] + [{"type": "track", "userId": "bob"}])
        yield running


def location(console: Console, path: str, **form: str) -> str:
    """Where a form that was taken leads."""
    answer = console.post(path, form)
    assert answer.status == 303, answer.text
    return answer.headers["location"]


def keys_of(console: Console, name: str) -> tuple[str, ...]:
    with Workspace.open(console.data) as workspace:
        return workspace.sources.named(name).write_keys


def test_the_list_shows_what_came_within_the_last_hour(console: Console) -> None:
    def listed() -> bool:
        text = re.sub(r"\s+", " ", console.get("/sources").text)
        row = re.search(r'<a href="/sources/web">web</a>.*?</tr>', text)
        assert row is not None
        return re.findall(r'<td class="num">([^<]*)</td>', row[0]) == ["3", "1", "0", "0"]

    eventually(listed, "accepted, discarded, duplicates, refused")
    assert 'aria-label="3 events accepted within the last hour"' in console.get("/sources").text
    part = console.get("/sources", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert 'href="/sources/web"' in part.text


def test_creating_a_source_leads_to_its_set_up_with_everything_to_paste(console: Console) -> None:
    to = location(console, "/sources/new", name="made-here", origins="https://a.example\nhttps://*.b.example")
    assert to == "/sources/made-here/setup"
    page = console.get(to, Role.editor)
    key = keys_of(console, "made-here")[0]
    assert page.status == 200
    assert f"analytics.load(&#34;{key}&#34;)" in page.text
    for sdk in ("Node", "Python", "Go", "Java", ".NET", "Ruby", "PHP", "Kotlin", "Swift", "React Native", "Flutter"):
        assert f"{sdk}: " in page.text, sdk
    for other in ("C#: Analytics-CSharp", "Pixel", "curl", "npm install"):
        assert other in page.text, other
    assert "Listening for the first event" in page.text
    assert 'data-copy="#server1"' in page.text
    with Workspace.open(console.data) as workspace:
        assert workspace.sources.named("made-here").settings.origins == ("https://a.example", "https://*.b.example")
        assert workspace.audit.page(1, what="source.added")[0].by == "user:the-editor"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"name": ""}, "1 to 64 characters"),
        ({"name": "a b"}, "1 to 64 characters"),
        ({"name": "web"}, "a source called web already"),
        ({"name": "new", "origins": "nonsense"}, "is no origin"),
    ],
)
def test_what_is_wrong_with_a_new_source_is_said_beside_it_and_nothing_is_lost(
    console: Console, typed: dict[str, str], says: str
) -> None:
    answer = console.post("/sources/new", typed)
    assert answer.status == 422
    assert says in answer.text
    assert 'aria-invalid="true"' in answer.text
    for value in typed.values():
        assert value in answer.text
    with Workspace.open(console.data) as workspace:
        assert "new" not in [source.name for source in workspace.sources.all()]


def test_the_address_to_paste_can_be_another_than_the_one_listened_on(console: Console) -> None:
    page = console.get("/sources/web/setup?host=https://events.example.com").text
    assert "host: &#34;https://events.example.com&#34;" in page
    assert "others cannot reach it" not in page
    assert "others cannot reach it" in console.get("/sources/web/setup").text
    wrong = console.get("/sources/web/setup?host=https://a/b/c")
    assert (wrong.status, "is no address" in wrong.text) == (200, True)


def test_keys_are_exchanged_ended_and_removed(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("keyed", "first-key")
    keys = "/sources/keyed/keys"
    assert location(console, f"{keys}/rotate", overlap="7") == keys
    first, second = keys_of(console, "keyed")
    assert first == "first-key"
    page = console.get(keys, Role.editor).text
    assert "ends in 6 days" in page
    assert "in force" in page
    location(console, f"{keys}/end", key=first, after="0")
    assert keys_of(console, "keyed") == (second,)
    location(console, f"{keys}/end", key=first, after="never")
    location(console, f"{keys}/remove", key=first)
    refused = console.post(f"{keys}/remove", {"key": second})
    assert (refused.status, "only write key" in refused.text) == (409, True)
    location(console, f"{keys}/add", key="mine")
    assert keys_of(console, "keyed") == (second, "mine")
    wrong = console.post(f"{keys}/add", {"key": "a b"})
    assert (wrong.status, "no space and no colon" in wrong.text) == (422, True)
    location(console, f"{keys}/rotate", overlap="0")
    assert len(keys_of(console, "keyed")) == 1


def test_an_exchange_is_a_line_on_the_sources_page_until_a_key_in_use_ends_soon(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("used", "used-key")
        workspace.write_keys.rotate("used")
    with Client(console.milonga.port, "used-key") as client:
        client.send([track(1, "ada", "acme")])
    eventually(lambda: "still in use" in console.get("/sources/used/keys").text, "its use is noted")
    warning = "A write key that ends is in use"
    assert "its exchange goes on" in console.get("/sources/used").text
    for path in ("/sources", "/sources/used", "/"):
        assert warning.lower() not in console.get(path).text.lower(), path
    location(console, "/sources/used/keys/end", key="used-key", after="2")
    for path in ("/sources", "/sources/used", "/"):
        assert warning.lower() in console.get(path).text.lower(), path
    assert "its exchange goes on" not in console.get("/sources/used").text


def test_settings_are_saved_and_what_is_wrong_is_said_where_it_is(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("set")
    path = "/sources/set/settings"
    page = console.get(path).text
    for label in ("Enabled", "Allowed origins", "IP address", "Rate limit", "New accounts, alarm", "New accounts, cap"):
        assert label in page
    assert location(console, path, rateLimit="50", ip="strip", origins="https://a.example") == path
    with Workspace.open(console.data) as workspace:
        settings = workspace.sources.named("set").settings
    assert (settings.rate_limit, settings.ip, settings.origins) == (50, "strip", ("https://a.example",))
    wrong = console.post(path, {"rateLimit": "-1", "origins": "nonsense"})
    assert wrong.status == 422
    assert "nonsense" in wrong.text
    with Workspace.open(console.data) as workspace:
        assert workspace.sources.named("set").settings == settings
    assert location(console, path, enabled="false") == path
    assert "It is switched off" in console.get("/sources/set").text


def test_a_source_is_removed_unless_a_destination_hangs_on_it(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("gone")
    assert location(console, "/sources/gone/remove") == "/sources"
    for path in ("", "/setup", "/live", "/discarded", "/keys", "/settings"):
        answer = console.get(f"/sources/gone{path}")
        assert (answer.status, "no source called gone" in answer.text) == (404, True)


def test_discarded_events_are_listed_with_code_reason_and_how_they_begin(console: Console) -> None:
    page = console.get("/sources/web/discarded").text
    assert "event_not_defined" in page
    assert "<summary>A track without <code>event</code>.</summary>" in page
    assert "Expected the name of the event" in page, "what it was read as stands behind"
    assert "Have the track call pass a name" in page
    assert "{&#34;type&#34;: &#34;track&#34;, &#34;userId&#34;: &#34;bob&#34;}" in page
    assert "No samples" in console.get("/sources/web/discarded?code=other").text
    assert "Nothing was discarded" not in page


def test_of_many_samples_every_one_is_on_one_page(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("bad", "bad-key")
    for number in range(12):
        with Client(console.milonga.port, "bad-key") as client:
            client.send([{"type": "track", "userId": f"u-{number}-{one}"} for one in range(8)])
    found: list[str] = []
    path = "/sources/bad/discarded"
    while path:
        page = console.get(path).text
        found += re.findall(r"u-\d+-\d+", page)
        older = re.search(r'href="([^"]*)" rel="next"', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert len(found) == len(set(found)) == 96


def test_requests_that_name_no_source_are_shown_with_what_helps(console: Console) -> None:
    with closing(HTTPConnection("127.0.0.1", console.milonga.port, timeout=PATIENCE)) as sender:
        for key in ("nobody's", "nobody's-either"):
            basic = b64encode(f"{key}:".encode()).decode()
            sender.request("POST", "/v1/track", json.dumps({"userId": "a"}), {"Authorization": f"Basic {basic}"})
            assert sender.getresponse().read()
        sender.request("POST", "/v2/track", "{}")
        assert sender.getresponse().read()
    for path in ("/sources", "/sources/web"):
        eventually(lambda path=path: "unknown_write_key" in console.get(path).text, "told")  # type: ignore[misc]
        assert "No source has this write key" in console.get(path).text
    said = "3 requests of the last hour were refused and counted to no source: 2 unknown_write_key , 1 not_found ."
    eventually(lambda: said in words(console.get("/").text), "the overview names what was counted")


def test_viewers_see_everything_and_change_nothing(console: Console) -> None:
    for path in ("", "/setup", "/live", "/discarded", "/keys", "/settings"):
        assert console.get(f"/sources/web{path}", Role.viewer).status == 200
    keys = console.get("/sources/web/keys", Role.viewer).text
    assert "/keys/rotate" not in keys
    assert "/keys/remove" not in keys
    settings = console.get("/sources/web/settings", Role.viewer).text
    assert '<fieldset class="bare" disabled>' in settings
    assert "Save" not in settings
    changes = ("/sources/new", "/sources/web/settings", "/sources/web/remove")
    for path in (*changes, *(f"/sources/web/keys/{what}" for what in ("rotate", "add", "end", "remove"))):
        assert console.post(path, {"name": "x"}, Role.viewer).status == 403
    assert console.get("/sources/new", Role.viewer).status == 403


def test_viewers_see_of_write_keys_how_they_begin_and_editors_the_whole(console: Console) -> None:
    whole = "a-write-key-of-a-server"
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("serving", "another-write-key")
        workspace.write_keys.add("serving", whole)
        workspace.write_keys.end("serving", "another-write-key", 3_600_000)
    for path in ("/sources", *(f"/sources/serving{tab}" for tab in ("", "/setup", f"/setup?key={whole}", "/keys"))):
        page = console.get(path, Role.viewer).text
        assert (whole in page, "another-write-key" in page) == (False, False), path
    for path in ("/sources/serving/setup", "/sources/serving/keys"):
        assert whole in console.get(path, Role.editor).text
        assert "a-wr…" in console.get(path, Role.viewer).text
    assert "analytics.load(&#34;a-wr…&#34;)" in console.get("/sources/serving/setup", Role.viewer).text


def test_a_write_key_that_its_sender_puts_into_each_event_is_not_shown_whole_to_viewers(console: Console) -> None:
    key = "a-key-in-each-event"
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("careless", key)
    event = {**track(1, "ada", "acme"), "messageId": "m-careless", "writeKey": key}
    with Client(console.milonga.port, key) as client:
        client.send([event, {"type": "track", "userId": "bob", "writeKey": key}])
    eventually(lambda: "m-careless" in console.get("/events?message=m-careless").text, "it arrived")
    (place,) = set(re.findall(r"/events/(\d+-\d+)", console.get("/events?message=m-careless").text))
    for path in (f"/events/{place}", f"/events/{place}?view=raw", "/sources/careless/discarded"):
        assert key in console.get(path, Role.editor).text, path
        page = console.get(path, Role.viewer).text
        assert (key in page, "a-ke…" in page) == (False, True), path


def test_of_a_key_that_a_sample_is_cut_in_viewers_see_only_how_it_begins(console: Console) -> None:
    key = "a-key-at-the-very-edge"
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("edgy", key)
    event = {"type": "track", "userId": "bob", "filler": "", "writeKey": key}
    begins = json.dumps(event).index(key)
    with Client(console.milonga.port, key) as client:
        client.send([{**event, "filler": "x" * (2_000 - 12 - begins)}, {**event, "writeKey": key}])
    path = "/sources/edgy/discarded"
    eventually(lambda: "a-key-at-the…" in console.get(path, Role.editor).text, "it is cut in its key")
    page = console.get(path, Role.viewer).text
    assert ("a-key" in page, page.count("a-ke…")) == (False, 2)


# What is live


def stream(console: Console, path: str, until: str, headers: dict[str, str] = {}) -> str:  # noqa: B006
    """What a stream says up to this."""
    where = urlsplit(console.url)
    with closing(socket.create_connection((where.hostname, where.port or 80), timeout=PATIENCE)) as connection:
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{where.port}", "Accept: text/event-stream"]
        lines += [f"Cookie: milonga_session={console.cookie(Role.viewer)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        text = ""
        while until not in text:
            more = connection.recv(65_536)
            assert more, text
            text += more.decode(errors="replace")
        return text


def test_the_stream_goes_on_where_a_browser_says_that_it_was(console: Console) -> None:
    begun = stream(console, "/sources/web/stream?after=1", "e-2")
    assert [f"e-{number}" in begun for number in range(3)] == [False, True, True]
    again = stream(console, "/sources/web/stream?after=1", "e-2", {"Last-Event-ID": "0-2"})
    assert [f"e-{number}" in again for number in range(3)] == [False, False, True]
    odd = stream(console, "/sources/web/stream?after=x&type=nothing&in=nowhere", "beat", {"Last-Event-ID": "x-y"})
    assert "event: beat" in odd


def test_a_viewers_stream_has_no_write_key_either(console: Console) -> None:
    key = "a-key-that-streams-by"
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("streaming", key)
    with Client(console.milonga.port, key) as client:
        client.send([{**track(1, "ada", "acme"), "event": f"with {key} in its name"}])
    said = stream(console, "/sources/streaming/stream?after=1", "in its name")
    assert (key in said, "with a-ke… in its name" in said) == (False, True)


def test_a_stream_of_a_source_that_is_gone_says_so_and_strangers_get_none(console: Console) -> None:
    assert "event: gone" in stream(console, "/sources/never/stream", "gone")
    assert console.get("/sources/web/stream", None, {"Accept": "text/event-stream"}).status == 401


def test_the_first_event_is_told_also_if_it_is_discarded(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("first", "first-event-key")
    with Client(console.milonga.port, "first-event-key") as client:
        client.send([track(77, "ada", "acme")])
    told = stream(console, "/sources/first/first?after=0", "event: done")
    assert "It is here" in told
    assert "e-77" in told


@pytest.mark.parametrize("place", ["0-999999", "1-1", "x", "0-x", "0-99999999999999999999", "-"])
def test_an_event_that_is_not_there_is_said_not_to_be(console: Console, place: str) -> None:
    answer = console.get(f"/sources/web/live/{place}", headers={"HX-Request": "true"})
    assert (answer.status, "not kept" in answer.text) == (404, True)


def test_an_event_is_shown_beside_the_rows_only_for_its_own_source(console: Console) -> None:
    part = {"HX-Request": "true"}
    shown = console.get("/sources/web/live/0-1", headers=part).text
    assert "e-0" in shown
    assert 'href="/events/0-1"' in shown
    assert "&#34;groupId&#34;: &#34;acme&#34;" in shown
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("other")
    assert console.get("/sources/other/live/0-1", headers=part).status == 404
    assert console.get("/sources/web/live/0-1").headers["location"] == "/events/0-1"


def test_an_overview_without_charts_is_read_again_once_there_is_something_to_draw(console: Console) -> None:
    renews = {"HX-Request": "true"}
    answer = console.get("/?empty=1", headers=renews)
    assert (answer.status, answer.headers.get("hx-refresh")) == (204, "true")
    assert console.get("/", headers=renews).status == 200
    assert "No event has arrived yet" not in console.get("/").text
