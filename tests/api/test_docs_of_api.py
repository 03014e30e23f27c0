"""The examples of docs/api.md, run against a real API."""

import os
import re
import subprocess
from pathlib import Path

from milonga.workspace.roles import Role
from tests.api.serving import Served
from tests.running import PATIENCE

PAGE = Path(__file__).parents[2] / "docs/api.md"


def test_the_examples_run(api: Served) -> None:
    script = "\n".join(re.findall(r"```sh api\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert script.count("/api/v1/") > 8
    script = script.replace('"kind": "totango",', '"kind": "totango", "name": "second",').replace("/totango", "/second")
    done = subprocess.run(
        ["bash", "-c", f"set -eu\n{script.replace('curl -sS', 'curl -sS --fail-with-body')}"],
        env={**os.environ, "MILONGA_URL": api.url, "MILONGA_TOKEN": api.tokens[Role.editor]},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
