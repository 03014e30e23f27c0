"""The sample site (examples/site): pages with Segment's SDK in them, served by `milonga demo`."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Final

from msgspec import Struct

import milonga
from milonga.destinations.listener import Call, Connection, Reply, Turn

_PACKAGE: Final = Path(milonga.__path__[0])
FOLDERS: Final = (_PACKAGE.parent / "examples" / "site", _PACKAGE / "cli" / "site")
"""Where it is: in a checkout, and in an installed package."""

BUNDLE: Final = "npm.js"
PLACE: Final = "{{ANALYTICS}}"  #: in each page, once
_BARE_PAGE: Final = "analytics.page();"
_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_PAGE: Final = "text/html; charset=utf-8"
_HEADERS: Final = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
_NOT_BUILT: Final = "The bundle of these pages is not built. In a checkout: make browser\n"


class Filled(Struct, frozen=True, kw_only=True):
    """
    What is filled into the pages.

    write_key  of the source they send to
    milonga    where it takes events, such as http://127.0.0.1:8080
    totango    where a person can look what arrived
    snippet    HTML: Segment's snippet for that key and address; its own call of page() is left to the pages, which
               name their section
    """

    write_key: str
    milonga: str
    totango: str
    snippet: str


def folder() -> Path:
    """FileNotFoundError if it is nowhere."""
    found = next((one for one in FOLDERS if (one / "index.html").is_file()), None)
    if found is None:
        raise FileNotFoundError(f"The sample site is neither in {FOLDERS[0]} nor in {FOLDERS[1]}.")
    return found


def pages(source: Path, filled: Filled) -> Mapping[str, Reply]:
    """All that is served, by path: each page with the snippet, and under /npm/ with the bundled SDK."""
    found: dict[str, Reply] = {}
    meta = f'<meta name="totango" content="{escape(filled.totango)}">'
    key, host = escape(filled.write_key), escape(filled.milonga)
    ways = {
        "/": f"{meta}\n  {filled.snippet.replace(_BARE_PAGE, '')}",
        "/npm/": f'{meta}\n  <script src="/{BUNDLE}" data-write-key="{key}" data-milonga="{host}"></script>',
    }
    built = (source / BUNDLE).is_file()
    for path in sorted(source.iterdir()):
        if path.suffix == ".html":
            text, name = path.read_text(encoding="utf-8"), "" if path.stem == "index" else path.stem
            for way, loading in ways.items():
                whole = text.replace(PLACE, loading).encode()
                missing = way == "/npm/" and not built
                found[way + name] = _plain(404, _NOT_BUILT) if missing else Reply(200, _PAGE, whole, _HEADERS)
        elif path.suffix in _TYPES:
            found[f"/{path.name}"] = Reply(200, _TYPES[path.suffix], path.read_bytes(), _HEADERS)
    return found


@asynccontextmanager
async def serving(
    served: Mapping[str, Reply], host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Gives the address; port 0 takes any free one. OSError if it cannot listen there."""
    connections: set[Connection] = set()

    def take(call: Call) -> Turn:
        reply = _reply(served, call)
        return Turn(0.0, lambda gone: reply)

    server = await asyncio.get_running_loop().create_server(lambda: Connection(take, connections), host, port, ssl=tls)
    try:
        own = server.sockets[0].getsockname()[1]
        yield f"{'http' if tls is None else 'https'}://{host}:{own}"
    finally:
        server.close()
        for connection in list(connections):
            connection.abort()
        await server.wait_closed()


def _reply(served: Mapping[str, Reply], call: Call) -> Reply:
    if call.method != "GET":
        return _plain(405, "There are only pages here.\n")
    return served.get(call.path) or _plain(404, "There is no such page. The first one is /\n")


def _plain(status: int, text: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", text.encode(), _HEADERS)
