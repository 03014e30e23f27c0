"""`milonga explain`: what became of an event, in words."""

from typing import Annotated, Any, Final

import typer

from milonga.api.client import Reach, rows
from milonga.cli.common import DATA, NO_SERVER, DataOption, JsonOption, an_id, fail
from milonga.cli.reaching import reached, say
from milonga.cli.summing import tell
from milonga.cli.terminal import clean, folded, json_text, print_json, terminal_width

VALUE: Final = " " * 7
LONG: Final = 300  #: characters of what a batch says


def command(
    message_id: Annotated[
        str | None, typer.Argument(parser=an_id, metavar="MESSAGE_ID", help="The SDK's message id.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", parser=an_id, metavar="ID", help="All events of a user.")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", parser=an_id, metavar="ID", help="All events of an account.")
    ] = None,
    limit: Annotated[int, typer.Option(help="With --user and --account: the newest so many.", min=1, max=1000)] = 20,
    only_summary: Annotated[
        bool, typer.Option("--summary", help="With --user and --account: how many of what, no single events.")
    ] = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Tell the whole story of an event at every destination."""
    if [message_id, user, account].count(None) != 2:
        raise typer.BadParameter("Name one of: MESSAGE_ID, --user ID, --account ID.")
    with reached(data) as milonga:
        if message_id is not None:
            _one(milonga, message_id, json=json)
        else:
            _many(milonga, user, account, limit, only_summary=only_summary, json=json)


def _one(milonga: Reach, message_id: str, *, json: bool) -> None:
    answer = milonga.ask("listStories", query={"messageId": message_id})
    if json:
        print_json(answer.data)
    if not answer.data:
        why = "\n".join(map(clean, answer.notes))
        fail(f"No event with message id {clean(message_id)} is kept. {why}")
    if not json:
        _print(answer.data)
    say(answer)


def _many(milonga: Reach, user: str | None, account: str | None, limit: int, *, only_summary: bool, json: bool) -> None:
    of = {"user": user, "account": account}
    stories = None if only_summary and json else rows(milonga, "listStories", of, limit)
    told = None if json and stories is not None and stories.data else milonga.ask("getSummary", query=of)
    if json:
        print_json(stories.data if stories is not None else told.data if told is not None else None)
    kept = 0 if told is None else told.data["events"] + told.data.get("filed", 0)
    if told is not None and not kept:
        who = f"user {user}" if account is None else f"account {account}"
        reasons = "\n".join(clean(line) for line in " ".join(told.notes).replace(" \n", "\n").splitlines())
        fail(f"No event of {clean(who)} is kept. {reasons}")
    if json or told is None or stories is None:
        return
    tell(told.data)
    if not milonga.ask("getHealth").data["serverRunning"]:
        typer.echo(f"  {NO_SERVER}: nothing is taken in or sent. Start it: `milonga serve`.")
    for said in told.notes:
        typer.echo(f"  {clean(said)}")
    if only_summary:
        return
    many = f"{kept:,}{' or more' if told.data['more'] else ''}"
    rest = "" if kept <= len(stories.data) else "; --limit for more"
    typer.echo(f"\nThe newest {len(stories.data):,} of {many}{rest}:\n")
    _print(stories.data)
    say(stories)


def _print(stories: list[dict[str, Any]]) -> None:
    width = terminal_width()
    for number, story in enumerate(stories):
        if number:
            typer.echo("")
        for line in lines(story):
            prose = not line.startswith(VALUE)  # what is sent stays as it is
            for part in folded(clean(line), width if prose else None):
                typer.echo(part)


def lines(story: dict[str, Any]) -> list[str]:
    """A story for people. Lines are not clean yet."""
    account = story["account"]
    whose = f"account {account['id']} (from {account['found']})" if account else "no account"
    name = "" if story["name"] is None else f' "{story["name"]}"'
    offset = story["position"]["offset"]
    told = [
        f"{story['type']}{name}  {story['messageId']}",
        f"  received {story['receivedAt']} from source {story['source']}, log offset {offset}",
        f"  user {story['userId'] or '-'}, anonymous {story['anonymousId'] or '-'}, {whose}",
    ]
    for name, value in (story["batch"] or {}).items():
        told.append(f"  its batch says for all its events: {name} {_short(value)}")
    if story["erased"] is not None:
        erased = story["erased"]
        told[1:] = [
            f"  received {story['receivedAt']} from source {story['source']}, log offset {offset}",
            f"  erased {erased['at']} by regulation {erased['regulation']}: nothing of it is kept but this.",
            f"  `milonga regulations show {erased['regulation']}` says what was asked for.",
        ]
    for at in story["destinations"]:
        told += _at(at)
    if not story["destinations"]:
        told.append("  No destination is connected to this source: `milonga destinations add KIND --source NAME`.")
    return told


def _short(value: object) -> str:
    """--json has the whole of it."""
    text = json_text(value, indent=0)
    return text if len(text) <= LONG else f"{text[:LONG]}…"


def _took(ms: int) -> str:
    return f"{ms:,} ms" if ms < 10_000 else f"{ms // 1000:,} s"


def _at(at: dict[str, Any]) -> list[str]:
    removed = f", removed {at['removedAt']}" if at["removedAt"] else ""
    told = [f"  -> {at['destination']}{removed}: {at['state']} {at['code']}".rstrip()]
    told += [f"     {words}" for words in (at["why"], at["fix"]) if words]
    if "edited" in at:
        told.append(f"     edited by {at['edited']['by']} {at['edited']['at']}: what follows is of that")
    if "filed" in at:
        filed = at["filed"]
        told.append(
            f"     filed under account {filed['account']} by replay {filed['replay']}, since an earlier group call of"
            " its user names that: what follows is of that"
        )
    if "endedAt" in at:
        tries = f", attempts: {at['attempts']}" if at["attempts"] else ""
        again = f" by replay {at['replay']}" if at["replay"] else f", {_took(at['tookMs'])} after it arrived"
        told.append(f"     {at['endedAt']}{again}{tries}")
    elif at.get("attempts"):
        told.append(f"     attempts so far: {at['attempts']}")
    told += _requests(at)
    for tried in at.get("tries", ()):
        status = tried["status"] if tried["status"] is not None else "no answer"
        perhaps = "(perhaps delivered)" if tried["perhapsDelivered"] else ""
        batch = f"(in a batch of {tried['batch']})" if tried["batch"] > 1 else ""
        reason = "" if tried["reason"] and tried["reason"] in at["why"] else tried["reason"]
        said = f"try {tried['at']} {status} {tried['code']} {tried['ms']} ms {batch} {perhaps} {reason}"
        told.append(f"     {' '.join(said.split())}")
    for old in at.get("before", ()):
        again = f" by replay {old['replay']}" if "replay" in old else ""
        told.append(f"     earlier: {' '.join((old['state'] + ' ' + old['code']).split())} {old['endedAt']}{again}")
    return told


HEADS: Final = {"delivered": "sent", "waiting": "would send", "retrying": "would send"}


def _requests(at: dict[str, Any]) -> list[str]:
    told = []
    head = HEADS.get(at["state"], "would have sent")
    for request in at.get("requests", ()):
        company = f", its own part of a batch of up to {at['inBatchesOf']}" if at.get("inBatchesOf") else ""
        told.append(f"     {head}: {request['method']} {request['url']} [{request['part']}{company}]")
        told += [f"{VALUE}{name}: {value}" for name, value in request["headers"].items()]
        if request["format"] == "form":
            told += [f"{VALUE}{name} = {value}" for name, value in request["body"].items()]
        else:
            told += [f"{VALUE}{line}" for line in json_text(request["body"]).splitlines()]
    return told
