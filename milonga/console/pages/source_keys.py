"""The write keys of a source: exchanged with an overlap, ended, removed."""

from typing import Any, Final

from starlette.responses import Response

from milonga.console.pages._source import at, frame, name_of
from milonga.console.table import changes, shows
from milonga.console.visit import Visit
from milonga.facts.keys import UNITS, in_words, key_for
from milonga.workspace.audit import key_shown
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import UserError
from milonga.workspace.keys import MOST_KEYS, WriteKey

OVERLAPS: Final = (("14", "14 days"), ("7", "7 days"), ("30", "30 days"), ("1", "1 day"), ("0", "none: they end now"))
"""Days, and in words."""


def keys(visit: Visit, wrong: str = "") -> Response:
    with visit.workspace() as workspace:
        source = workspace.sources.named(name_of(visit))
        found = workspace.write_keys.of(source.name)
    now = milliseconds()
    values: dict[str, Any] = {
        "keys": [_shown(visit, one, now) for one in reversed(found)],
        "ending": [_shown(visit, one, now) for one in found if one.ends_in_use(now)],
        "overlaps": OVERLAPS,
        "most": MOST_KEYS,
        "wrong": wrong,
    }
    return visit.page("sources/keys.html", frame(source, "/keys") | values, status=422 if wrong else 200)


def _shown(visit: Visit, one: WriteKey, now: int) -> dict[str, Any]:
    left = None if one.ends_at is None else one.ends_at - now
    return {
        "key": key_for(visit.role, one.key),
        "begins": key_shown(one.key),
        "createdAt": one.created_at,
        "endsAt": one.ends_at,
        "usedAt": one.used_at,
        "ended": one.has_ended(now),
        "left": "" if left is None else in_words(abs(left)),
        "soon": one.ends_soon_in_use(now),
    }


def rotate(visit: Visit) -> Response:
    name = name_of(visit)
    overlap = visit.number("overlap", 14, 0, 366)
    with visit.workspace() as workspace:
        done = workspace.write_keys.rotate(name, overlap=overlap * UNITS["d"], by=visit.by)
    if not done.ends:
        said = "There is a new write key."
    elif overlap:
        said = f"There is a new write key. The others let senders in for {overlap} more days."
    else:
        said = "There is a new write key. The others have ended."
    return visit.go(at(name, "/keys"), said)


def add(visit: Visit) -> Response:
    name = name_of(visit)
    try:
        with visit.workspace() as workspace:
            workspace.write_keys.add(name, visit.text("key").strip() or None, by=visit.by)
    except UserError as error:
        return keys(visit, str(error))
    return visit.go(at(name, "/keys"), "There is a further write key. In force within 5 seconds.")


def end(visit: Visit) -> Response:
    name, key = name_of(visit), visit.text("key")
    after = None if visit.text("after") == "never" else visit.number("after", 14, 0, 366) * UNITS["d"]
    with visit.workspace() as workspace:
        workspace.write_keys.end(name, key, after, by=visit.by)
    said = "It has no end." if after is None else "It has ended." if not after else f"It ends in {in_words(after)}."
    return visit.go(at(name, "/keys"), f"{said} In force within 5 seconds.")


def remove(visit: Visit) -> Response:
    name = name_of(visit)
    with visit.workspace() as workspace:
        workspace.write_keys.remove(name, visit.text("key"), by=visit.by)
    return visit.go(at(name, "/keys"), "The write key is removed. Calls with it are refused.")


PAGES = [
    shows("/sources/{name}/keys", keys),
    changes("/sources/{name}/keys/rotate", rotate),
    changes("/sources/{name}/keys/add", add),
    changes("/sources/{name}/keys/end", end),
    changes("/sources/{name}/keys/remove", remove),
]
