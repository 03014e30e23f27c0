"""What is kept of an account or a user all in all (milonga.facts.summary), in words."""

from typing import Any, Final

import typer

from milonga.cli.terminal import clean

NEVER: Final = "(from before it was added, or while it was off)"


def tell(told: dict[str, Any]) -> None:
    """In words."""
    who = f"account {told['account']}" if told["account"] is not None else f"user {told['user']}"
    many = f"{told['events']:,}{' or more' if told['more'] else ''} event{'' if told['events'] == 1 else 's'}"
    between = f", {told['firstAt']} to {told['lastAt']}" if told["events"] else ""
    typer.echo(f"{clean(who)}: {many} kept{between}")
    if told["events"]:
        typer.echo(f"  {', '.join(f'{n:,} {type_}' for type_, n in told['types'].items())}")
    if told.get("filed"):  # a server of before does not say
        typer.echo(f"  beside them {_events(told['filed'])} without account, filed under this one by replays")
    of = told.get("looked")  # a server of before does not say
    if of is not None and (told["more"] or of < told["events"] + told["filed"]):
        typer.echo(f"  what became of the newest {of:,}:")
    for at in told["destinations"]:
        name = at["destination"] + (f" (removed {at['removedAt']})" if at["removedAt"] else "")
        counts = [
            f"{one['events']:,} {one['state']} {NEVER if one['state'] == 'never' else one['code']}".rstrip()
            for one in at["outcomes"]
        ]
        typer.echo(f"  at {name}: {', '.join(counts)}")


def _events(n: int) -> str:
    return "1 event" if n == 1 else f"{n:,} events"
