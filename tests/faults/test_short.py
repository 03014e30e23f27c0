"""The short form of the fault suite. `make faults` has the whole of it."""

import pytest

from tests.faults.case import Case
from tests.faults.cases import cases
from tests.faults.runner import NOT_RUN, run_all
from tests.faults.table import heading, line_of, troubles

SEED = 20261122


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_nothing_is_lost_or_reordered(case: Case) -> None:
    rows = list(run_all([case], SEED, short=True, tell=print, bounded=False))
    print("\n".join((heading(), *map(line_of, rows))))
    assert rows
    assert not [words for row in rows for words in troubles(row, SEED, short=True)]
    if all(row.report.fault == NOT_RUN for row in rows):
        pytest.skip("; ".join(row.report.notes[0] for row in rows))
