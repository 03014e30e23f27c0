"""`milonga demo`: the whole road on this machine, with a pretend Totango at its end and a real SDK at its beginning."""

import asyncio
import itertools
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from milonga.cli import demo_events, site
from milonga.cli.common import fail, told
from milonga.cli.processes import stop_on_signals
from milonga.collector.cdn.assets import NotBuilt
from milonga.destinations.pretend import Pretend
from milonga.destinations.totango.fake import Totango, pretend
from milonga.facts.directory import log_end
from milonga.facts.setup import address_of, snippet
from milonga.workspace.errors import UserError
from milonga.workspace.lock import DataLock
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.store import Workspace

NAME: Final = "demo"  #: of the source and its write key
SERVICE: Final = "SP-00000-01"
HERE: Final = "http://127.0.0.1:"  #: where the pretend Totango is, without the port
CLICKED: Final = "orquesta-sur"  #: account of the sample site, the one that its form has chosen
PATIENCE: Final = 20.0  #: seconds for the server to start, for the SDK to send, and for the requests to come
GRACE: Final = 2.0  #: seconds the server gets to finish

Process = asyncio.subprocess.Process

ENDED: Final = "Milonga's server ended. What it said stands above."


def command(
    port: Annotated[int, typer.Option(help="Where Milonga listens.", min=1, max=65535)] = 8080,
    fake_port: Annotated[int, typer.Option(help="Where the pretend Totango listens.", min=1, max=65535)] = 8090,
    site_port: Annotated[
        int, typer.Option(help="Where the sample site listens; 0 takes any free one.", min=0, max=65535)
    ] = 8070,
    console_port: Annotated[
        int,
        typer.Option(
            envvar="MILONGA_CONSOLE_PORT", help="Where the console is; 0 takes any free port.", min=0, max=65535
        ),
    ] = 8081,
    no_console: Annotated[
        bool, typer.Option("--no-console", envvar="MILONGA_NO_CONSOLE", help="Without the console.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Keep the data here instead of in a fresh temporary directory.")
    ] = None,
) -> None:
    """Start Milonga with a pretend Totango, send a short SDK session through, and keep running until Ctrl-C."""
    shown = None if no_console else console_port
    ports = {"--port": port, "--fake-port": fake_port, "--site-port": site_port}
    if shown is not None:
        ports["--console-port"] = shown
    _check_ports(ports)
    if not _has_sdk():
        fail('The demo sends with Segment\'s Python SDK, which is not installed: pip install ".[demo]"')
    for option, one in ports.items():
        if not _is_free(one):
            fail(f"Port {one} is in use. Choose another with {option}.")
    with told():
        status = asyncio.run(_demo(data, port, fake_port, site_port, shown))
    raise typer.Exit(status)


def _check_ports(ports: Mapping[str, int]) -> None:
    """By option. Any free one, 0, is never another's."""
    for one, other in itertools.combinations(ports, 2):
        if ports[one] == ports[other] != 0:
            raise typer.BadParameter(f"{one} and {other} are both {ports[one]}: each needs a port of its own.")


