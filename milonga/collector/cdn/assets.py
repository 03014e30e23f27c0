"""The files that `browser/` builds, in memory. `make browser` puts them into `assets/` beside this file."""

import gzip
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final

from milonga.collector.cdn.template import BadTemplate, Template

ASSETS: Final = Path(__file__).parent / "assets"

HOW_TO_BUILD: Final = "Run `make browser`, which needs Node 20, or install the published package, which has it."


class NotBuilt(Exception):
    """The browser library is not there, or not whole. The message says what is amiss and how to build it."""


class File:
    """
    body  of a script that never changes under its name
    hash  of the body, 16 characters
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.hash = sha256(body).hexdigest()[:16]

    @cached_property
    def packed(self) -> bytes:
        return gzip.compress(self.body, 9, mtime=0)


class Assets:
    """
    script       the library of pages with the snippet
    chunks       what it loads when it is needed, by file name
    plugin       ours alone, for pages that bundle the SDK themselves
    plugin_name  by which it is asked for; another build has another
    """

    def __init__(self, folder: Path) -> None:
        """Reads them all: some 300 KB. NotBuilt."""
        try:
            self.script = Template((folder / "analytics.min.js").read_bytes())
            self.plugin = File((folder / "milonga.js").read_bytes())
            self.chunks = {path.name: File(path.read_bytes()) for path in sorted((folder / "chunks").glob("*.js"))}
        except FileNotFoundError as error:
            raise NotBuilt(f"The browser library is not built: there is no {error.filename}. {HOW_TO_BUILD}") from None
        except OSError as error:
            raise NotBuilt(f"The browser library in {folder} cannot be read: {error.strerror}.") from None
        except BadTemplate as error:
            raise NotBuilt(f"The browser library in {folder} cannot be served: {error}. {HOW_TO_BUILD}") from None
        self.plugin_name = f"milonga.{self.plugin.hash}.js"


def snippet_template(folder: Path = ASSETS) -> str:
    """
    Segment's own snippet, from the npm package @segment/snippet, with `__WRITE_KEY__` and the host `__MILONGA_HOST__`.
    NotBuilt.
    """
    try:
        return (folder / "snippet.js").read_text(encoding="utf-8")
    except OSError as error:
        raise NotBuilt(f"The browser library is not built: {error.filename} is not there. {HOW_TO_BUILD}") from None
