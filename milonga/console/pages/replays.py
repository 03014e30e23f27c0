"""Replays: what is sent once more, how far it is; and a new one, looked at before anything is sent."""

from collections.abc import Iterator
from typing import Any, Final, cast

from starlette.responses import Response

from milonga.console.asked import wait
from milonga.console.dry_runs import DryRun, Wanted
from milonga.console.lines import DELIVERY
from milonga.console.pages.problems import is_number, places_of
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.delivery.replay_rows import GOES_ON, ReplayState
from milonga.delivery.selection import Selection
from milonga.facts import wishes
from milonga.facts.facts import Facts, Place
from milonga.facts.replays import as_row
from milonga.facts.stopped import waits_there
from milonga.facts.when import moment
from milonga.outcomes.words import instant
from milonga.spec.event import EventType
from milonga.spec.read import EVENT_TYPES
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.roles import Role

ON_A_PAGE: Final = 30
NARROWED: Final = ("type", "account", "user", "event", "code")
FIELDS: Final = ("destination", "from", "to", *NARROWED, "find_accounts", "rate", "overwrite")
NOW_WORDS: Final = {
    "same": ("sent, as it was", "accent"),
    "changed": ("sent, with other fields", "accent"),
    "new": ("sent; it was not before", "accent"),
    "unknown": ("sent; how it was then is not known", "accent"),
    "skipped": ("not sent", ""),
    "waiting": ("left alone: it has not ended yet", ""),
}
"""What becomes of events by a replay, in words."""


def page(visit: Visit) -> Response:
    with visit.facts() as facts:
        place = _chosen(visit, facts)
        number = None if place is None else place.config.id
        found = [] if facts.delivery is None else facts.delivery.replays.all(number, ON_A_PAGE)
        rows = [{**as_row(facts, one), "goes_on": one.state in GOES_ON} for one in found]
        waiting = [command for command in facts.workspace.commands.pending() if command.kind == "replay"]
        values = {
            "rows": rows,
            "asked": len(waiting),
            "dry_runs": [_dry(run) for run in visit.services.dry_runs.all()],
            "moves": bool(waiting) or any(row["goes_on"] for row in rows),
            "place": place,
            "destinations": bool(places_of(facts)),
            "more": len(found) == ON_A_PAGE,
            "most": ON_A_PAGE,
        }
    values["moves"] = values["moves"] or any(one["state"] == "running" for one in cast("list[Any]", values["dry_runs"]))
    return visit.page("replays/table.html" if visit.fragment else "replays/page.html", values)


def _chosen(visit: Visit, facts: Facts) -> Place | None:
    name = visit.text("destination")
    return Place(facts.workspace.destination(name)) if name else None


def one(visit: Visit) -> Response:
    text = visit.path["number"]
    with visit.facts() as facts:
        found = None if facts.delivery is None or not is_number(text) else facts.delivery.replays.one(int(text))
        if found is None:
            raise NotThere("There is no such replay; of those that have ended, the newest thousand are kept.")
        values = {"one": {**as_row(facts, found), "goes_on": found.state in GOES_ON}}
    return visit.page("replays/one-part.html" if visit.fragment else "replays/one.html", values)


def hold(visit: Visit) -> Response:
    return _set(visit, ReplayState.paused, "is held. What is on its way arrives.")


def resume(visit: Visit) -> Response:
    return _set(visit, ReplayState.running, "goes on.")


def stop(visit: Visit) -> Response:
    return _set(visit, ReplayState.stopped, "is stopped. What is on its way arrives.")


def _set(visit: Visit, state: ReplayState, says: str) -> Response:
    text = visit.path["number"]
    if not is_number(text):
        raise NotThere("There is no such replay.")
    with visit.facts() as facts:
        asked = wishes.set_replay(facts, int(text), state, by=visit.by)
    found = wait(visit, [asked])
    said = f"Replay {text} {says}" if not found.waiting and not found.errors else found.says("done", "replay")
    return visit.go("/replays", said)


# A new one


