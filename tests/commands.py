"""The `milonga` command: in this process, which is ten times quicker, or in one of its own, which is the real thing."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from typer.testing import CliRunner

from milonga.cli import main

_ONE_AT_A_TIME = threading.Lock()  # a command has the standard streams of this process to itself


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def milonga(*words: str, env: Mapping[str, str | None] | None = None, text: str | None = None) -> Done:
    """
    In a thread of this process, since some commands run an event loop, and so do browsers in tests.

    env   MILONGA_... that it finds; none of ours
    text  what is typed
    """
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("MILONGA_")}

    def run() -> Done:
        app = main.made_for(words)
        result = CliRunner().invoke(app, words, input=text, env={**clean, **(env or {})}, prog_name="milonga")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    with _ONE_AT_A_TIME, ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def in_a_process(*words: str, text: str | None = None, stdin: int | None = None) -> Done:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MILONGA_")}
    done = subprocess.run(
        [sys.executable, "-m", "milonga", *words],
        input=text,
        stdin=subprocess.DEVNULL if text is None and stdin is None else stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def asked(*words: str) -> Any:
    """JSON of one that must succeed."""
    done = milonga(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
