"""The stand-in for Totango's own script in a real Chromium: it does what docs/totango.md says of the real one."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from milonga.destinations.pretend import Seen
from milonga.destinations.totango.fake import pretend
from tests.chromium import chromium
from tests.receiving import Receiving
from tests.running import eventually

OPTIONS = {"service_id": "SP-1-01", "allow_empty_accounts": False}
QUIET = {**OPTIONS, "disable_heartbeat": True}
ALWAYS = ["sdrurl", "r", "sdr_heartbeat", "sdr_heartbeat_idle"]
MINUTE = 60_000  #: milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


class Script:
    """A page with the script in it, by a clock that stands in the test's hands."""

    def __init__(self, page: Page, totango: Receiving) -> None:
        self.page, self._totango = page, totango
        self._asked: list[str] = []  # random numbers of the images, in the order in which the page asked
        page.on("request", lambda request: self._asked.extend(parse_qs(urlsplit(request.url).query).get("r", [])))

    def load(self, options: dict[str, Any], *stack: dict[str, Any]) -> None:
        self.page.goto(f"{self._totango.url}/_summary")
        self.page.evaluate(
            """([url, options, stack]) => new Promise((done) => {
                window.totango_options = options
                window.totango_tmp_stack = stack
                const script = document.createElement('script')
                script.onload = done
                script.src = url
                document.head.append(script)
            })""",
            [f"{self._totango.url}/totango.js", options, list(stack)],
        )

    def call(self, code: str) -> Any:
        """What `totango.` and this returns; an image as "image"."""
        return self.page.evaluate(f"() => {{ const it = totango.{code}; return it instanceof Image ? 'image' : it }}")

    def got(self, count: int) -> list[Seen]:
        """What Totango received, and no more than that, in the order in which the page asked: images overtake."""
        eventually(lambda: self._totango.received() >= count, f"{count} requests")
        self.page.evaluate("() => fetch('/_summary')")  # by then all images that were asked for have been, too
        found = sorted(self._totango.requests(), key=lambda seen: self._asked.index(seen.params["r"]))
        assert len(found) == count, [seen.params for seen in found]
        return found

    def passes(self, milliseconds: int) -> None:
        self.page.clock.fast_forward(milliseconds)


@pytest.fixture
def script(browser: Browser, totango: Receiving) -> Iterator[Script]:
    with browser.new_context() as context:
        context.clock.install()
        yield Script(context.new_page(), totango)


def told(seen: Seen) -> dict[str, Any]:
    return {name: value for name, value in seen.params.items() if name not in ALWAYS}


def test_parameters_come_in_their_order_by_get(script: Script) -> None:
    script.load(QUIET)
    script.call(
        "go({user: {id: 'ada', name: 'Ada'}, account: {id: 'acme', name: 'Acme', fid: 'sf-1', plan: 'Paying'}})"
    )
    script.call("track('Saved', 'Docs')")
    (seen,) = script.got(1)
    assert (seen.method, seen.path) == ("GET", "/pixel.gif/")
    assert list(seen.params) == [
        *("sdr_s", "sdr_o", "sdr_ofid", "sdr_u", "sdr_a", "sdr_m", "sdr_odn", "sdr_o.plan", "sdr_u.name"),
        *ALWAYS,
    ]
    assert list(told(seen).values()) == ["SP-1-01", "acme", "sf-1", "ada", "Saved", "Docs", "Acme", "Paying", "Ada"]
    assert (seen.params["sdr_heartbeat"], seen.params["sdr_heartbeat_idle"]) == ("60", "60")
    assert seen.params["sdrurl"].endswith("/_summary")


def test_it_says_whether_it_could_do_what_was_asked(script: Script) -> None:
    script.load(QUIET)
    assert script.call("track('Saved')") is None
    assert script.call("go({account: 'acme'})") == -2
    assert script.call("go({user: 'ada'})") == 1
    assert script.call("track('Saved')") == "image"
    assert script.call("setAccountAttributes({plan: 'Free'})") == "image"
    assert script.call("setUserAttributes('acme', {role: 'cto'})") == "image"
    script.got(3)


def test_without_an_account_nothing_is_sent_unless_empty_ones_are_allowed(script: Script) -> None:
    script.load(QUIET)
    script.call("go({user: 'ada@acme.example'})")
    assert script.call("track('Saved')") is None
    script.load({**QUIET, "allow_empty_accounts": True})
    script.call("go({user: 'ada@acme.example'})")
    assert script.call("track('Saved')") == "image"
    assert script.got(1)[0].params["sdr_o"] == "ada@acme.example"


def test_what_the_stub_collected_is_tracked_and_options_count_from_the_start(script: Script) -> None:
    options = {**QUIET, "user": "ada", "account": {"id": "acme"}, "module": "Home"}
    script.load(options, {"activity": "Early"}, {"activity": "Later", "module": "Docs"})
    assert [(told(seen)["sdr_a"], told(seen)["sdr_m"]) for seen in script.got(2)] == [
        ("Early", "Home"),
        ("Later", "Docs"),
    ]


