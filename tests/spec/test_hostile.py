"""No body takes longer to read than in proportion to its size."""

import selectors
import subprocess
import sys

from tests.spec.hostile import SHAPES, WHOLE

DEADLINE = 20  #: seconds that one body may take: none of them needs two, what is not linear needs minutes or hours


def test_no_body_takes_more_time_than_in_proportion_to_its_size() -> None:
    done: list[str] = []
    with (
        selectors.DefaultSelector() as selector,
        subprocess.Popen([sys.executable, "-m", "tests.spec.hostile"], stdout=subprocess.PIPE, bufsize=0) as reading,
    ):
        assert reading.stdout is not None
        selector.register(reading.stdout, selectors.EVENT_READ)
        try:
            while True:
                assert selector.select(DEADLINE), f"still not read, behind these: {done}"
                line = reading.stdout.readline()
                if not line:
                    break
                done.append(line.decode().strip())
        finally:
            reading.kill()
    assert sorted(done) == sorted([*SHAPES, *WHOLE])
