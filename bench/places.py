"""What is asked of the console and the API: every page, and every list, with something in it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from bench.furnishing import DEAD, FILTER, HOOK, REPLAY, step_of
from bench.serving import DESTINATION, SOURCE
from milonga.api.table import PREFIX, ROUTES
from milonga.console.pages import all_pages

ACCOUNT, USER = "account-00001", "user-1@account-00001.example"
QUIET: Final = "account-19998"  #: seldom heard of
CHARTS: Final = ("arrivals", "backlog", "endings", "latency")
DOWNLOADS: Final = ("/problems/skips/export",)  #: of all that fit, however many
ONLY_ABOUT: Final = (
    *("/account", "/account/standing", "/parked-keys", "/problems/examples", "/stories", "/summary"),
    "/suppressions",
)
"""Lists that must be told of what."""


class Places:
    """
    Of a furnished directory of so many events.

    missing  paths of which nobody said what to ask for
    """

    def __init__(self, events: int, user: str, link: str, regulation: int) -> None:
        """
        user        of the console
        link        secret of a link by which somebody chooses a password
        regulation  number of one
        """
        self._events, self._missing = events, list[str]()
        dead = step_of(DEAD, events)
        self._names: Mapping[str, Mapping[str, str]] = {
            "": {
                "kind": "totango",
                "destination": DESTINATION,
                "source": SOURCE,
                "position": f"0-{events // 3}",
                "place": f"0-{events // 3}",
                "id": f"1-0-{dead}",
                "token": link,
                "replay": str(REPLAY),
                "number": str(REPLAY),
            },
            "/sources/": {"name": SOURCE},
            "/destinations/": {"name": DESTINATION, "filter": FILTER},
            "/regulations/": {"number": str(regulation), "regulation": str(regulation)},
            "/users": {"name": user, "user": user},
        }

    def pages(self) -> Iterator[str]:
        older = f"0-{self._events // 2}"
        known: Mapping[str, Sequence[str]] = {
            "/": ["/", "/?range=14d"],
            "/charts/{what}": [f"/charts/{what}?range={span}" for what in CHARTS for span in ("1h", "14d")],
            "/destinations": ["/destinations"],
            "/destinations/{name}": [f"/destinations/{DESTINATION}", f"/destinations/{HOOK}"],
            "/destinations/{name}/settings": [f"/destinations/{name}/settings" for name in (DESTINATION, HOOK)],
            "/preview": [
                "/preview",
                f"/preview?event=0-{self._events // 3}&destination={DESTINATION}",
                f"/preview?example=group&destination={HOOK}",
            ],
            "/problems": ["/problems", f"/problems?destination={DESTINATION}&span=7d", "/problems?span=30d"],
            "/replays/new": ["/replays/new", f"/replays/new?destination={DESTINATION}"],
            "/sources/{name}": [f"/sources/{SOURCE}", f"/sources/{SOURCE}?range=14d"],
            "/events": [
                "/events",
                *(f"/events?{urlencode(one)}" for one in self._searches()),
                f"/events?before={older}",
                f"/events?account={ACCOUNT}&before={older}",
            ],
            "/problems/skips": [
                "/problems/skips",
                f"/problems/skips?destination={DESTINATION}&span=7d",
                f"/problems/skips?destination={DESTINATION}&code=missing_group_id&span=7d",
            ],
            "/problems/trend": [f"/problems/trend?destination={DESTINATION}&code=missing_group_id&span=7d"],
            "/problems/dead": [
                "/problems/dead",
                f"/problems/dead?destination={DESTINATION}&code=http_400",
                f"/problems/dead?account={QUIET}",
            ],
            "/problems/parked": ["/problems/parked", f"/problems/parked?destination={DESTINATION}"],
            "/accounts": ["/accounts", "/accounts?q=account-0123", "/accounts?q=nothing", "/accounts?unnamed=1"],
            "/account": [f"/account?id={ACCOUNT}", f"/account?id={QUIET}", f"/account?id={ACCOUNT}&before={older}"],
            "/catalogue": ["/catalogue", f"/catalogue?source={SOURCE}"],
        }
        for page in all_pages():
            if page.path in DOWNLOADS:
                self._missing.append(page.path)
            elif page.method == "GET" and page.stream is None and page.needs is not None:
                yield from known.get(page.path) or self._filled(page.path, page.path)

    def for_strangers(self) -> Iterator[str]:
        """Those that whoever is logged in is sent away from."""
        for page in all_pages():
            if page.method == "GET" and page.needs is None:
                yield from self._filled(page.path, page.path)

    def lists(self) -> Iterator[str]:
        of_account = [{"account": ACCOUNT}, {"account": QUIET}]
        reason = {"destination": DESTINATION, "code": "missing_group_id"}
        about: Mapping[str, Sequence[Mapping[str, str]]] = {
            "/account": [{"id": ACCOUNT}, {"id": QUIET}],
            "/account/standing": [{"id": ACCOUNT}, {"id": QUIET}],
            "/parked-keys": [{"destination": DESTINATION}],
            "/problems": [{"span": "30d"}],
            "/problems/examples": [reason],
            "/summary": of_account,
            "/suppressions": [{"user": USER}],
        }
        for route in ROUTES:
            if route.method == "GET":
                for path in self._filled(route.path, f"{PREFIX}{route.path}"):
                    if route.path not in ONLY_ABOUT:
                        yield f"{PREFIX}{path}"
                    for query in about.get(route.path, ()):
                        yield f"{PREFIX}{path}?{urlencode(query)}"
                    for query in self._searches():
                        if route.path == "/events" or (
                            route.path == "/stories" and query.keys() <= {"user", "account"}
                        ):
                            yield f"{PREFIX}{path}?{urlencode(query)}"

    def _searches(self) -> list[dict[str, str]]:
        return [
            {"account": ACCOUNT},
            {"account": QUIET},
            {"user": USER},
            {"account": ACCOUNT, "name": "Report 90 exported"},
            {"name": "Report 7 exported"},
            {"name": "Nothing is called so"},
            {"type": "group"},
        ]

    def _filled(self, path: str, called: str) -> tuple[str, ...]:
        """The path with a name for each of its braces; nothing if one is not known."""
        names = dict(self._names[""])
        for begin, more in self._names.items():
            if begin and path.startswith(begin):
                names |= more
        try:
            return (path.format_map(names),)
        except KeyError:
            self._missing.append(called)
            return ()

    @property
    def missing(self) -> list[str]:
        """After both were asked for."""
        return list(dict.fromkeys(self._missing))