def _has_sdk() -> bool:
    try:
        return find_spec("segment.analytics") is not None
    except ModuleNotFoundError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _demo(data: Path | None, port: int, fake_port: int, site_port: int, console_port: int | None) -> int:
    """The exit status. UserError if something failed; nothing is left running or lying about in any case."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop, hurry)
    with ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="milonga-demo-"))) / "data"
        lock = stack.enter_context(DataLock.acquire(data, "demo"))
        await asyncio.to_thread(_set_up, data, f"{HERE}{fake_port}/pixel.gif/")
        async with (
            _listening(fake_port) as totango,
            _site(site_port, port, totango.url) as place,
            _serving(data, port, console_port, lock, hurry) as server,
        ):
            if not stop.is_set():
                farewell = partial(_farewell, data, port, totango.url, place)
                await _show(farewell, port, totango, server, stop, console=console_port is not None)
    return 128 + signal.SIGINT if hurry.is_set() else 0


def _set_up(data: Path, endpoint: str) -> None:
    """
    A source with write key "demo", and Totango on. Only where there is nothing else: a key that anyone can guess must
    not stay in a workspace that somebody uses. UserError, with nothing changed, if it is one.
    """
    with Workspace.open(data) as workspace:
        if not _is_ours(workspace):
            raise UserError(
                f"{data} has sources or destinations that are not the demo's, so it was left as it is. "
                "Give the demo another directory with --data, or leave that out: then it takes a temporary one."
            )
        end = log_end(data)
        found = workspace.destinations()
        if not found:
            _add(workspace, endpoint, end)
            return
        workspace.set_settings(found[0].id, {"endpoint": endpoint}, end, by="demo")
        workspace.change_state(found[0].id, DestinationState.on, "demo", "the demo began", end)


def _add(workspace: Workspace, endpoint: str, end: dict[int, int]) -> None:
    """Both or none."""
    added = not workspace.sources.all()
    if added:
        workspace.sources.add(NAME, NAME)
    try:
        settings = {"serviceId": SERVICE, "endpoint": endpoint}
        workspace.add_destination("totango", NAME, "totango", settings, DestinationState.on, end, by="demo")
    except BaseException:
        if added:
            workspace.sources.remove(NAME)
        raise


def _is_ours(workspace: Workspace) -> bool:
    if set(workspace.sources.names().values()) - {NAME} or len(workspace.destinations()) > 1:
        return False
    return all(source.write_keys == (NAME,) for source in workspace.sources.all()) and all(
        map(_pretends, workspace.destinations())
    )


def _pretends(config: DestinationConfig) -> bool:
    """Whether it is our Totango: one that somebody has pointed elsewhere may be real."""
    return config.kind == "totango" and str(getattr(config.settings, "endpoint", "")).startswith(HERE)


@asynccontextmanager
async def _listening(port: int) -> AsyncIterator[Pretend[Totango]]:
    totango = pretend(host="127.0.0.1", port=port)
    try:
        await totango.__aenter__()
    except OSError as error:
        raise UserError(f"The pretend Totango cannot listen on port {port}: {error.strerror}.") from error
    try:
        yield totango
    finally:
        await totango.__aexit__(None, None, None)


@asynccontextmanager
async def _site(port: int, milonga_port: int, totango: str) -> AsyncIterator[str]:
    """The sample site's address, or why it is not there. UserError if the port is taken meanwhile."""
    try:
        filled = site.Filled(
            write_key=NAME,
            milonga=f"{HERE}{milonga_port}",
            totango=f"{totango}/",
            snippet=snippet(NAME, address_of(f"{HERE}{milonga_port}")),
        )
        pages = site.pages(site.folder(), filled)
    except (NotBuilt, OSError) as error:
        yield f"none: {error}"
        return
    served = site.serving(pages, "127.0.0.1", port)
    try:
        address = await served.__aenter__()
    except OSError as error:
        raise UserError(f"The sample site cannot listen on port {port}: {error.strerror}.") from error
    try:
        yield f"{address}/"
    finally:
        await served.__aexit__(None, None, None)


@asynccontextmanager
async def _serving(
    data: Path, port: int, console_port: int | None, lock: DataLock, hurry: asyncio.Event
) -> AsyncIterator[Process]:
    """`milonga serve`, in one process, so that its end is the end of all of it."""
    life, held = os.pipe()
    console = ("--no-console",) if console_port is None else ("--console-port", str(console_port))
    try:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "milonga", "serve", "--single", "--allow-private-destinations"),
            *("--port", str(port), "--data", str(data), "--lock-file", str(lock.fileno()), "--life", str(life)),
            *console,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(lock.fileno(), life),
            start_new_session=True,  # Ctrl-C reaches the demo alone, which ends the server
        )
        try:
            yield server
        finally:
            await _end(server, hurry)
    finally:
        os.close(life)
        os.close(held)


