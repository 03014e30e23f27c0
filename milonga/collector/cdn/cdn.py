"""What is served to browsers and phones, under the paths that Segment's SDKs ask for (docs/browsers.md)."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from milonga.collector.answers import NOT_FOUND, Answer, answer_of, bare_answer
from milonga.collector.ask import Ask
from milonga.collector.cdn.answering import (
    ALWAYS_ASK,
    FOR_EVER,
    JAVASCRIPT,
    JSON,
    NO_GUESSING,
    NOT_AT_ALL,
    etag_of,
    has_it,
    packed,
    takes_gzip,
)
from milonga.collector.cdn.assets import ASSETS, Assets, File, NotBuilt
from milonga.collector.cdn.document import address, document, encoded, is_browser
from milonga.collector.cdn.template import CDN, SETTINGS, WRITE_KEY, in_a_string
from milonga.workspace.model import BrowserDestination, Source, WriteKeys, is_write_key

_log = structlog.get_logger("milonga.collector")

_SCRIPT: Final = re.compile(r"/analytics\.js/v1/([^\x00-\x20]+?)(?:/platform)?/analytics\.min\.js/?")
_SETTINGS: Final = re.compile(r"(?:/v1)?/projects/([^\x00-\x20]+)/settings/?")
_CHUNK: Final = re.compile(r"/analytics-next/bundles/([^/]+)")
_PLUGIN: Final = re.compile(r"/analytics-next/(milonga(?:\.[0-9a-f]+)?\.js)")

NO_LIBRARY: Final = b"/* Milonga: the browser library is not built on this server. Its log says how. */\n"


class Cdn:
    """
    sources       those there are
    destinations  those that take events, whichever source they hang on

    Both are asked each time, and must answer from memory: the same object as long as nothing changed.

    folder        what `browser/` built; read once, at the beginning
    """

    def __init__(
        self,
        sources: Callable[[], Sequence[Source]],
        destinations: Callable[[], Sequence[BrowserDestination]],
        folder: Path = ASSETS,
    ) -> None:
        self._sources = sources
        self._destinations = destinations
        self._known: Sequence[Source] = ()
        self._keys = WriteKeys(())
        self._told = False
        self._assets: Assets | None = None
        self._missing = ""
        try:
            self._assets = Assets(folder)
        except NotBuilt as error:
            self._missing = str(error)

    def answer(self, ask: Ask) -> Answer:
        """NOT_FOUND for what it does not have. A write key nobody has gets the library and valid settings, too."""
        if (found := _SETTINGS.fullmatch(ask.path)) is not None and is_write_key(found[1]):
            return self._settings(ask, found[1])
        if (found := _SCRIPT.fullmatch(ask.path)) is not None and is_write_key(found[1]):
            return self._script(ask, found[1])
        if self._assets is None:
            return NOT_FOUND
        if (found := _CHUNK.fullmatch(ask.path)) is not None and found[1] in self._assets.chunks:
            return _file(ask, self._assets.chunks[found[1]], FOR_EVER)
        if (found := _PLUGIN.fullmatch(ask.path)) is not None:
            # Settings of the build before may still ask for its plugin while a new one is put in its place.
            ours = found[1] == self._assets.plugin_name
            return _file(ask, self._assets.plugin, FOR_EVER if ours else ALWAYS_ASK)
        return NOT_FOUND

    def _document(self, ask: Ask, write_key: str, *, browser: bool) -> bytes:
        source = self._source(write_key)
        on = source is not None and source.settings.enabled
        its = [one for one in self._destinations() if on and source is not None and one.source == source.id]
        plugin = None if self._assets is None else self._assets.plugin_name
        found = document(write_key, its, host=ask.host, secure=ask.secure, plugin=plugin, browser=browser)
        return encoded(found)

    def _source(self, write_key: str) -> Source | None:
        sources = self._sources()
        if sources is not self._known:
            self._known, self._keys = sources, WriteKeys(sources)
        return self._keys.source(write_key)

    def _settings(self, ask: Ask, write_key: str) -> Answer:
        body = self._document(ask, write_key, browser=is_browser(ask.agent))
        vary = b"Accept-Encoding, User-Agent"
        return _kept(ask, JSON, etag_of(body), lambda: body, lambda: packed(body), ALWAYS_ASK, vary)

    def _script(self, ask: Ask, write_key: str) -> Answer:
        if self._assets is None:
            if not self._told:
                _log.error("browser_library.not_built", error=self._missing)
            self._told = True
            return answer_of(503, JAVASCRIPT, NO_LIBRARY, (b"cache-control", NOT_AT_ALL), NO_GUESSING)
        script = self._assets.script
        values = {
            WRITE_KEY: in_a_string(write_key),
            CDN: in_a_string(address(ask.host, ask.secure)),
            SETTINGS: self._document(ask, write_key, browser=True),
        }
        tag = etag_of(script.digest, *values.values())
        return _kept(
            ask, JAVASCRIPT, tag, lambda: b"".join(script.parts(values)), lambda: script.packed(values), ALWAYS_ASK
        )


def _file(ask: Ask, file: File, keep: bytes) -> Answer:
    return _kept(ask, JAVASCRIPT, file.hash.encode(), lambda: file.body, lambda: file.packed, keep)


def _kept(
    ask: Ask,
    type_: bytes,
    tag: bytes,
    body: Callable[[], bytes],
    packed_body: Callable[[], bytes],
    keep: bytes,
    vary: bytes = b"Accept-Encoding",
) -> Answer:
    """tag  of the content; each form of it has its own: a strong ETag says that the bytes are the same"""
    gzipped = takes_gzip(ask.accepts)
    if gzipped:
        tag += b"-gzip"
    about = [(b"etag", b'"%b"' % tag), (b"cache-control", keep), (b"vary", vary)]
    if has_it(ask.if_none_match, tag):
        return bare_answer(304, *about)
    if gzipped:
        return answer_of(200, type_, packed_body(), (b"content-encoding", b"gzip"), *about, NO_GUESSING)
    return answer_of(200, type_, body(), *about, NO_GUESSING)
