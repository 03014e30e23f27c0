"""A small library to serve, as `browser/` would build it, and somebody who asks for it."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from milonga.collector.answers import Answer
from milonga.collector.ask import Ask
from milonga.collector.cdn import Cdn
from milonga.workspace.model import BrowserDestination, Source, SourceSettings

LIBRARY = (
    "(()=>{var key='__WRITE_KEY__',cdn=\"__MILONGA_CDN__\";"
    + "/* a long and dull middle that packs well */" * 200
    + ';globalThis.out={key:key,cdn:cdn,settings:"__MILONGA_SETTINGS__"};})();\n'
)
PLUGIN = "window.milongaPlugin=function(){return []};\n" * 20
CHUNK = "self.chunk=1;\n" * 50

WEB = Source(id=1, name="web", write_keys=("web-key", "web-key-2"), created_at=0)
OFF = Source(id=2, name="off", write_keys=("off-key",), created_at=0, settings=SourceSettings(enabled=False))

TOTANGO = BrowserDestination(source=1, label="Totango", says={"name": "Totango", "heartbeat": True, "mode": "cloud"})
WEBHOOK = BrowserDestination(source=1, label="Webhook", says=None)
OFFS = BrowserDestination(source=2, label="Totango", says={"name": "Totango", "heartbeat": True, "mode": "cloud"})


def build(folder: Path, library: str = LIBRARY) -> Path:
    (folder / "chunks").mkdir(parents=True)
    (folder / "analytics.min.js").write_text(library)
    (folder / "milonga.js").write_text(PLUGIN)
    (folder / "chunks" / "tsub.bundle.0123abcd.js").write_text(CHUNK)
    return folder


class World:
    """Sources and destinations that can be exchanged, as the workspace's are while a server runs."""

    def __init__(self) -> None:
        self.sources: Sequence[Source] = (WEB, OFF)
        self.destinations: Sequence[BrowserDestination] = (TOTANGO, WEBHOOK, OFFS)

    def cdn(self, folder: Path) -> Cdn:
        return Cdn(lambda: self.sources, lambda: self.destinations, folder)


BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"


def ask(
    path: str,
    accepts: str = "",
    has: str = "",
    host: str = "events.example.com",
    agent: str = BROWSER,
    *,
    secure: bool = True,
) -> Ask:
    return Ask(
        path=path,
        host=host,
        secure=secure,
        accepts=accepts.encode(),
        if_none_match=has.encode(),
        agent=agent.encode(),
    )


def script(write_key: str) -> str:
    return f"/analytics.js/v1/{write_key}/analytics.min.js"


def settings(write_key: str) -> str:
    return f"/v1/projects/{write_key}/settings"


def header(answer: Answer, name: str) -> str | None:
    """None if it is not there; a header that is there twice is a fault."""
    found = [value.decode() for key, value in answer.headers if key == name.encode()]
    assert len(found) < 2, found
    return found[0] if found else None


def body(answer: Answer) -> bytes:
    return gzip.decompress(answer.body) if header(answer, "content-encoding") == "gzip" else answer.body


def told(cdn: Cdn, path: str, **how: Any) -> Any:
    """The JSON of an answer."""
    answer = cdn.answer(ask(path, **how))
    assert answer.status == 200, answer.body
    return json.loads(body(answer))
