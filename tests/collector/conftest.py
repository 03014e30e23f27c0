"""Our own front end on both event loops."""

import pytest

from tests.collector.parts import Front


@pytest.fixture(params=["own", "uvloop"])
def front(request: pytest.FixtureRequest) -> Front:
    kind: Front = request.param
    return kind
