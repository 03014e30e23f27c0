"""The sample site with everything around it: Milonga, the pretend Totango, and a visitor in a real Chromium."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from msgspec import Struct
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

from milonga.cli import site
from milonga.delivery.store_reader import DeliveryReader
from milonga.destinations.listener import Reply
from milonga.destinations.pretend import Seen
from milonga.destinations.totango.fake import pretend
from milonga.eventlog.api import Damaged, Stored
from milonga.eventlog.reader import SqliteLogReader
from milonga.facts.setup import address_of, snippet
from milonga.outcomes.reader import OutcomeReader
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.receiving import Receiving
from tests.running import PATIENCE, Milonga, eventually
from tests.sdks.tls import Certificate

KEY = "shop"
SERVICE = "SP-12345-01"
ANA = "ana@orquesta.example"
SUR, NORTE = "orquesta-sur", "cuarteto-norte"

Params = frozenset[tuple[str, str]]
"""Of one request, without the service id."""


class Served:
    """The sample site's pages, between `with` and its end."""

    def __init__(self, pages: Mapping[str, Reply], certificate: Certificate | None) -> None:
        self._pages, self._tls = pages, None if certificate is None else certificate.context()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with site.serving(self._pages, "127.0.0.1", 0, self._tls) as self.url:
            self._ready.set()
            await self._stop.wait()


class Shop(Struct, frozen=True):
    """
    url  of the site, without a slash at its end
    way  "" with the snippet, "/npm" with the bundled SDK
    """

    milonga: Milonga
    totango: Receiving
    url: str
    way: str

    def sent(self) -> Counter[Params]:
        """What the pretend Totango was told, but for heartbeats and what only a browser adds."""
        return Counter(params(seen) for seen in self.activities())

    def activities(self) -> list[Seen]:
        return [seen for seen in self.totango.requests() if seen.params.get("sdr_a") != "__heartbeat"]

    def names(self) -> list[str]:
        """Activities, in the order in which they came."""
        return [str(seen.params["sdr_a"]) for seen in self.activities() if "sdr_a" in seen.params]

    def events(self) -> list[dict[str, Any]]:
        """All that was kept, as the browser sent it, the oldest first."""
        folder, kept = self.milonga.data / "log", list[Stored | Damaged]()

        async def read() -> None:
            reader = SqliteLogReader(folder)
            kept.extend(await reader.read(0, 0, 1_000))
            await reader.close()

        thread = threading.Thread(target=lambda: asyncio.run(read()))  # Playwright's own loop runs in this one
        thread.start()
        thread.join()
        return [json.loads(stored.event.body) for stored in kept if isinstance(stored, Stored)]

    def ends(self) -> Counter[str]:
        """How many events were delivered, and how many skipped, by code."""
        totals = OutcomeReader(self.milonga.data / "outcomes").totals()
        return Counter({code or state.name: count for (_, state, code), count in totals.items()})

    def settled(self) -> bool:
        """Whether delivery is through with every event that was kept."""
        reader = DeliveryReader(self.milonga.data / "delivery.db")
        try:
            return reader.watermarks(0) == [len(self.events())] and not reader.parked_count(self._totango)
        finally:
            reader.close()

    @property
    def _totango(self) -> int:
        with Workspace.open(self.milonga.data) as workspace:
            return workspace.destination("totango").id


