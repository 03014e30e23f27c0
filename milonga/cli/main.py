"""The `milonga` command. One file per noun; this one only puts them together."""

import typer

app = typer.Typer(no_args_is_help=True)


def run() -> None:
    app()
