"""The `milonga` command: its very beginning, before anything that takes time to import."""

import os
import signal
import sys
from types import FrameType

LASTING = {"serve", "demo", "fake"}  #: commands that run until they are stopped
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run() -> None:
    """
    Whatever the moment, Ctrl-C ends a command without a traceback. One that is there to be stopped ends well, with 0,
    also before it has begun: until it listens to signals itself, nothing needs to be put in order.
    """
    lasting = sys.argv[1:2] != [] and sys.argv[1] in LASTING
    usual = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        if usual[number] is not signal.SIG_IGN or number is signal.SIGINT:
            signal.signal(number, _end if lasting else signal.SIG_DFL)

    from milonga.cli.main import made_for

    try:
        if not lasting:
            for number in ENDING:
                signal.signal(number, usual[number])
        made_for(sys.argv[1:])()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        if lasting:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to interrupt but Python's own end


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    run()