@contextmanager
def opened(
    folder: Path, way: str, certificate: Certificate | None = None, settings: Mapping[str, object] | None = None
) -> Iterator[Shop]:
    """settings  of Totango; heartbeats are off unless they say otherwise"""
    folder.mkdir(exist_ok=True)
    tls = () if certificate is None else ("--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key))
    with Receiving(pretend) as totango, Milonga(folder / "data", *tls) as milonga:
        endpoint = f"{totango.url}/pixel.gif/"
        usual = {"serviceId": SERVICE, "endpoint": endpoint, "collector": f"{totango.url}/totango.js"}
        chosen = {**usual, "disableHeartbeat": True, **(settings or {})}
        with Workspace.open(milonga.data) as workspace:
            workspace.sources.add("shop", KEY)
            workspace.add_destination("totango", "shop", "totango", chosen, DestinationState.on, {0: 0})
        milonga.start()
        filled = site.Filled(
            write_key=KEY,
            milonga=milonga.url,
            totango=f"{totango.url}/",
            snippet=snippet(KEY, address_of(milonga.url)),
        )
        with Served(site.pages(site.folder(), filled), certificate) as served:
            yield Shop(milonga, totango, served.url, way)


class Visitor:
    """
    A person with a browser of his own.

    asked   every address his pages asked for
    kept    how many events Milonga took from him
    errors  what pages told of themselves that went wrong
    """

    def __init__(self, browser: Browser, shop: Shop) -> None:
        self.shop = shop
        self.asked: list[str] = []
        self.kept = 0
        self.errors: list[str] = []
        self.context: BrowserContext = browser.new_context(ignore_https_errors=True)
        self.context.set_default_timeout(PATIENCE * 1000)
        self.context.on("request", self._asks)
        self.context.on("response", self._hears)
        self.page = self.tab()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def tab(self) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def _asks(self, request: Request) -> None:
        self.asked.append(request.url)

    def _hears(self, response: Response) -> None:
        ours = response.url.startswith(f"{self.shop.milonga.url}/v1/") and response.request.method == "POST"
        self.kept += ours and response.status == 200

    @property
    def hosts(self) -> set[str]:
        return {urlsplit(url).netloc for url in self.asked if url.startswith("http")}

    def until_closed(self) -> None:
        """Of the tab he was in."""
        if not self.page.is_closed():
            self.page.wait_for_event("close")

    # what he does

    def opens(self, name: str = "") -> None:
        """A page by its address, its library at work."""
        self.page.goto(f"{self.shop.url}{self.shop.way}/{name}")
        self.ready()

    def reloads(self) -> None:
        self.page.reload()
        self.ready()

    def ready(self) -> None:
        self.page.evaluate("() => new Promise((done) => analytics.ready(done))")

    def goes_to(self, section: str) -> None:
        self.page.click(f"nav >> text={section}")
        self.page.wait_for_url(f"**/{section.lower()}")
        self.ready()

    def signs_in(self, account: str = SUR) -> None:
        self.opens()
        self.page.select_option("#sign-in [name=account]", account)
        self.page.click("#sign-in button")
        self.page.wait_for_url("**/calendar")
        self.ready()

    def signs_out(self) -> None:
        self.page.click("#sign-out")
        self.page.wait_for_url(f"{self.shop.url}{self.shop.way}/")
        self.ready()

    def uses_it_for_a_minute(self) -> None:
        """By a clock that the context must have been given."""
        self.page.clock.fast_forward(31_000)
        self.page.mouse.move(10 + len(self.asked) % 7, 20)
        self.page.clock.fast_forward(30_000)

    def until(self, what: Any, says: str) -> None:
        """As `eventually`, but the browser's news are heard meanwhile."""

        def looked() -> bool:
            self.page.wait_for_timeout(20)
            return bool(what())

        eventually(looked, says)


def params(seen: Seen) -> Params:
    return frozenset(
        (name, value)
        for name, value in seen.params.items()
        if name not in {"sdr_s", "sdrurl", "r", "sdr_heartbeat", "sdr_heartbeat_idle"}
    )


def request(account: str = SUR, user: str | None = ANA, **more: str) -> Params:
    """Of `account`: `o_plan` is sdr_o.plan, `u_name` sdr_u.name, `a` the activity, `m` its module."""
    found = {"sdr_o": account} | ({} if user is None else {"sdr_u": user})
    for name, value in more.items():
        kind, _, rest = name.partition("_")
        found[f"sdr_{kind}.{rest}" if rest else f"sdr_{kind}"] = value
    return frozenset(found.items())
