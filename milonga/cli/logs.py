"""Structured logs on stderr: readable lines in a terminal, JSON elsewhere."""

import logging
import sys
from contextlib import suppress
from typing import TextIO

import structlog


class _Unfailing:
    """
    A stream whose troubles are nobody else's: stderr may be a file on the disk that has just become full, or a terminal
    that is gone, and what is logged then is the very trouble that must be dealt with.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure() -> None:
    """Once per process. Nothing that is logged holds an event's content or a secret."""
    # Not rich's tracebacks: they print local variables, and with them events.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            console if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=_Unfailing(sys.stderr)),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
