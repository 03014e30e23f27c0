"""What browsers fetch: the library with key, address and settings in it, its chunks, and how long it may be kept."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from milonga.collector.ask import Ask
from milonga.collector.cdn import Cdn
from milonga.collector.cdn.answering import takes_gzip
from milonga.collector.cdn.template import BadTemplate, Template, in_a_string
from tests.collector.cdn_parts import (
    CHUNK,
    LIBRARY,
    PLUGIN,
    TOTANGO,
    World,
    ask,
    body,
    build,
    header,
    script,
    settings,
    told,
)

FOR_EVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def cdn(tmp_path_factory: pytest.TempPathFactory) -> Cdn:
    return World().cdn(build(tmp_path_factory.mktemp("assets")))


def run(library: bytes) -> Any:
    """In Node, as a browser would: what the library found in its places."""
    node = shutil.which("node")
    assert node is not None, "the tests need Node"
    program = f"{library.decode()};console.log(JSON.stringify(globalThis.out))"
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", [script("web-key"), "/analytics.js/v1/web-key/platform/analytics.min.js"])
def test_the_library_knows_its_key_its_address_and_the_settings_that_npm_users_fetch(cdn: Cdn, path: str) -> None:
    answer = cdn.answer(ask(path))
    assert (answer.status, header(answer, "content-type")) == (200, "text/javascript; charset=utf-8")
    assert header(answer, "x-content-type-options") == "nosniff"
    assert header(answer, "content-length") == str(len(answer.body))
    found = run(answer.body)
    assert (found["key"], found["cdn"]) == ("web-key", "https://events.example.com")
    assert found["settings"] == told(cdn, settings("web-key"))


def test_it_is_asked_about_each_time_and_sent_once(cdn: Cdn) -> None:
    for path in (script("web-key"), settings("web-key")):
        first = cdn.answer(ask(path))
        tag = header(first, "etag")
        assert tag is not None
        assert re.fullmatch(r'"[0-9a-f-]+"', tag)
        assert header(first, "cache-control") == "no-cache"
        for has in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = cdn.answer(ask(path, has=has))
            assert (again.status, again.body) == (304, b"")
            assert (header(again, "etag"), header(again, "cache-control")) == (tag, "no-cache")
        assert cdn.answer(ask(path, has='"other"')).status == 200
        assert cdn.answer(ask(path, accepts="gzip", has=tag)).status == 200


@pytest.mark.parametrize(
    "path", [script("web-key"), settings("web-key"), "/analytics-next/bundles/tsub.bundle.0123abcd.js"]
)
def test_packed_or_not_it_is_the_same_and_each_form_has_its_own_tag(cdn: Cdn, path: str) -> None:
    plain, packed = cdn.answer(ask(path)), cdn.answer(ask(path, accepts="br, gzip;q=0.8"))
    assert header(plain, "content-encoding") is None
    assert header(packed, "content-encoding") == "gzip"
    assert body(packed) == plain.body
    assert len(packed.body) < len(plain.body)
    assert header(plain, "vary") == header(packed, "vary")
    assert "Accept-Encoding" in str(header(plain, "vary"))
    assert header(plain, "etag") != header(packed, "etag")
    assert cdn.answer(ask(path, accepts="gzip", has=str(header(packed, "etag")))).status == 304


@pytest.mark.parametrize(
    ("accepts", "takes"),
    [
        *(
            ("gzip", True),
            ("deflate, gzip, br", True),
            ("GZIP", True),
            ("x-gzip", True),
            ("*", True),
            ("gzip;q=0.1", True),
        ),
        *(
            ("", False),
            ("br", False),
            ("gzip;q=0", False),
            ("gzip; q=0.000", False),
            ("*;q=0", False),
            ("gzipped", False),
        ),
        *(("gzip;q=0, *", False), ("gzip, *;q=0", True), ("identity", False), ("gzip;level=9", False)),
    ],
)
def test_it_is_packed_for_who_takes_it(accepts: str, takes: bool) -> None:
    assert takes_gzip(accepts.encode()) is takes


def test_chunks_and_our_plugin_are_kept_for_ever_under_names_that_change_with_them(cdn: Cdn, tmp_path: Path) -> None:
    chunk = cdn.answer(ask("/analytics-next/bundles/tsub.bundle.0123abcd.js"))
    assert (chunk.status, chunk.body.decode(), header(chunk, "cache-control")) == (200, CHUNK, FOR_EVER)
    (plugin,) = told(cdn, settings("web-key"))["remotePlugins"]
    path = plugin["url"].removeprefix("https://events.example.com")
    answer = cdn.answer(ask(path))
    assert (answer.status, answer.body.decode(), header(answer, "cache-control")) == (200, PLUGIN, FOR_EVER)
    assert header(answer, "content-type") == "text/javascript; charset=utf-8"

    folder = build(tmp_path / "next")
    (folder / "milonga.js").write_text("window.milongaPlugin=2")
    upgraded = World().cdn(folder)
    late = upgraded.answer(ask(path))
    assert (late.body, header(late, "cache-control")) == (b"window.milongaPlugin=2", "no-cache")
    assert told(upgraded, settings("web-key"))["remotePlugins"][0]["url"] != plugin["url"]


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/analytics.js/v1//analytics.min.js", "/analytics.js/v1/web-key/analytics.js", "/v1/projects//settings"),
        *("/analytics.js/v1/a b/analytics.min.js", "/v1/projects/a:b/settings", "/v1/projects/\u00e9/settings"),
        *("/analytics-next/bundles/none.js", "/analytics-next/bundles/../milonga.js", "/analytics-next/bundles/"),
        *("/analytics-next/bundles/../../../../../../../../etc/passwd", "/analytics-next/manifest.json"),
        *("/analytics-next/milonga.zz.js", "/analytics-next/bundles/tsub.bundle.0123abcd.js\x00"),
        "/v1/projects/" + "k" * 101 + "/settings",
        "/analytics.js/v1/web-key/analytics.min.js\n",
    ],
)
def test_what_it_does_not_have_is_not_found(cdn: Cdn, path: str) -> None:
    assert cdn.answer(ask(path)).status == 404


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=":"), min_size=1, max_size=100))
def test_a_hostile_write_key_stays_a_text(key: str) -> None:
    assert json.loads(f'"{in_a_string(key).decode()}"') == key
    assert not re.search(rb"""[<>"'`$&]""", in_a_string(key))


