"""Events in the console: found again, and the story of one, over HTTP; in Chromium with the previews."""

import html
import re
from collections.abc import Iterator

import pytest

from milonga.privacy.regulation import Kind
from milonga.workspace.store import Workspace
from tests.console.furnished import furnished
from tests.console.harness import Console
from tests.console.reading import words
from tests.running import eventually

REFUSED, SKIPPED = "/events/0-91", "/events/0-92"  #: in the furnished workspace


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with furnished(tmp_path_factory.mktemp("events")) as running:
        eventually(lambda: places(running, "/events?noAccount=1") == [95, 94, 93, 92], "the index has all events")
        yield running


def text_of(console: Console, path: str) -> str:
    """What a person reads."""
    answer = console.get(path)
    assert answer.status == 200, answer.text
    return words(answer.text)


def places(console: Console, path: str) -> list[int]:
    """Offsets of the events of a page, in its order."""
    return [int(offset) for offset in re.findall(r'href="/events/0-(\d+)"', console.get(path).text)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("message=m-refused", [91]),
        ("name=Refused+Purchase", [91]),
        ("account=acme&type=group", [14, 8, 2]),
        ("account=acme&user=acme-user-0&type=identify", [1]),
        ("noAccount=1", [95, 94, 93, 92]),
        ("source=ios-app", []),
        ("account=Acme", []),
        ("type=track&user=hooli-user-1&source=web", [55]),
        ("type=nonsense&message=m-refused", [91]),
    ],
)
def test_events_are_found_by_what_they_have_in_common(console: Console, query: str, found: list[int]) -> None:
    assert places(console, f"/events?{query}") == found


def test_pages_of_events_go_on_where_the_former_one_ended(console: Console) -> None:
    first = console.get("/events")
    older = re.search(r'href="(/events\?before=[^"]+)" rel="next"', first.text)
    assert older is not None
    rest = html.unescape(older[1])
    assert places(console, "/events") + places(console, rest) == list(range(95, 0, -1))
    assert 'rel="next"' not in console.get(rest).text


def test_a_search_that_finds_nothing_says_why_that_may_be(console: Console) -> None:
    assert "Ids and names are compared exactly" in text_of(console, "/events?account=ACME")
    assert "There is no source called nowhere" in text_of(console, "/events?source=nowhere")


def test_each_row_says_what_became_of_the_event(console: Console) -> None:
    said = text_of(console, "/events?message=m-refused")
    assert "dead totango http_400" in said
    assert "waiting totango-emea" in said


def test_a_refused_event_tells_its_whole_story(console: Console) -> None:
    said = text_of(console, REFUSED)
    for part in (
        "Refused for good: Totango answered 400 Bad Request.",
        "The call says it in its context, context.groupId.",
        "By the rules of Totango it becomes 1 request.",
        "sdr_a Refused Purchase sdr_m Application",
        "--data-urlencode 'sdr_a=Refused Purchase'",
        "The destination is paused since",
    ):
        assert part in said
    page = console.get(REFUSED).text
    assert 'href="/problems/dead/letter/1-0-91"' in page
    assert 'href="/account?id=acme"' in page
    assert re.search(r'<td class="num">400</td>', page)


def test_a_skipped_event_says_where_to_put_it_right(console: Console) -> None:
    page = console.get(SKIPPED).text
    assert 'href="/sources/web/setup"' in page
    assert "Totango needs to know the account" in page
    assert "kept back" in page


def test_a_delivered_event_is_said_to_be_answered_200(console: Console) -> None:
    said = text_of(console, "/events/0-2")
    assert "totango answered 200. That it took the event is all it says." in said
    assert "A group call names its account itself, in groupId." in said


def test_an_event_stands_there_as_it_was_kept(console: Console) -> None:
    assert '"event": "Refused Purchase",\n' in html.unescape(console.get(REFUSED).text)
    assert '"event": "Refused Purchase", "context": {' in html.unescape(console.get(f"{REFUSED}?view=raw").text)


def test_what_waits_is_looked_at_again_by_the_page(console: Console) -> None:
    assert f'hx-get="{REFUSED}"' in console.get(REFUSED).text
    part = console.get(REFUSED, headers={"HX-Request": "true"}).text
    assert "totango-emea" in part
    assert "<main" not in part
    assert "hx-get" not in console.get(SKIPPED).text


def test_what_is_no_event_is_told_so(console: Console) -> None:
    gone = console.get("/events/0-4711")
    assert (gone.status, "The log keeps events since" in gone.text) == (404, True)
    assert console.get("/events/../../etc/passwd").status == 404
    assert console.get("/events/0-1e9").status == 404
    assert console.get("/events/1-1").status == 404
    assert console.get(REFUSED, role=None).status == 303


def test_of_an_erased_event_the_page_says_when_and_by_what(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        made = workspace.regulations.create(Kind.delete_internal, ["initech-user-2"], None)

        def ended() -> bool:
            return workspace.regulations.regulation(made.id).ended_at is not None

        eventually(ended, "the user is deleted")
    said = text_of(console, "/events/0-33")
    assert f"by regulation {made.id}" in said
    assert "As it was kept" not in said
    assert "initech" not in said
