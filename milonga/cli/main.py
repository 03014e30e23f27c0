"""The `milonga` command. One file per noun; this one only puts them together."""

import typer

from milonga.cli import dead, demo, destinations, events, explain, fake, serve, sources, translate

app = typer.Typer(no_args_is_help=True)
app.command("serve")(serve.command)
app.command("demo")(demo.command)
app.add_typer(sources.app, name="sources")
app.add_typer(destinations.app, name="destinations")
app.add_typer(events.app, name="events")
app.command("explain")(explain.command)
app.add_typer(dead.app, name="dead")
app.command("translate")(translate.translate)
app.command("fake")(fake.fake)


def run() -> None:
    app()
