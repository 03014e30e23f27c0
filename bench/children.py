"""Helper processes of a bench: started with spawn, pinned, spoken to through a pipe, ended one by one."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

PATIENCE = 120.0  #: seconds for one answer


class Child:
    """
    A process that runs `main(pipe, *args)`; the first thing it sends says that it is ready.

    cores  to run on
    hello  the first thing it sent
    """

    def __init__(self, main: Callable[..., None], cores: set[int], *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_run, args=(main, cores, there, *args), daemon=True)
        self._process.start()
        there.close()
        self.hello = self.hear()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def tell(self, what: Any) -> None:
        self._pipe.send(what)

    def hear(self, patience: float = PATIENCE) -> Any:
        """EOFError if it died; what it said stands on stderr."""
        if not self._pipe.poll(patience):
            raise TimeoutError(f"{self._process.name} has not answered for {patience:g} s")
        return self._pipe.recv()

    def ask(self, what: Any, patience: float = PATIENCE) -> Any:
        self.tell(what)
        return self.hear(patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _run(main: Callable[..., None], cores: set[int], pipe: Connection, *args: Any) -> None:
    os.sched_setaffinity(0, cores)
    try:
        main(pipe, *args)
    except (EOFError, KeyboardInterrupt):
        return  # the bench is over


def once(work: Callable[..., Any], cores: set[int], *args: Any, patience: float = PATIENCE) -> Any:
    """The result of `work(*args)`, computed in a process of its own within `patience` seconds."""
    with Child(_once, cores, work, args) as child:
        return child.hear(patience)


def _once(pipe: Connection, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    pipe.send("ready")
    pipe.send(work(*args))
    pipe.recv()  # until the other end closes
