"""`milonga demo`: the whole road on this machine, with a pretend Totango at its end and a real SDK at its beginning."""

import asyncio
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final

import typer

from milonga.cli.common import fail, log_end
from milonga.destinations.pretend import Pretend
from milonga.destinations.totango.fake import Totango, pretend
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

KEY: Final = "demo"
SERVICE: Final = "SP-00000-01"
PATIENCE: Final = 20.0  #: seconds for the server to start, and for the requests to come

USER: Final = "29ej29d"
ACCOUNT: Final = "sjsj2hdj2"
EXPECTED: Final = 5  #: requests of the session: identify, group, two activities of the page, track


def command(
    port: Annotated[int, typer.Option(help="Where Milonga listens.", min=1, max=65535)] = 8080,
    fake_port: Annotated[int, typer.Option(help="Where the pretend Totango listens.", min=1, max=65535)] = 8090,
    data: Annotated[
        Path | None, typer.Option("--data", help="Keep the data here instead of in a fresh temporary directory.")
    ] = None,
) -> None:
    """Start Milonga with a pretend Totango, send a short SDK session through, and keep running until Ctrl-C."""
    sdk = _sdk()
    for one, option in ((port, "--port"), (fake_port, "--fake-port")):
        if not _is_free(one):
            fail(f"Port {one} is in use. Choose another with {option}.")
    with ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="milonga-demo-"))) / "data"
        try:
            _set_up(data, fake_port)
        except UserError as error:
            fail(str(error))
        asyncio.run(_run(data, port, fake_port, sdk))


def _sdk() -> ModuleType:
    try:
        import segment.analytics as sdk
    except ImportError:
        fail("The demo sends with Segment's Python SDK. Install it: pip install segment-analytics-python")
    return sdk  # type: ignore[no-any-return]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _set_up(data: Path, fake_port: int) -> None:
    """A source with write key "demo" and Totango on; what is there already stays."""
    settings = {"serviceId": SERVICE, "endpoint": f"http://127.0.0.1:{fake_port}/pixel.gif/"}
    with Workspace.open(data) as workspace:
        source = workspace.source_of_key(KEY) or workspace.add_source("demo", KEY)
        if not any(d.source == source.id for d in workspace.destinations()):
            end = log_end(data)
            workspace.add_destination("totango", source.name, "totango", settings, DestinationState.on, end)


async def _run(data: Path, port: int, fake_port: int, sdk: ModuleType) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with pretend(host="127.0.0.1", port=fake_port) as totango:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "milonga", "serve", "--port", str(port), "--data", str(data)),
            "--allow-private-destinations",
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        ended, stopped = asyncio.create_task(server.wait()), asyncio.create_task(stop.wait())
        try:
            session = asyncio.create_task(_session(server, totango, port, sdk))
            await asyncio.wait((session, ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            if session.done() and not ended.done():
                session.result()
                typer.echo(_farewell(data, port, totango.url))
                await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            session.cancel()
        finally:
            if not ended.done():
                server.terminate()
                await asyncio.wait((ended,), timeout=30)
            stopped.cancel()
    if server.returncode:
        fail("Milonga's server ended. What it said stands above.")


async def _session(server: asyncio.subprocess.Process, totango: Pretend[Totango], port: int, sdk: ModuleType) -> None:
    assert server.stdout is not None  # noqa: S101 - asked for above
    await asyncio.wait_for(server.stdout.readline(), PATIENCE)  # it says so once it listens
    await asyncio.to_thread(_send, f"http://127.0.0.1:{port}", sdk)
    async with asyncio.timeout(PATIENCE):
        while totango.received < EXPECTED or totango.in_flight:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.02)
    typer.echo(f"Segment's Python SDK sent identify, group, page, track. Totango received {totango.received} requests:")
    for seen in totango.requests:
        typer.echo("")
        for name, value in seen.params.items():
            typer.echo(f"  {name:<22} {value}")


def _send(host: str, sdk: ModuleType) -> None:
    """The published example session, with the account on every call as server-side calls need it."""
    client = sdk.Client(KEY, host=host, on_error=lambda error, _: typer.echo(f"The SDK says: {error}", err=True))
    context = {"groupId": ACCOUNT}
    client.identify(USER, {"name": "Peter Gibbons", "email": "peter@initech.example"}, context=context)
    client.group(USER, ACCOUNT, {"name": "Initech", "plan": "Paying", "website": "https://initech.example"})
    client.page(USER, "Blog", "15,000 Ways to Increase Conversion", context=context)
    client.track(USER, "Completed Purchase", {"category": "Conversion", "revenue": 42.99}, context=context)
    client.flush()
    client.join()


def _farewell(data: Path, port: int, fake: str) -> str:
    return f"""
Milonga takes events at   http://127.0.0.1:{port}   (write key: {KEY})
Totango would hold        {fake}/   (requests: {fake}/_requests)
Data directory            {data}

Send one yourself:

  curl -u {KEY}: http://127.0.0.1:{port}/v1/track \\
    -d '{{"userId": "{USER}", "event": "Invited a colleague",
         "properties": {{"category": "Team"}}, "context": {{"groupId": "{ACCOUNT}"}}}}'

  import segment.analytics as analytics
  analytics.write_key, analytics.host = "{KEY}", "http://127.0.0.1:{port}"
  analytics.track("{USER}", "Invited a colleague", {{"category": "Team"}}, context={{"groupId": "{ACCOUNT}"}})
  analytics.flush()

What became of it:

  milonga explain --data {data} --user {USER}

Ctrl-C ends the demo."""