@given(path=st.text(), accepts=st.binary(), has=st.binary(), agent=st.binary())
def test_nothing_that_is_asked_is_too_much(cdn: Cdn, path: str, accepts: bytes, has: bytes, agent: bytes) -> None:
    for asked in (path, script(path), settings(path), f"/analytics-next/bundles/{path}", f"/analytics-next/{path}"):
        answer = cdn.answer(Ask(path=asked, host="h", secure=True, accepts=accepts, if_none_match=has, agent=agent))
        assert answer.status in {200, 304, 404}
        if answer.status == 200 and header(answer, "content-type") == "application/json":
            assert "Segment.io" in json.loads(body(answer))["integrations"]


def test_a_hostile_write_key_ends_neither_string_nor_script(cdn: Cdn) -> None:
    for key in ("</script><script>alert(1)</script>", "'+alert(1)+'", '"};alert(1);//', "\\", "`${alert(1)}`", "a/b"):
        answer = cdn.answer(ask(script(key)))
        assert answer.status == 200
        assert run(answer.body)["key"] == key
        assert run(answer.body)["settings"]["integrations"]["Segment.io"]["apiKey"] == key
        assert b"</script" not in answer.body
        assert body(cdn.answer(ask(script(key), accepts="gzip"))) == answer.body


def test_what_a_destination_says_cannot_end_the_script_either(tmp_path: Path) -> None:
    world = World()
    odd = "</script>\u2028\u2029<!--"
    world.destinations = (type(TOTANGO)(source=1, label="Totango", says={"name": odd}),)
    cdn = world.cdn(build(tmp_path / "assets"))
    answer = cdn.answer(ask(script("web-key")))
    assert not re.search("[\u2028\u2029]|</script|<!--", answer.body.decode())
    assert run(answer.body)["settings"]["remotePlugins"][0]["settings"]["destinations"] == [{"name": odd}]


def test_without_a_build_the_library_answers_503_the_log_says_how_to_build_it_and_settings_are_valid(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs:
        cdn = World().cdn(tmp_path / "nothing")
        assert told(cdn, settings("web-key"))["integrations"].keys() == {"Segment.io"}
        assert "remotePlugins" not in told(cdn, settings("web-key"))
        assert logs == []
        for _ in range(3):
            answer = cdn.answer(ask(script("web-key"), accepts="gzip"))
            assert (answer.status, header(answer, "cache-control")) == (503, "no-store")
            assert header(answer, "content-type") == "text/javascript; charset=utf-8"
            assert re.fullmatch(rb"/\*[^*]+\*/\n", answer.body)
        assert cdn.answer(ask("/analytics-next/milonga.js")).status == 404
    (line,) = logs
    assert line["event"] == "browser_library.not_built"
    assert "make browser" in line["error"]


@pytest.mark.parametrize(
    "library",
    [
        LIBRARY.replace("__WRITE_KEY__", ""),
        LIBRARY + "'__MILONGA_CDN__'",
        LIBRARY.replace('"__MILONGA_SETTINGS__"', "__MILONGA_SETTINGS__"),
    ],
)
def test_a_library_without_its_places_is_not_served(tmp_path: Path, library: str) -> None:
    with pytest.raises(BadTemplate):
        Template(library.encode())
    assert World().cdn(build(tmp_path / "assets", library)).answer(ask(script("web-key"))).status == 503