def new(visit: Visit) -> Response:
    given = {name: visit.text(name) for name in FIELDS}
    given["from"] = given["from"] or "1d"
    given["rate"] = given["rate"] or f"{wishes.RATE:g}"
    return _form(visit, given, {})


def _form(visit: Visit, given: dict[str, str], wrong: dict[str, str]) -> Response:
    with visit.facts() as facts:
        places = places_of(facts)
        kinds = facts.workspace.kinds
        notes: dict[str, list[str]] = {}
        for place in places:
            kind = kinds.get(place.config.kind)
            if kind is not None and kind.before_replay:
                notes.setdefault(kind.before_replay, []).append(place.config.name)
        kept = facts.log.since()
        values = {
            "given": given,
            "wrong": wrong,
            "destinations": [(place.config.name, place.config.name) for place in places],
            "types": [("", "All calls"), *((one, one) for one in sorted(EVENT_TYPES))],
            "notes": notes,
            "kept_since": None if kept is None else instant(kept),
            "rates": wishes.RATES,
        }
    return visit.page("replays/new.html", values, status=422 if wrong else 200)


def look(visit: Visit) -> Response:
    """Begins a dry run, which has a page of its own."""
    given = {name: visit.text(name).strip() for name in FIELDS}
    wrong: dict[str, str] = {}
    now = milliseconds()
    since = _moment(given, "from", now, wrong)
    until = now if given["to"] in ("", "now") else _moment(given, "to", now, wrong)
    if since is not None and until is not None and since >= until:
        wrong["to"] = "This is not after the beginning."
    rate = _rate(given["rate"])
    if rate is None:
        least, most = wishes.RATES
        wrong["rate"] = f"Expected a number from {least:g} to {most:,.0f}."
    if given["type"] and given["type"] not in EVENT_TYPES:
        wrong["type"] = "There is no such call."
    with visit.facts() as facts:
        try:
            place = _chosen(visit, facts)
        except UserError as error:
            place, wrong["destination"] = None, str(error)
    if place is None and "destination" not in wrong:
        wrong["destination"] = "Choose one."
    if wrong or place is None or since is None or until is None or rate is None:
        return _form(visit, given, wrong)
    selection = Selection(
        source=place.config.source,
        since=since,
        until=until,
        type=cast("EventType | None", given["type"] or None),
        account=given["account"] or None,
        user=given["user"] or None,
        name=given["event"] or None,
        code=given["code"] or None,
        find_accounts=bool(given["find_accounts"]),
    )
    wanted = Wanted(
        destination=place.config.id,
        name=place.config.name,
        selection=selection,
        rate=rate,
        overwrite=bool(given["overwrite"]),
    )
    try:
        run = visit.services.dry_runs.begin(wanted, visit.by)
    except UserError as error:
        return _form(visit, given, {"": str(error)})
    return visit.go(f"/replays/dry-runs/{run.id}")


def _moment(given: dict[str, str], name: str, now: int, wrong: dict[str, str]) -> int | None:
    try:
        return moment(given[name], now)
    except (ValueError, OverflowError) as error:
        wrong[name] = str(error)
        return None


def _rate(text: str) -> float | None:
    try:
        rate = float(text)
    except ValueError:
        return None
    least, most = wishes.RATES
    return rate if least <= rate <= most else None


# Dry runs


def dry_run(visit: Visit) -> Response:
    run = _run(visit)
    values: dict[str, Any] = {"run": _dry(run), "now_words": NOW_WORDS, "note": "", "kept_since": None, "busy": None}
    values["still"] = list(_still(run))
    with visit.facts() as facts:
        place = next((one for one in places_of(facts) if one.config.id == run.wanted.destination), None)
        kind = None if place is None else facts.workspace.kinds.get(place.config.kind)
        kept = facts.log.since()
        begun = wishes.begun(facts, run.wanted.destination)
        values |= {
            "note": "" if kind is None else kind.before_replay,
            "gone": place is None,
            "off": place is not None and place.config.state.value == "off",
            "held": "" if place is None else waits_there([place.config], "Once started, the replay"),
            "kept_since": instant(kept) if kept is not None and run.wanted.selection.since < kept else None,
            "empty_log": kept is None,
            "busy": None if begun is None else begun.id,
            "server_runs": facts.server_runs,
        }
    return visit.page("replays/dry-part.html" if visit.fragment else "replays/dry.html", values)