async def _end(server: Process, hurry: asyncio.Event) -> None:
    ended = asyncio.create_task(server.wait())
    hurried = asyncio.create_task(hurry.wait())
    if server.returncode is None:
        with suppress(ProcessLookupError):
            server.terminate()
        await asyncio.wait((ended, hurried), timeout=GRACE, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        with suppress(ProcessLookupError):
            server.kill()
    await ended
    hurried.cancel()


async def _show(
    farewell: Callable[[str], str],
    port: int,
    totango: Pretend[Totango],
    server: Process,
    stop: asyncio.Event,
    *,
    console: bool,
) -> None:
    """Until `stop` is set. UserError if the server ends before."""
    ended, stopped = asyncio.create_task(server.wait()), asyncio.create_task(stop.wait())
    shown = asyncio.create_task(_session(server, totango, port, console=console))
    try:
        await asyncio.wait((shown, ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        if shown.done() and not ended.done():
            typer.echo(farewell(shown.result()))
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ended, stopped, shown):
            task.cancel()
        await asyncio.wait((shown,))
    if not stop.is_set():
        raise UserError(ENDED)


async def _session(server: Process, totango: Pretend[Totango], port: int, *, console: bool) -> str:
    """Where the console is; "" if there is none. UserError if the session does not come through."""
    assert server.stdout is not None  # noqa: S101 - asked for above
    try:
        line = await asyncio.wait_for(server.stdout.readline(), PATIENCE)  # it says so once it listens
    except TimeoutError:
        raise UserError(f"Milonga's server did not start within {PATIENCE:.0f} seconds.") from None
    if not line:
        raise UserError(ENDED)
    place = await _place_of_console(server.stdout) if console else ""
    await _send(port)
    try:
        async with asyncio.timeout(PATIENCE):
            while not _has_all(totango):  # noqa: ASYNC110 - it has no event to wait for
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise UserError(
            f"Totango received {totango.received} requests within {PATIENCE:.0f} seconds, and not the last one."
        ) from None
    typer.echo(f"Segment's Python SDK sent identify, group, page, track. Totango received {totango.received} requests:")
    for seen in totango.requests:
        typer.echo("")
        for name, value in seen.params.items():
            typer.echo(f"  {name:<22} {value}")
    return place


async def _place_of_console(said: asyncio.StreamReader) -> str:
    """From what `milonga serve` says of it: the link by which to begin, or its address where somebody has."""
    line = (await said.readline()).decode().strip()
    if line.endswith(":"):
        return (await said.readline()).decode().strip()
    return line.rpartition(" ")[2]


async def _send(port: int) -> None:
    sdk = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", demo_events.__name__, f"http://127.0.0.1:{port}", NAME),
        stdin=asyncio.subprocess.PIPE,  # its end tells of ours
        env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        start_new_session=True,
    )
    try:
        status = await asyncio.wait_for(sdk.wait(), PATIENCE)
    except TimeoutError:
        raise UserError(f"Segment's SDK did not get its calls through within {PATIENCE:.0f} seconds.") from None
    finally:
        if sdk.returncode is None:
            sdk.kill()
            await sdk.wait()
    if status:
        raise UserError("Segment's SDK did not get its calls through. What it said stands above.")


def _has_all(totango: Pretend[Totango]) -> bool:
    """Whether the session's last request is there: order is kept, so all others are."""
    return not totango.in_flight and any(seen.params.get("sdr_a") == demo_events.LAST for seen in totango.requests)


def _program() -> str:
    """How the user can call `milonga` from here."""
    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m milonga"
    found = shutil.which("milonga")
    if found is not None and os.path.realpath(found) == os.path.realpath(called):
        return "milonga"
    return shlex.quote(called)


def _python() -> str:
    """The Python that has the SDK."""
    found = shutil.which("python")
    if found is not None and Path(found).absolute().parent == Path(sys.executable).parent:
        return "python"
    here = Path(sys.executable)
    return shlex.quote(str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here))


def _farewell(data: Path, port: int, fake: str, place: str, console: str) -> str:
    """console: where it is; "" if there is none"""
    explain = f"{_program()} explain --data {shlex.quote(str(data))}"
    clicked = f"And of what you do on the sample site:\n\n  {explain} --account {CLICKED}\n\n"
    begin = f"\nConsole, to begin         {console}" if console else ""
    return f"""{begin}
Sample site to click in   {place}
Milonga takes events at   http://127.0.0.1:{port}   (write key: {NAME})
Totango would hold        {fake}/   (requests: {fake}/_requests)
Data directory            {data}

Send one yourself:

  curl -u {NAME}: http://127.0.0.1:{port}/v1/track \\
    -d '{{"userId": "{demo_events.USER}", "event": "Invited a colleague",
         "properties": {{"category": "Team"}}, "context": {{"groupId": "{demo_events.ACCOUNT}"}}}}'

Or from Python ({_python()}):

  import segment.analytics as analytics
  analytics.write_key, analytics.host = "{NAME}", "http://127.0.0.1:{port}"
  analytics.track("{demo_events.USER}", "Invited a colleague", {{"category": "Team"}},
                  context={{"groupId": "{demo_events.ACCOUNT}"}})
  analytics.flush()

What became of it:

  {explain} --user {demo_events.USER}

{clicked if place.startswith("http") else ""}Ctrl-C ends the demo."""
