"""
Users of whom nothing more is kept, and users who are deleted: what was asked for and how far it is, whether somebody is
suppressed, and asking for it. Everybody may look, for no page names anybody; administrators ask.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

from milonga.console.recorded import REGULATIONS
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.facts.regulations import ids_in_json, ids_in_text
from milonga.privacy.regulation import LONGEST_USER, MOST_USERS, Kind, Regulation
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace

ON_A_PAGE: Final = 50
MOST_TEXT: Final = 1_500_000  #: characters of a list that is pasted
NAMED: Final = 20  #: ids that are shown before it is done


class Deed(Struct, frozen=True):
    """
    name      of a kind of regulation, for people
    does      what it does
    for_good  what of it nobody can take back
    """

    name: str
    does: tuple[str, ...]
    for_good: tuple[str, ...]


_THROWN_AWAY: Final = "What they send from then on is answered 200, counted, and thrown away: not a byte of it is kept."
_ERASED: Final = (
    "All their events, what waits or failed of them, their dead letters, and samples of what was discarded are erased. "
    "No undo, and no button, brings them back."
)
_BEYOND: Final = (
    "Destinations keep what they were sent, and backups what is in them: Milonga erases neither. "
    "Have it erased there, too."
)
DEEDS: Final = {
    Kind.suppress_only: Deed(
        REGULATIONS[Kind.suppress_only.value],
        ("Within 5 seconds, nothing more of them is kept. What is stored of them stays.",),
        (_THROWN_AWAY,),
    ),
    Kind.delete_internal: Deed(
        REGULATIONS[Kind.delete_internal.value],
        (
            (
                "What is stored of them is erased, and nothing more of it is sent: what waits ends as skipped "
                "(`user_deleted`). What they send from now on is taken as ever."
            ),
            _BEYOND,
        ),
        (_ERASED,),
    ),
    Kind.suppress_with_delete_internal: Deed(
        REGULATIONS[Kind.suppress_with_delete_internal.value],
        ("What is stored of them is erased, and nothing more of them is kept, or sent.", _BEYOND),
        (_ERASED, _THROWN_AWAY),
    ),
    Kind.unsuppress: Deed(
        REGULATIONS[Kind.unsuppress.value],
        ("Their events are taken again, within 5 seconds. What was thrown away meanwhile stays gone.",),
        (),
    ),
}
KINDS: Final = [(kind.value, deed.name) for kind, deed in DEEDS.items()]

ERASED: Final = {
    "events": ("Events", "the log"),
    "samples": ("Samples of what was discarded", "the log"),
    "segments": ("Segments written anew, without them", "the log"),
    "parkedCopies": ("Parked events", "delivery"),
    "deadLetters": ("Dead letters", "delivery"),
    "editedCopies": ("What was sent instead of edited ones", "delivery"),
    "attempts": ("Failed tries, or their answers", "outcomes"),
}
"""Name of a count -> what it is of, and where that was."""


# Looking


def page(visit: Visit, *, user: str = "", looked: Sequence[dict[str, Any]] | None = None) -> Response:
    """user, looked  of whom it was asked whether the user is suppressed, and where that is so"""
    with visit.workspace() as workspace:
        before = visit.number("before", 0, 0, 1 << 60) or None
        found = workspace.regulations.all(ON_A_PAGE + 1, before)
        names = workspace.sources.names()
        suppressed = workspace.regulations.suppressed_by_source()
    shown = found[:ON_A_PAGE]
    values = {
        "rows": [_row(one, names) for one in shown],
        "suppressed": [(_where(source, names), n) for source, n in suppressed.items()],
        "total": sum(suppressed.values()),
        "user": user,
        "looked": looked,
        "moves": any(one.ended_at is None for one in shown),
        "older": address("/regulations", before=shown[-1].id) if len(found) > ON_A_PAGE else None,
        "newer": "/regulations" if before else None,
    }
    return visit.page("regulations/page.html", values)


def look(visit: Visit) -> Response:
    """Posted, though it changes nothing: so that the id is in no address, which browsers and proxies remember."""
    user = visit.text("user", LONGEST_USER + 1)
    if not user or len(user) > LONGEST_USER:
        return page(visit)
    with visit.workspace() as workspace:
        names = workspace.sources.names()
        found = workspace.regulations.suppressed(user)
    looked = [{"where": _where(source, names), "regulation": number} for source, number in found.items()]
    return page(visit, user=user, looked=looked)


def one(visit: Visit) -> Response:
    text = visit.path["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotThere("There is no such regulation.")
    with visit.workspace() as workspace:
        found = workspace.regulations.regulation(int(text))
        names = workspace.sources.names()
        asked = workspace.audit.page(1, what="regulation.created", name=str(found.id))
    values = {
        "one": found,
        "row": _row(found, names),
        "deed": DEEDS[found.kind],
        "erased": [(*ERASED.get(name, (name, "")), n) for name, n in found.counts.items() if n],
        "by": asked[0].by if asked and visit.may(Role.administrator) else "",
    }
    return visit.page("regulations/one-part.html" if visit.fragment else "regulations/one.html", values)


def _row(one: Regulation, names: dict[int, str]) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": DEEDS[one.kind].name,
        "kind": one.kind.value,
        "status": one.status.value,
        "tone": _tone(one),
        "users": one.users,
        "where": _where(one.source, names),
        "createdAt": one.created_at,
        "endedAt": one.ended_at,
        "trouble": one.trouble,
    }


def _tone(one: Regulation) -> str:
    if one.ended_at is not None:
        return "warn" if one.left else "good"
    return "bad" if one.trouble else "accent"


def _where(source: int | None, names: dict[int, str]) -> str:
    return "all sources" if source is None else f"source {names.get(source, f'#{source}')}"


# Asking


class Wish(Struct, frozen=True):
    """
    users   without doubles
    source  its name; "": all
    """

    kind: Kind
    users: tuple[str, ...]
    source: str

    @property
    def sentence(self) -> str:
        """To be typed before anything is erased; "" if it needs none."""
        return f"delete {len(self.users):,} {'user' if len(self.users) == 1 else 'users'}" if self.kind.deletes else ""


def new(visit: Visit) -> Response:
    return _form(visit)


def _form(visit: Visit, wrong: str = "") -> Response:
    with visit.workspace() as workspace:
        sources = [one.name for one in workspace.sources.all()]
    values = {
        "kinds": KINDS,
        "kind": visit.text("kind") or Kind.suppress_only.value,
        "sources": [("", "all sources"), *((name, name) for name in sources)],
        "source": visit.text("source"),
        "users": visit.text("users", MOST_TEXT) or visit.text("user", LONGEST_USER),
        "json": bool(visit.text("json")),
        "most": MOST_USERS,
        "wrong": wrong,
    }
    return visit.page("regulations/new.html", values, status=422 if wrong else 200)


def check(visit: Visit) -> Response:
    """What was typed, as it is understood, and what it would do; nothing is done."""
    try:
        wish = _wish(visit, _typed(visit))
    except UserError as error:
        return _form(visit, str(error))
    return _confirm(visit, wish)


def _confirm(visit: Visit, wish: Wish, typed: str = "", wrong: str = "") -> Response:
    values = {
        "wish": wish,
        "deed": DEEDS[wish.kind],
        "named": wish.users[:NAMED],
        "ids": msgspec.json.encode(wish.users).decode(),
        "typed": typed,
        "wrong": wrong,
    }
    return visit.page("regulations/confirm.html", values, status=422 if wrong else 200)


def create(visit: Visit) -> Response:
    try:
        ids = msgspec.json.decode(visit.text("ids", 2 * MOST_TEXT), type=list[str])
    except msgspec.MsgspecError:
        raise UserError("This form is incomplete. Begin again, under Regulations.") from None
    wish = _wish(visit, ids)
    if wish.sentence and visit.text("typed").strip().casefold() != wish.sentence:
        return _confirm(visit, wish, visit.text("typed"), f"Type exactly: {wish.sentence}")
    with visit.workspace() as workspace:
        made = workspace.regulations.create(wish.kind, wish.users, wish.source or None, by=visit.by)
    begins = "It begins within a second, while a server runs." if wish.kind.deletes else "In force within 5 seconds."
    return visit.go(f"/regulations/{made.id}", f"Regulation {made.id} was asked for. {begins}")


def _typed(visit: Visit) -> list[str]:
    """UserError"""
    text = visit.text("users", MOST_TEXT + 1)
    if len(text) > MOST_TEXT:
        raise UserError(f"This list is too long: at most {MOST_USERS:,} ids, and {MOST_TEXT:,} characters, at a time.")
    lines = text.replace("\r\n", "\n").split("\n")
    return list(ids_in_json(lines) if visit.text("json") else ids_in_text(line.strip() for line in lines))


def _wish(visit: Visit, ids: Sequence[str]) -> Wish:
    """UserError, as the regulation itself would be refused."""
    kind = next((one for one in Kind if one.value == visit.text("kind")), None)
    if kind is None:
        raise UserError("There is no such kind of regulation. Choose one.")
    users = tuple(dict.fromkeys(ids))
    if not users:
        raise UserError("Write down whom it is about: one user id a line.")
    if len(users) > MOST_USERS:
        raise UserError(f"These are {len(users):,} users; one regulation has at most {MOST_USERS:,}. Divide the list.")
    if too_long := next((one for one in users if not 0 < len(one) <= LONGEST_USER), None):
        raise UserError(f"{too_long[:50]!r}… is too long for a user's id.")
    source = visit.text("source")
    with visit.workspace() as workspace:
        _check_source(workspace, source)
    return Wish(kind, users, source)


def _check_source(workspace: Workspace, name: str) -> None:
    if name:
        workspace.sources.named(name)


PAGES = [
    shows("/regulations", page),
    changes("/regulations", create, Role.administrator),
    changes("/regulations/look", look, Role.viewer),
    shows("/regulations/new", new, Role.administrator),
    changes("/regulations/check", check, Role.administrator),
    shows("/regulations/{number}", one),
]
