"""What a running Milonga, and an installed one, serves to browsers and phones."""

import gzip
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest
from playwright.sync_api import sync_playwright

from milonga.collector.ask import Ask
from milonga.collector.cdn import Cdn
from milonga.collector.cdn.assets import ASSETS
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.running import PATIENCE, Milonga, eventually

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")


class Got(NamedTuple):
    status: int
    headers: HTTPMessage
    body: bytes


def get(port: int, path: str, method: str = "GET", **headers: str) -> Got:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Got(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@pytest.fixture
def milonga(tmp_path: Path) -> Iterator[Milonga]:
    with Workspace.open(tmp_path / "data") as workspace:
        workspace.sources.add("web", "web-key")
        own = {"serviceId": "SP-12345-01", "sdrToken": "very-secret"}
        workspace.add_destination("totango", "web", "totango", own, DestinationState.on, {})
    with Milonga(tmp_path / "data") as running:
        yield running.start()


def settings(milonga: Milonga, key: str = "web-key") -> dict[str, Any]:
    got = get(milonga.port, f"/v1/projects/{key}/settings")
    assert got.status == 200
    found = json.loads(got.body)
    assert isinstance(found, dict)
    return found


def told(milonga: Milonga, key: str = "web-key") -> list[dict[str, Any]]:
    """What browsers are told of destinations."""
    (plugin,) = settings(milonga, key)["remotePlugins"]
    found = plugin["settings"]["destinations"]
    assert isinstance(found, list)
    return found


def test_the_library_and_all_it_may_load_are_served_packed_and_kept(milonga: Milonga) -> None:
    path = "/analytics.js/v1/web-key/analytics.min.js"
    plain, packed = get(milonga.port, path), get(milonga.port, path, accept_encoding="gzip, deflate, br")
    assert plain.status == packed.status == 200
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert f'"http://127.0.0.1:{milonga.port}"'.encode() in plain.body
    as_a_browser = get(milonga.port, "/v1/projects/web-key/settings", user_agent="Mozilla/5.0")
    assert as_a_browser.body in plain.body
    assert get(milonga.port, path, if_none_match=plain.headers["ETag"])[::2] == (304, b"")
    head = get(milonga.port, path, "HEAD")
    assert (head.headers["Content-Length"], head.body) == (str(len(plain.body)), b"")

    (plugin,) = settings(milonga)["remotePlugins"]
    chunks = [f"/analytics-next/bundles/{chunk.name}" for chunk in (ASSETS / "chunks").iterdir()]
    assert chunks
    for one in (plugin["url"].split(str(milonga.port))[1], *chunks):
        got = get(milonga.port, one)
        assert (got.status, got.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8"), one
        assert "immutable" in got.headers["Cache-Control"]


def test_no_more_is_loaded_than_segments_own_library_by_5_percent() -> None:
    """As it is served; Segment's own then fetches its settings besides."""
    stock = (ROOT / "browser/node_modules/@segment/analytics-next/dist/umd/standalone.js").read_bytes()
    cdn = Cdn(lambda: (), lambda: ())
    path = "/analytics.js/v1/web-key/analytics.min.js"
    ours = cdn.answer(Ask(path=path, host="events.example.com", secure=True, accepts=b"gzip"))
    assert len(ours.body) <= 1.05 * len(gzip.compress(stock, 9))


def test_settings_may_be_read_by_any_page_and_found_under_every_path_of_phones(milonga: Milonga) -> None:
    for path in ("/v1/projects/web-key/settings", "/projects/web-key/settings", "//v1//projects/web-key/settings"):
        got = get(milonga.port, path, origin="https://shop.example")
        assert (got.status, got.headers.get_all("Access-Control-Allow-Origin")) == (200, ["*"]), path
        assert got.headers["Cache-Control"] == "no-cache"
    segment = settings(milonga)["integrations"]["Segment.io"]
    assert segment["apiHost"] == f"127.0.0.1:{milonga.port}/v1"
    assert segment["protocol"] == "http"
    assert get(milonga.port, "/v1/projects/web-key/settings", host='a"b').status == 400


def test_no_secret_is_in_what_browsers_fetch_and_none_is_needed_for_it(milonga: Milonga) -> None:
    for path in ("/analytics.js/v1/web-key/analytics.min.js", "/v1/projects/web-key/settings"):
        assert b"very-secret" not in get(milonga.port, path).body
    milonga.stop()
    milonga.data.with_suffix(".key").unlink()
    milonga.start()
    assert [one["name"] for one in told(milonga)] == ["Totango"]


def test_a_change_in_the_workspace_is_in_what_browsers_fetch_next(milonga: Milonga) -> None:
    (totango,) = told(milonga)
    assert (totango["mode"], totango["heartbeat"]) == ("cloud", True)
    with Workspace.open(milonga.data) as workspace:
        workspace.set_settings("totango", {"disableHeartbeat": True})
        eventually(lambda: told(milonga)[0]["heartbeat"] is False, "the heartbeat is off")
        workspace.change_state("totango", DestinationState.off, "cli", "", {})
        eventually(lambda: told(milonga) == [], "Totango is off")
        assert settings(milonga)["integrations"]["Segment.io"]["unbundledIntegrations"] == []
        workspace.change_state("totango", DestinationState.on, "cli", "", {})
        eventually(lambda: [one["name"] for one in told(milonga)] == ["Totango"], "Totango is on")
        workspace.sources.set_settings("web", {"enabled": False})
        eventually(lambda: told(milonga) == [], "the source is off")
        workspace.sources.set_settings("web", {"enabled": True})
        workspace.write_keys.add("web", "next-key")
        eventually(lambda: told(milonga, "next-key") != [], "a new key is known")
    assert told(milonga, "nobodys-key") == []


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no Chromium at {CHROMIUM}")
def test_the_printed_snippet_sends_from_a_page_under_the_policy_that_the_docs_give(milonga: Milonga) -> None:
    address = milonga.url
    policy = (ROOT / "docs/browsers.md").read_text().split("## Content security policy")[1].split("```")[1]
    rules = [re.sub(r"\(.*\)", "", line).strip() for line in policy.strip().splitlines()]
    allowed = "; ".join(rules).replace("https://events.example.com", address).replace("nonce-...", "nonce-once")
    snippet = milonga.say("sources", "snippet", "web", "--host", address).replace("<script>", '<script nonce="once">')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.route(
            f"{address}/shop",
            lambda route: route.fulfill(
                body=f"<html><head>{snippet}</head></html>",
                headers={"content-type": "text/html", "content-security-policy": f"default-src 'none'; {allowed}"},
            ),
        )
        page.goto(f"{address}/shop")
        with page.expect_response(f"{address}/v1/t"):  # nothing that evaluates text may be waited with here
            page.evaluate("analytics.track('Policy obeyed')")
        assert "Policy obeyed" in milonga.say("events", "list")
        asked = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
        assert {name.split("/v1/")[0].removesuffix("/analytics.js") for name in asked} == {address}
        assert wrong == []
        browser.close()


def test_damaged_settings_of_a_source_are_told_in_the_log_and_stop_nothing(tmp_path: Path) -> None:
    with Milonga(tmp_path / "data") as milonga:
        with Workspace.open(milonga.data) as workspace:
            workspace.sources.add("web", "web-key")
        with apsw.Connection(str(milonga.data / "workspace.db")) as db:
            db.execute("UPDATE source SET settings = '{'")
        db.close()
        milonga.start()
        assert settings(milonga)["integrations"].keys() == {"Segment.io"}
        assert "source.settings_damaged" in milonga.log_text()


def test_the_package_serves_the_library_on_a_machine_without_node(tmp_path: Path) -> None:
    """Built from this checkout, installed into an environment of its own; only its dependencies are borrowed."""
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    subprocess.run(build, cwd=ROOT, check=True, timeout=PATIENCE, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "milonga/cli/site/index.html" in names
    assert not [name for name in names if "node_modules" in name or "ready-" in name or name.endswith(".ts")]

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=PATIENCE)
    python = tmp_path / "env" / "bin" / "python"
    install = (sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    subprocess.run([*install, "--quiet", "--disable-pip-version-check"], check=True, timeout=PATIENCE)
    env = {"PATH": str(tmp_path / "empty"), "PYTHONPATH": str(Path(apsw.__file__).parents[1])}
    assert shutil.which("node", path=env["PATH"]) is None

    def milonga(*words: str) -> str:
        command = [str(python), "-m", "milonga", *words, "--data", str(tmp_path / "data")]
        return subprocess.run(
            command, cwd=tmp_path, env=env, check=True, timeout=PATIENCE, capture_output=True, text=True
        ).stdout

    where = [str(python), "-c", "import milonga; print(milonga.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=env, check=True, timeout=PATIENCE, capture_output=True, text=True)
    assert found.stdout.startswith(str(tmp_path / "env"))
    milonga("sources", "add", "web", "--write-key", "web-key")
    assert "https://events.example.com/analytics.js" in milonga(
        "sources", "snippet", "web", "--host", "events.example.com"
    )
    command = [str(python), "-m", "milonga", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            port = int(re.findall(r"http://127\.0\.0\.1:(\d+)", line)[0])
            assert b'"web-key"' in get(port, "/analytics.js/v1/web-key/analytics.min.js").body
        finally:
            server.terminate()
        assert server.wait(PATIENCE) == 0