def _still(run: DryRun) -> Iterator[tuple[str, int, str]]:
    """What would end as it did the first time, since nothing is mended: (code, how many, where to read of it)."""
    for one in () if run.found is None else run.found["outcomes"]:
        if one["now"] == "skipped" and one["code"] == one["firstCode"]:
            see = address("/problems/skips", destination=run.wanted.name, code=one["code"])
            yield one["code"], one["events"], see


def _run(visit: Visit) -> DryRun:
    text = visit.path["id"]
    found = visit.services.dry_runs.one(int(text)) if is_number(text) else None
    if found is None:
        raise NotThere("There is no such dry run any more: they are kept for an hour. Begin another one.")
    return found


def _dry(run: DryRun) -> dict[str, Any]:
    wanted, selection = run.wanted, run.wanted.selection
    found = run.found
    seconds = None if found is None else found["send"] / wanted.rate
    chosen = None if selection.positions is None else len(selection.positions)
    return {
        "id": run.id,
        "state": run.state,
        "by": run.by,
        "at": instant(run.at),
        "destination": wanted.name,
        "from": instant(selection.since),
        "to": instant(selection.until),
        "narrowed": _narrowed(selection),
        "chosen": chosen,
        "find_accounts": selection.find_accounts,
        "rate": wanted.rate,
        "overwrite": wanted.overwrite,
        "progress": run.progress,
        "found": found,
        "takes": seconds * 1000 if seconds else None,
        "notes": [note for note in run.notes if not note.startswith("The log keeps ")],
        "again": None if chosen is not None else address("/replays/new", (), **_again(wanted)),
    }


def _narrowed(selection: Selection) -> dict[str, str | None]:
    """By the names of the form."""
    return {
        "type": selection.type,
        "account": selection.account,
        "user": selection.user,
        "event": selection.name,
        "code": selection.code,
    }


def _again(wanted: Wanted) -> dict[str, object]:
    selection = wanted.selection
    return {
        "destination": wanted.name,
        "from": instant(selection.since),
        "to": instant(selection.until),
        **_narrowed(selection),
        "find_accounts": "1" if selection.find_accounts else None,
        "rate": f"{wanted.rate:g}",
        "overwrite": "1" if wanted.overwrite else None,
    }


def cancel(visit: Visit) -> Response:
    run = _run(visit)
    run.cancel()
    return visit.go("/replays", f"The dry run for {run.wanted.name} is stopped. Nothing was sent.")


def start(visit: Visit) -> Response:
    """The replay itself, of what the dry run was about."""
    run = _run(visit)
    wanted = run.wanted
    with visit.facts() as facts:
        place = next((one for one in places_of(facts) if one.config.id == wanted.destination), None)
        if place is None:
            raise UserError(f"{wanted.name} was removed.")
        asked = wishes.replay(facts, place, wanted.selection, rate=wanted.rate, overwrite=wanted.overwrite, by=visit.by)
    found = wait(visit, [asked])
    if found.errors:
        raise UserError(" ".join(found.errors))
    begun = "is asked for, and begins as soon as delivery comes to it" if found.waiting else "has begun"
    if held := waits_there([place.config], "It"):
        begun = "is asked for"
    return visit.go("/replays", f"Replay {asked} to {wanted.name} {begun}. {held}".strip())


PAGES = [
    shows("/replays", page),
    shows("/replays/new", new, Role.editor),
    changes("/replays/look", look),
    shows("/replays/{number}", one),
    shows("/replays/dry-runs/{id}", dry_run),
    changes("/replays/dry-runs/{id}/cancel", cancel, line=DELIVERY),
    changes("/replays/dry-runs/{id}/start", start, line=DELIVERY),
    changes("/replays/{number}/hold", hold, line=DELIVERY),
    changes("/replays/{number}/resume", resume, line=DELIVERY),
    changes("/replays/{number}/stop", stop, line=DELIVERY),
]
