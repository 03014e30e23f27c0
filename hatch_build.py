"""
Puts the browser library, what the console's pages load, and the sample site into the package. The first two are built
here if they are not there yet and Node is; whoever installs the published package needs neither.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = {
    "browser": ("milonga/collector/cdn/assets", "analytics.min.js will answer 503"),
    "web": ("milonga/console/static", "the console will have no styles"),
}
"""Folder of the sources -> where it is built to, and what is so without it."""
SITE = "examples/site"
SITE_IN_PACKAGE = "milonga/cli/site"


class BrowserLibrary(BuildHookInterface[Any]):
    """Builds as `make browser` does. An editable install is left to make, which also builds anew after a change."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        for sources, (built, without) in BUILT.items():
            if not (root / built / "manifest.json").is_file():
                self._build(root / sources, without)
        if self.target_name == "wheel":
            for path in sorted((root / SITE).iterdir()):
                if path.suffix in {".html", ".css", ".svg", ".js"}:
                    build_data["force_include"][str(path)] = f"{SITE_IN_PACKAGE}/{path.name}"

    def _build(self, sources: Path, without: str) -> None:
        npm = shutil.which("npm")
        if npm is None:
            self.app.display_warning(
                f"Milonga is built without what is made in {sources.name}/, for there is no npm: {without}. "
                "Install Node 20 and build again."
            )
            return
        with tempfile.TemporaryDirectory() as cache:
            for words in (["ci", "--no-audit", "--no-fund", "--cache", cache], ["run", "build"]):
                subprocess.run([npm, "--silent", *words], cwd=sources, check=True)  # noqa: S603  our own words
