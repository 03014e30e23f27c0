"""
Brings the SDKs that neither pip's nor npm's lock file brings, each at a pinned version whose checksums are known:
`python -m tests.sdks.fetch`. What is there already is left alone. They are kept in .venv/sdks.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
KEPT = HERE.parent.parent / ".venv" / "sdks"


JAVA = ("3.5.4",)
KOTLIN = ("1.25.0", "1.27.0")
"""Versions; the first of Kotlin's speaks through Java's own client, the last through OkHttp."""


class Missing(Exception):
    """A tool or the network; the text says which, and what was to be brought."""


def java(version: str) -> Path:
    """Folder with analytics-java, what it needs, and our session, compiled."""
    return _kept("java", partial(_jars, version), version)


def kotlin(version: str) -> Path:
    """The same with the core of analytics-kotlin."""
    return _kept("kotlin", partial(_jars, version), version)


def go() -> Path:
    """Folder with the program `session`."""
    return _kept("go", _go)


def python_1() -> Path:
    """Folder with analytics-python 1.4 and what it needs: other versions of what 2.4 needs."""
    return _kept("python_1", _pip)


def _kept(name: str, bring: Callable[[Path, Path], None], version: str = "") -> Path:
    """A folder filled by `bring(description, folder)`; anew when what describes it has changed."""
    source = HERE / name
    digest = hashlib.sha256(version.encode())
    for path in sorted(source.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    folder = KEPT / f"{name}-{digest.hexdigest()[:12]}"
    if not folder.exists():
        half = KEPT / f"{name}.half-{os.getpid()}"  # tests run in several processes
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        bring(source, half)
        try:
            half.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(half)  # another process was quicker
    return folder


def _jars(version: str, source: Path, folder: Path) -> None:
    _run(
        source,
        *("mvn", "-q", "-B", "-f", str(source / "pom.xml"), f"-Dmaven.repo.local={KEPT / 'm2'}"),
        "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
        *(f"-Dsdk={version}", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"),
    )
    sums = source / f"jars-{version}.sha256"
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}
    known = {name: digest for digest, name in map(str.split, sums.read_text().splitlines())}
    if found != known:
        raise AssertionError(f"not the jars of {sums}: {sorted(set(found.items()) ^ set(known.items()))}")
    _run(source, "javac", "-d", str(folder), "-cp", f"{folder}/*", str(source / "Session.java"))


def _go(source: Path, folder: Path) -> None:
    kept = {
        "GOCACHE": str(KEPT / "go-build"),
        "GOMODCACHE": str(KEPT / "go-mod"),
        "GOFLAGS": "-mod=readonly -modcacherw",
    }
    _run(source, "go", "build", "-o", str(folder / "session"), ".", **kept)


def _pip(source: Path, folder: Path) -> None:
    _run(
        source,
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--require-hashes", "--root-user-action=ignore", "--target", str(folder), "-r", "requirements.txt"),
    )


def _run(source: Path, *command: str, **environment: str) -> None:
    try:
        subprocess.run(
            command, cwd=source, env=os.environ | environment, check=True, capture_output=True, text=True, timeout=600
        )
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is needed for the {source.name} SDK, and is not installed") from error
    except subprocess.CalledProcessError as error:
        said = (error.stdout + error.stderr).strip()[-1000:]
        raise Missing(f"the {source.name} SDK could not be brought: {said}") from error


if __name__ == "__main__":
    every: list[Callable[[], Path]] = [partial(java, version) for version in JAVA]
    every += [partial(kotlin, version) for version in KOTLIN]
    for each in [*every, go, python_1]:
        try:
            print(f"here: {each()}")
        except Missing as error:
            print(f"missing: {error}", file=sys.stderr)
