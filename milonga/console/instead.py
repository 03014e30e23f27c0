"""
Where a sentence names a command, and a page does the same, the page: whoever reads it is in the console already. What
has no page, such as `milonga serve`, stays as it is. Pure.
"""

import re
import shlex
from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

Link: TypeAlias = tuple[str, str]
"""(words, address): the words take the place of the command within its sentence."""

NOBODY: Final = "NAME"  #: stands in a command for a name that is not known


def page_for(command: str) -> Link | None:
    """None if there is no page for it."""
    for pattern, link in _DOORS:
        if (found := pattern.fullmatch(command)) is not None:
            return link(found)
    return None


def _fixed(words: str, to: str) -> Callable[[re.Match[str]], Link]:
    return lambda _: (words, to)


def _named(words: str, folder: str, tab: str = "") -> Callable[[re.Match[str]], Link]:
    """words: {} is the name; without one: "its", and the list in which it is found"""

    def link(found: re.Match[str]) -> Link:
        name = found["name"]
        if name == NOBODY:
            return words.format("").replace(" of ", "").replace("the ", "its ", 1), folder
        return words.format(name), f"{folder}/{quote(name, safe='')}{tab}"

    return link


def _about(words: str, page: str, field: str) -> Callable[[re.Match[str]], Link]:
    """words: {} is the message id"""

    def link(found: re.Match[str]) -> Link:
        id_ = _typed(found["id"])
        return words.format(id_), f"{page}?{urlencode({field: id_})}"

    return link


def _typed(text: str) -> str:
    """What `milonga.outcomes.words.typed` made an argument of."""
    try:
        return (shlex.split(text) or [""])[-1]
    except ValueError:
        return text


_DOORS: Final = tuple(
    (re.compile(f"milonga {pattern}"), link)
    for pattern, link in (
        (r"destinations set (?P<name>\S+)(?: .*)?", _named("the settings form of {}", "/destinations", "/settings")),
        (r"destinations show (?P<name>\S+)", _named("the page of {}", "/destinations")),
        (r"destinations resume (?P<name>\S+)", _named("resuming {}", "/destinations")),
        (r"destinations filters (?P<name>\S+) remove .*", _named("removing it there", "/destinations", "/filters")),
        (r"destinations filters \S+ test", _fixed("the preview", "/preview")),
        (r"destinations filters (?P<name>\S+)", _named("the filters page of {}", "/destinations", "/filters")),
        (r"destinations list(?: --all)?", _fixed("the list of destinations", "/destinations")),
        (r"sources list", _fixed("the list of sources", "/sources")),
        (r"sources add .*", _fixed("create it", "/sources/new")),
        (r"sources keys list (?P<name>\S+)", _named("the write keys of {}", "/sources", "/keys")),
        (r"sources keys end (?P<name>\S+) .*", _named("the buttons beside them", "/sources", "/keys")),
        (r"sources set (?P<name>\S+) .*", _named("the settings form of {}", "/sources", "/settings")),
        (r"sources setup (?P<name>\S+)", _named("the set-up page of {}", "/sources", "/setup")),
        (r"explain (?P<id>.+)", _about("event {}", "/events", "message")),
        (r"events discarded(?: .*)?", _fixed("the source's list of them", "/sources")),
        (r"events counts", _fixed("the list of sources", "/sources#refused")),
        (r"events list --no-account", _fixed("the list of events", "/events?noAccount=1")),
        (r"replay --overwrite", _fixed("a replay that overwrites", "/replays/new")),
        (r"replay", _fixed("a replay", "/replays/new")),
        (r"replays resume (?P<name>\d+)", _named("resume it", "/replays")),
        (r"dead list(?: .*)?", _fixed("the list of dead letters", "/problems/dead")),
        (r"dead resend", _fixed("resend", "/problems/dead")),
        (r"dead resend (?P<id>.+)", _about("resend it", "/problems/dead", "messageId")),
        (r"dead discard (?P<id>.+)", _about("discard it", "/problems/dead", "messageId")),
        (r"users list", _fixed("the list of users", "/users")),
        (r"tokens list", _fixed("the list of tokens", "/tokens")),
        (r"regulations list", _fixed("the list of regulations", "/regulations")),
    )
)
