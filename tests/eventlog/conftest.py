"""The folder of a log that is not there yet, and what fills it."""

from pathlib import Path

import pytest

from .parts import Clock, Events


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Events:
    return Events(clock)
