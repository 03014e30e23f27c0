"""`milonga explain`: what became of an event, in words."""

from typing import Annotated, Any

import typer

from milonga.cli.common import DATA, DataOption, JsonOption, fail, print_json
from milonga.cli.facts import facts_of
from milonga.outcomes.explain import instant


def command(
    message_id: Annotated[str | None, typer.Argument(metavar="[MESSAGE_ID]", help="The SDK's message id.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="All events of a user.")] = None,
    account: Annotated[str | None, typer.Option("--account", metavar="ID", help="All events of an account.")] = None,
    limit: Annotated[int, typer.Option(help="With --user and --account: the newest so many.", min=1, max=1000)] = 20,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Tell the whole story of an event at every destination."""
    if [message_id, user, account].count(None) != 2:
        raise typer.BadParameter("Name one of: MESSAGE_ID, --user ID, --account ID.")
    with facts_of(data) as facts:
        if message_id is not None:
            found, what = facts.log.by_message_id(message_id), f"with message id {message_id}"
        elif user is not None:
            found, what = facts.log.by_user(user, limit), f"of user {user}"
        else:
            found, what = facts.log.by_account(account or "", limit), f"of account {account}"
        stories = [facts.tell(stored) for stored in found]
        since = facts.log.since()
    if json:
        print_json(stories)
        return
    if not stories:
        kept = f" The log keeps events since {instant(since)}." if since else " The log is empty."
        fail(f"No event {what} is kept.{kept} Ids are case-sensitive.")
    for number, story in enumerate(stories):
        if number:
            typer.echo("")
        _tell(story)


def _tell(story: dict[str, Any]) -> None:
    account = story["account"]
    whose = f"account {account['id']} (from {account['found']})" if account else "no account"
    typer.echo(f"{story['type']}  {story['messageId']}")
    typer.echo(
        f"  received {story['receivedAt']} from source {story['source']}, log offset {story['position']['offset']}"
    )
    typer.echo(f"  user {story['userId'] or '-'}, anonymous {story['anonymousId'] or '-'}, {whose}")
    for at in story["destinations"]:
        typer.echo(f"  -> {at['destination']}: {at['state']} {at['code']}".rstrip())
        for words in (at["why"], at["fix"]):
            if words:
                typer.echo(f"     {words}")
        if at["state"] == "delivered":
            typer.echo(f"     {at['endedAt']}, {at['tookMs']} ms after it arrived, attempts: {at['attempts']}")
        if at.get("nextTry"):
            typer.echo(f"     next try {at['nextTry']}, attempts so far: {at['attempts']}")
        for request in at.get("requests", ()):
            typer.echo(f"     {request['method']} {request['url']} [{request['part']}]")
            body = request["body"]
            for name, value in body.items() if isinstance(body, dict) else ():
                typer.echo(f"       {name} = {value}")
        for tried in at.get("tries", ()):
            status = tried["status"] if tried["status"] is not None else "no answer"
            typer.echo(f"     try {tried['at']} {status} {tried['code']} {tried['ms']} ms {tried['reason']}".rstrip())
    if not story["destinations"]:
        typer.echo("  No destination is connected to this source: `milonga destinations add KIND --source NAME`.")
