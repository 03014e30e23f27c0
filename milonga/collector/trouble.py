"""A fault of ours while a request was handled: counted, logged without a word of the body, answered with 503."""

import traceback
from typing import Literal, Protocol

import structlog

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.refusals import shown

_log = structlog.get_logger("milonga.collector")


class Counting(Protocol):
    def count(self, what: Literal["trouble"], /) -> None: ...


def trouble(collector: Counting, target: str, error: Exception) -> Answer:
    """target  path of the request; its query, if it has one, may be an event, and stays out of the log"""
    collector.count("trouble")
    if isinstance(error, ExceptionGroup):  # of append and ledger, the first that failed
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    # Only what kind of error and where: its message might quote the body.
    path = shown(target.partition("?")[0])
    _log.error("request_failed", path=path, error=type(error).__name__, place=place)
    return answers.TROUBLE
