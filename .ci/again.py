#!/usr/bin/env python3
"""
Runs what failed beside other tests once more, by itself.

    make test AGAIN=1    or, behind pytest: python .ci/again.py STATUS

Two at a time on two cores, beside browsers and virtual machines, a test that waits for something may wait in vain. What
fails alone, too, is wrong. This ends with 0 only if all tests were run and those that failed pass now; it names them
all the same, for somebody should look at them.

STATUS is what pytest ended with. Anything but "all were run, some failed" is given back as it is: what was never run
cannot be run again.
"""

import json
import subprocess
import sys
from pathlib import Path

SOME_FAILED = 1  #: of pytest's: all were run
MOST = 10  #: tests that fail; more are no accident
FAILED = Path(".pytest_cache", "v", "cache", "lastfailed")


def main(status: int) -> int:
    failed = sorted(json.loads(FAILED.read_text())) if FAILED.exists() else []
    if status != SOME_FAILED or not 0 < len(failed) <= MOST:
        return status
    print("\nOnce more, each by itself, what failed beside others:", *failed, sep="\n  ", flush=True)
    done = subprocess.run([sys.executable, "-m", "pytest", *failed], check=False).returncode
    if done == 0:
        print("\nFAILED BESIDE OTHERS, passed alone:", *failed, sep="\n  ")
    return done


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
