"""What the collector counts, and its answers to what it refuses: counted, and told of by milonga.collector.refusals."""

from collections.abc import Callable
from http import HTTPStatus
from math import inf
from typing import Final

import structlog

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.counts import Counts, What
from milonga.collector.proxies import Proxies
from milonga.collector.refusals import KEY_SHOWN, Refusals, shown
from milonga.collector.request import Request
from milonga.eventlog.api import Ledger
from milonga.workspace.model import Source

_log = structlog.get_logger("milonga.collector")

LOST_AGAIN: Final = 60.0  #: seconds between two warnings of pixels that were lost


class TurningAway:
    """
    monotonic       seconds that never go back
    proxies         what is believed about the sender
    accept_unknown  answer an unknown write key as Segment does: with 200
    ended           the source that had this write key until it ended, or None
    notice          told of everything that `counts` counts
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        proxies: Proxies,
        accept_unknown: bool,
        notice: Callable[[What, int], None] | None,
        ended: Callable[[str], Source | None],
    ) -> None:
        self._monotonic, self._proxies, self._accept_unknown, self._notice = monotonic, proxies, accept_unknown, notice
        self._ended = ended
        self._refusals = Refusals(monotonic)
        self._tell_again = -inf
        self.counts = Counts()

    def count(self, what: What, number: int = 1) -> None:
        self.counts.add(what, number)
        if self._notice is not None:
            self._notice(what, number)

    def tell(self, ledger: Ledger, at: int) -> None:
        """See Refusals.tell."""
        self._refusals.tell(ledger, at)

    def log_full(self) -> Answer:
        self.count("log_full")
        self._refusals.add("log_full")
        return answers.LOG_FULL

    def busy(self) -> Answer:
        self.count("busy")
        self._refusals.add("busy")
        return answers.BUSY

    def unknown_key(self, key: str, request: Request) -> Answer:
        self.count("unknown_write_key")
        source = self._ended(key)
        answer = answers.UNKNOWN_WRITE_KEY if source is None else answers.WRITE_KEY_ENDED
        self._refusals.add(answer.code, source, f"{shown(key, KEY_SHOWN)} from {self._sender(request)}")
        return answers.OK if self._accept_unknown else answer

    def too_many(self, source: Source, answer: Answer) -> Answer:
        """The source's rate limit is reached."""
        self._refusals.add("rate_limited", source)
        return answer

    def wrong_path(self, request: Request) -> Answer:
        """What is sent to no path of ours may be an SDK's whose host was given with a path too many, or too few."""
        self.count("refused")
        path = request.target.partition(b"?")[0].decode("latin-1")
        self._refusals.add("not_found", sender=f"{shown(path)} from {self._sender(request)}")
        return answers.NOT_FOUND

    def wrong_site(self, origin: str, source: Source | None = None) -> Answer:
        self.count("origin_not_allowed")
        self._refusals.add("origin_not_allowed", source, shown(origin))
        return answers.ORIGIN_NOT_ALLOWED

    def refuse(self, answer: Answer, request: Request) -> Answer:
        """For any other fault of the sender's."""
        self.count("refused")
        self._refusals.add(answer.code, sender=self._sender(request))
        return answer

    def pixel(self, answer: Answer) -> None:
        """A pixel got its picture whatever the answer would have been."""
        if answer in (answers.OK, answers.ORIGIN_NOT_ALLOWED):
            return
        self.count("pixel_lost")
        # What is nowhere in the books for a fault of ours: in the log.
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and self._monotonic() >= self._tell_again:
            self._tell_again = self._monotonic() + LOST_AGAIN
            _log.warning("pixels_lost", since_start=self.counts["pixel_lost"], why=answer.body.decode())

    def _sender(self, request: Request) -> str:
        """As far as it can be told."""
        return shown(self._proxies.sender(request.fields, request.peer) or "an unknown address")
