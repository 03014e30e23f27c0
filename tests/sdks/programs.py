"""SDKs in programs of their own: started, and asked what they could not send."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from tests.running import PATIENCE
from tests.sdks import fetch
from tests.sdks.fetch import Missing
from tests.sdks.session import EVENTS, KEY

TRUST_PASSWORD = "changeit"


class At(Protocol):
    """Where to send: a gate, or Milonga itself."""

    @property
    def url(self) -> str: ...


NODE = Path(__file__).parent.parent / "node"


def here(bring: Callable[[], Path]) -> Path:
    """What `bring` brings. Without it the test is skipped and says why; in CI that is a failure."""
    try:
        return bring()
    except Missing as error:
        missing(str(error))


def need(program: str, what: str) -> str:
    """Its path; like `here` if there is none."""
    found = shutil.which(program)
    if found is None:
        missing(f"{program} is needed for {what}, and is not installed")
    return found


def missing(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def java_session(at: At, account: str) -> list[str]:
    """The command of a session of analytics-java."""
    folder = here(partial(fetch.java, "3.5.4"))
    java = need("java", "Segment's Java SDK")
    return [java, "-cp", f"{folder}:{folder}/*", "Session", at.url, KEY, account, str(EVENTS)]


def kotlin_session(version: str, at: At, account: str, trust: Path) -> list[str | Path]:
    """The command of a session of analytics-kotlin; it goes on until its standard input ends."""
    folder = here(partial(fetch.kotlin, version))
    java = need("java", "Segment's Kotlin SDK")
    trusting = [f"-Djavax.net.ssl.trustStore={trust}", f"-Djavax.net.ssl.trustStorePassword={TRUST_PASSWORD}"]
    host = at.url.removeprefix("https://")
    return [java, "-cp", f"{folder}:{folder}/*", *trusting, "Session", host, KEY, account, str(EVENTS)]


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> None:
    """A session from beginning to end, without a word of complaint."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), (done.returncode, done.stdout, done.stderr[-3000:])


@contextmanager
def running(
    *command: str | Path, cwd: Path | None = None, complains: bool = False, **environment: str
) -> Iterator[None]:
    """
    A session that goes on until its standard input ends, as an app does while it is open.

    complains  it may say what went wrong for a while
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield
    except BaseException:
        process.kill()
        print(*process.communicate(timeout=PATIENCE))
        raise
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, (process.returncode, out, err[-3000:])
    assert complains or not out, (out, err[-3000:])


def bundle(entry: str, to: Path, *options: str) -> None:
    """One script of `entry` in tests/node and all that it imports."""
    esbuild = NODE / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists():
        missing("SDKs from npm are missing: `make test` installs them")
    run(esbuild, entry, "--bundle", f"--outfile={to}", "--log-level=warning", *options, cwd=NODE)


def node_session(program: str | Path, at: At, account: str) -> list[str | Path]:
    """The command of a session in tests/node, or of a bundle of one."""
    if not (NODE / "node_modules" / "analytics-node").exists():
        missing("SDKs from npm are missing: `make test` installs them")
    return [need("node", "SDKs from npm"), NODE / program, at.url, KEY, account, str(EVENTS)]
