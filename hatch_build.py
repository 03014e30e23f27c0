"""
Puts the browser library into the package. It is built here if it is not there yet and Node is; whoever installs the
published package needs neither.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASSETS = "milonga/collector/cdn/assets"


class BrowserLibrary(BuildHookInterface[Any]):
    """Builds as `make browser` does. An editable install is left to make, which also builds anew after a change."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable" or (root / ASSETS / "manifest.json").is_file():
            return
        npm = shutil.which("npm")
        if npm is None:
            self.app.display_warning(
                "Milonga is built without its browser library, for there is no npm: analytics.min.js will answer 503. "
                "Install Node 20 and build again."
            )
            return
        with tempfile.TemporaryDirectory() as cache:
            for words in (["ci", "--no-audit", "--no-fund", "--cache", cache], ["run", "build"]):
                subprocess.run([npm, "--silent", *words], cwd=root / "browser", check=True)  # noqa: S603  our own words