def test_attributes_are_repeated_on_every_request_and_only_plain_values_survive(script: Script) -> None:
    script.load(QUIET)
    script.call("go({user: {id: 'ada', vip: true, size: 1.5, tags: ['a'], gone: null}, account: 'acme'})")
    script.call("track('One')")
    script.call("go({account: {id: 'acme', plan: 'Paying'}})")
    script.call("track('Two')")
    one, two = map(told, script.got(2))
    odd = "[object Object]"
    user = {"sdr_u.vip": "true", "sdr_u.size": "1.5", "sdr_u.tags": odd, "sdr_u.gone": odd}
    assert user.items() <= one.items()
    assert {**user, "sdr_o.plan": "Paying"}.items() <= two.items()


def test_another_account_has_its_own_attributes_and_go_overwrites_the_module_even_by_nothing(script: Script) -> None:
    script.load(QUIET)
    script.call("go({user: 'ada', account: {id: 'acme', plan: 'Paying'}, module: 'Docs'})")
    script.call("track('One')")
    script.call("go({account: {id: 'globex'}})")
    script.call("track('Two')")
    one, two = map(told, script.got(2))
    assert (one["sdr_o"], one["sdr_m"], one["sdr_o.plan"]) == ("acme", "Docs", "Paying")
    assert two == {"sdr_s": "SP-1-01", "sdr_o": "globex", "sdr_u": "ada", "sdr_a": "Two"}


def test_a_product_is_an_account_of_its_own_and_a_parent_and_a_region_are_told(script: Script) -> None:
    script.load({**QUIET, "region": "eu1"})
    script.call("go({user: 'ada', account: {id: 'acme', plan: 'x'}, parent: {id: 'holding'}})")
    script.call("track('One')")
    script.call("go({product: {id: 'CRM', seats: 3}})")
    script.call("track('Two')")
    one, two = map(told, script.got(2))
    assert one.items() >= {"sdr_o": "acme", "sdr_o.parent_id": "holding", "standin_region": "eu1"}.items()
    assert two["sdr_o"] == "acme_CRM"
    assert two.items() >= {"sdr_o.product_id": "CRM", "sdr_o.parent_id": "acme", "sdr_o.seats": "3"}.items()
    assert "sdr_o.plan" not in two


def test_it_pings_with_each_go_and_once_a_minute_while_the_page_is_in_use(script: Script) -> None:
    script.load(OPTIONS)
    script.call("go({user: 'ada'})")
    script.got(0)
    script.call("go({account: 'acme', module: 'Docs'})")
    assert " ".join(told(script.got(1)[0]).values()) == "SP-1-01 acme ada __heartbeat Docs"
    script.passes(MINUTE // 2)
    script.page.mouse.move(5, 5)
    script.passes(MINUTE // 2 + 10)
    script.got(2)
    for _ in range(3):
        script.passes(MINUTE)
    script.got(2)  # nobody is there
    script.page.mouse.move(7, 7)
    script.got(3)
    script.call("go({})")
    assert told(script.got(4)[3])["sdr_m"] == "__system"


@pytest.mark.parametrize(
    "off", [{"disable_heartbeat": True}, {"disable_heartbeat": False, "heartbeat_timeout_sec": 29}]
)
def test_pings_can_be_switched_off(script: Script, off: dict[str, Any]) -> None:
    script.load(OPTIONS)
    script.page.evaluate("(off) => totango.go({user: 'ada', account: 'acme', ...off})", off)
    script.page.mouse.move(5, 5)
    script.passes(2 * MINUTE)
    script.got(0)
    script.call("track('Saved')")
    script.got(1)


def test_identify_is_remembered_by_the_next_page_until_clear(script: Script) -> None:
    script.load(QUIET)
    assert script.call("identify({id: 'acme', plan: 'Paying'}, 'ada')") == "image"
    assert "sdr_a" not in script.got(1)[0].params
    script.load(QUIET)
    script.call("track('Saved')")
    seen = told(script.got(2)[1])
    assert (seen["sdr_o"], seen["sdr_u"], seen["sdr_a"]) == ("acme", "ada", "Saved")
    script.call("clear()")
    assert script.call("track('Saved')") is None
    script.load(QUIET)
    assert script.call("track('Saved')") is None
    script.got(2)


def test_attributes_of_an_unknown_account_wait_for_it(script: Script) -> None:
    script.load(QUIET)
    assert script.call("setAccountAttributes({plan: 'Paying'})") is None
    script.load(QUIET)
    script.call("go({user: 'ada', account: 'acme'})")
    script.call("track('Saved')")
    assert told(script.got(1)[0])["sdr_o.plan"] == "Paying"


def test_the_global_can_have_another_name(script: Script) -> None:
    script.load({**QUIET, "tracker_name": "tango"})
    assert script.page.evaluate("[typeof window.totango, typeof window.tango.go]") == ["undefined", "function"]
