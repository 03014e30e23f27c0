"""How a request to the tracking API ended."""

from typing import Final

from milonga.destinations import http
from milonga.destinations.contract import Answer, Ending

DELIVERED: Final = frozenset(range(200, 300))


def judge(answer: Answer, now: float) -> Ending:
    return http.judge(answer, now, receiver="The receiver", delivered=DELIVERED)
