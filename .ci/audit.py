#!/usr/bin/env python3
"""
Compares every dependency that is installed, for running or for building, with what is publicly known to be vulnerable.

    make audit    or, with pip-audit and npm on the PATH: python .ci/audit.py [--strict] [FOLDER]

pip-audit and `npm audit` ask the lists of known vulnerabilities. Where those cannot be reached this says so, for each
lock file, and ends with 0, since a missing list is no reason to stop work; with --strict it ends with 2. It ends with 1
if something vulnerable is found, and names it.
"""

import json
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
SECONDS = 300  #: for one list

Found = list[str] | None
"""One line for each vulnerability; None if the list could not be asked, or not for every package."""


def of_python(lock: Path) -> tuple[Found, str]:
    """And why it could not be asked."""
    # pip-audit succeeds and says that nothing is known also where no package could be looked up.
    options = ("--require-hashes", "--disable-pip", "--format", "json")
    told = said(["pip-audit", "--requirement", str(lock), *options], lock.parent)
    try:
        packages = json.loads(told.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None, last_line(told.stderr)
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for one in packages
        for flaw in one.get("vulns", ())
    ]
    if not packages:
        return None, "it looked up no package"
    passed_by = [one for one in packages if "skip_reason" in one]
    if passed_by and not found:
        return None, f"{len(passed_by)} of {len(packages)} packages: {passed_by[0]['skip_reason']}"
    return found, ""


def of_npm(lock: Path) -> tuple[Found, str]:
    """And why it could not be asked."""
    told = said(["npm", "audit", "--json"], lock.parent)
    try:
        answer = json.loads(told.stdout)
        flaws = answer["vulnerabilities"]
    except (ValueError, KeyError, TypeError):
        return None, last_line(told.stderr)
    return [f"{name}: {flaw['severity']}, versions {flaw['range']}" for name, flaw in flaws.items()], ""


def said(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=str(error))


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "complete log" not in line]
    return lines[-1] if lines else "it said nothing"


def main(strict: bool, folder: Path) -> int:
    locks = sorted(folder.glob("requirements*.lock"))
    locks += sorted(path for path in folder.rglob("package-lock.json") if "node_modules" not in path.parts)
    vulnerable, unknown = False, not locks
    if not locks:
        print("audit: NOT AUDITED: there is no lock file here")
    for lock in locks:
        found, reason = (of_npm if lock.suffix == ".json" else of_python)(lock)
        name = lock.relative_to(folder)
        if found is None:
            print(f"audit: {name}: NOT AUDITED: {reason}")
            unknown = True
        elif found:
            print(f"audit: {name}: VULNERABLE", *found, sep="\n  ")
            vulnerable = True
        else:
            print(f"audit: {name}: nothing known to be vulnerable")
    if unknown:
        print("audit: run it where the advisories of PyPI and npm can be reached (SECURITY.md)")
    if vulnerable:
        return 1
    return 2 if unknown and strict else 0


if __name__ == "__main__":
    folders = [Path(one) for one in sys.argv[1:] if one != "--strict"]
    sys.exit(main("--strict" in sys.argv, folders[0] if folders else REPO))
