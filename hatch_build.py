"""
Puts the browser library and the sample site into the package. The library is built here if it is not there yet and
Node is; whoever installs the published package needs neither.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASSETS = "milonga/collector/cdn/assets"
SITE = "examples/site"
SITE_IN_PACKAGE = "milonga/cli/site"


class BrowserLibrary(BuildHookInterface[Any]):
    """Builds as `make browser` does. An editable install is left to make, which also builds anew after a change."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / ASSETS / "manifest.json").is_file():
            self._build(root / "browser")
        if self.target_name == "wheel":
            for path in sorted((root / SITE).iterdir()):
                if path.suffix in {".html", ".css", ".svg", ".js"}:
                    build_data["force_include"][str(path)] = f"{SITE_IN_PACKAGE}/{path.name}"

    def _build(self, browser: Path) -> None:
        npm = shutil.which("npm")
        if npm is None:
            self.app.display_warning(
                "Milonga is built without its browser library, for there is no npm: analytics.min.js will answer 503. "
                "Install Node 20 and build again."
            )
            return
        with tempfile.TemporaryDirectory() as cache:
            for words in (["ci", "--no-audit", "--no-fund", "--cache", cache], ["run", "build"]):
                subprocess.run([npm, "--silent", *words], cwd=browser, check=True)  # noqa: S603  our own words
