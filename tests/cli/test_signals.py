"""A first signal says "finish and go", a second one ends it at once: with a program that would never finish."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from milonga.cli import demo
from milonga.cli.processes import stop_on_signals
from tests.running import PATIENCE

NEVER_DONE = """
import asyncio
import uvloop
from milonga.cli.processes import stop_on_signals

async def main():
    stop = asyncio.Event()
    stop_on_signals(stop)
    print("listens", flush=True)
    await stop.wait()
    print("told", flush=True)
    await asyncio.Event().wait()

uvloop.run(main())
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_server_at_once_whatever_it_waits_for(
    first: signal.Signals, second: signal.Signals
) -> None:
    with subprocess.Popen([sys.executable, "-c", NEVER_DONE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"
        process.send_signal(first)
        assert process.stdout.readline() == "told\n", "the first one was heard, and is waited for"
        process.send_signal(second)
        assert process.wait(PATIENCE) == -second


def test_a_second_signal_ends_the_demo_s_server_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server here is deaf; without the second signal the demo would wait for it for ever."""
    monkeypatch.setattr(demo, "GRACE", None)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"

    async def main() -> None:
        stop, hurry = asyncio.Event(), asyncio.Event()
        stop_on_signals(stop, hurry)
        server = await asyncio.create_subprocess_exec(sys.executable, "-c", deaf, stdout=asyncio.subprocess.PIPE)
        assert server.stdout is not None
        await server.stdout.readline()
        os.kill(os.getpid(), signal.SIGINT)
        await stop.wait()
        assert not hurry.is_set()
        ending = asyncio.create_task(demo._end(server, hurry))
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            await ending
        assert server.returncode == -signal.SIGKILL

    asyncio.run(main())
