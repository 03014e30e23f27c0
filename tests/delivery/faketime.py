"""An event loop whose clock jumps: when nothing is left to do now, it is at once the time of the next timer."""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

NOON = 1_750_000_000.0  #: unix seconds at the start of every fake day


class NothingMore(Exception):
    """No timer, no callback, nothing to wait for: the test has locked up."""


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """`clock` gives unix seconds; `turns` counts how often the loop went round."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self.set_by = 0.0  #: seconds by which the wall clock was set meanwhile
        self.turns = 0
        super().__init__(_JumpingSelector(self._jump))
        self.errors: list[BaseException] = []
        self.set_exception_handler(self._on_error)

    def time(self) -> float:
        return self._elapsed

    def clock(self) -> float:
        return NOON + self._elapsed + self.set_by

    def _jump(self, seconds: float | None) -> None:
        self.turns += 1
        if seconds is None:
            raise NothingMore
        self._elapsed += seconds

    def _on_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or RuntimeError(context["message"]))


class _JumpingSelector(selectors.BaseSelector):
    def __init__(self, jump: Callable[[float | None], None]) -> None:
        self._real, self._jump = selectors.DefaultSelector(), jump

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._real.select(0)
        if not events and timeout != 0:
            self._jump(timeout)
        return events

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


class FakeThread(Executor):
    """
    Runs what it is given in the loop's own thread, after a while. A crash drops what has not run yet.

    delay  seconds one job takes
    fault  what a job raises instead of being done; None: it is done
    """

    def __init__(self, delay: Callable[[], float], fault: Callable[[], Exception | None] = lambda: None) -> None:
        self._delay, self._fault = delay, fault
        self.crashed = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future: Future[R] = Future()

        def run() -> None:
            if self.crashed or future.cancelled():
                return
            if (fault := self._fault()) is not None:
                future.set_exception(fault)
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        asyncio.get_running_loop().call_later(self._delay(), run)
        return future
