"""A workspace whose time is the test's to move."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.workspace.store import Workspace
from tests.clocks import Still
from tests.workspace.paper import open_paper


@pytest.fixture
def now() -> Still[int]:
    return Still(1_700_000_000_000)


@pytest.fixture
def workspace(tmp_path: Path, now: Still[int]) -> Iterator[Workspace]:
    with open_paper(tmp_path / "data", now=now) as workspace:
        yield workspace
