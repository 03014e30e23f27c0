"""From templates to pages: everything is escaped unless a template of ours says otherwise, and none does for data."""

import datetime
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from milonga import __version__
from milonga.console.built import asset
from milonga.console.instead import page_for
from milonga.outcomes.words import person

_IN: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)")
NONE: Final = "\N{EN DASH}"  #: where there is no value
TONES: Final = {
    "delivered": "good",
    "on": "good",
    "kept": "good",
    "skipped": "",
    "off": "",
    "never": "",
    "waiting": "accent",
    "retrying": "warn",
    "paused": "warn",
    "expired": "bad",
    "dead": "bad",
}
"""How what stands for how something stands is coloured; the word is always there too."""


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("milonga.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(asset=asset, version=__version__, tone=lambda state: TONES.get(state, ""))
    made.filters.update(
        number=number,
        when=when,
        ago=ago,
        duration=duration,
        share=share,
        json=pretty,
        plural=plural,
        coded=coded,
        person=person,
    )
    return made


def render(template: str, values: Mapping[str, Any]) -> str:
    return environment().get_template(template).render(values)


# -- filters


def number(value: float | None) -> str:
    """1,234; a dash if there is none."""
    return NONE if value is None else f"{value:,.0f}" if isinstance(value, int) else f"{value:,.1f}"


def coded(text: str) -> Markup:
    """
    A sentence in which what stands between backticks is code, or the page that does what a command does, and times are
    in the viewer's zone. It is escaped.
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return _timed(text)
    begun = [not before.strip() or before.rstrip()[-1] in ".!?" for before in ("", *parts)]
    return Markup().join(
        _code(part, begins=begun[place]) if place % 2 else _timed(part) for place, part in enumerate(parts)
    )


def _code(text: str, *, begins: bool) -> Markup:
    """begins: it is the first of a sentence"""
    link = page_for(text)
    if link is None:
        return Markup("<code>{}</code>").format(text)
    words, to = link
    return Markup('<a href="{}">{}</a>').format(to, words[:1].upper() + words[1:] if begins else words)


def _timed(text: str) -> Markup:
    return Markup().join(
        when(part, "full") if place % 2 else escape(part) for place, part in enumerate(_IN.split(text))
    )


def plural(count: int, one: str, many: str | None = None) -> str:
    """ "1 event", "2,000 events"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def share(part: float, whole: float) -> str:
    """A percentage that never says 100 % or 0 % of what is not."""
    if not whole:
        return NONE
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{min(percent, 99.9) if part < whole else percent:.1f} %".replace(".0 %", " %")


def duration(milliseconds: float | None) -> str:
    """ "under 1 ms", "38 ms", "4.2 s", "3 min", "5 h", "2 d"."""
    if milliseconds is None:
        return NONE
    if milliseconds < 1:
        return "under 1 ms"
    seconds = milliseconds / 1000
    for limit, size, unit in ((1, 0.001, "ms"), (60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            n = seconds / size
            return f"{n:.1f} {unit}" if unit == "s" and n < 10 else f"{n:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def when(at: str | int | None, kind: str = "") -> Markup:
    """
    A time, in the viewer's zone once the browser has seen it.

    at    as milonga.outcomes.words.instant writes it, or unix milliseconds
    kind  "ago", "full", or "" for what is short
    """
    if at is None:
        return Markup('<span class="muted">{}</span>').format(NONE)
    text = at if isinstance(at, str) else _instant(at)
    attribute = {"ago": " data-ago", "full": " data-full"}.get(kind, "")
    shown = text.replace("T", " ").removesuffix("Z").split(".")[0]
    # Some pages have hundreds of them, and Markup.format takes its time.
    return Markup(f'<time datetime="{escape(text)}"{attribute}>{escape(shown)} UTC</time>')  # noqa: S704 - escaped


def ago(at: str | int | None) -> Markup:
    return when(at, "ago")


def _instant(milliseconds: int) -> str:
    at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pretty(value: Any) -> str:
    """JSON for people; of raw JSON, the same text indented."""
    if isinstance(value, msgspec.Raw | bytes):
        return msgspec.json.format(bytes(value), indent=2).decode(errors="replace")
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
