"""How a request to Totango ended."""

from typing import Final

from milonga.destinations import http
from milonga.destinations.contract import Answer, Ending

DELIVERED: Final = frozenset({200, 201})
"""200 by the documentation, which says to resend upon anything else; Totango's own client takes 201 as well."""


def judge(answer: Answer, now: float) -> Ending:
    """The status is all there is: Totango answers 200 whatever was sent, and no error body is known."""
    return http.judge(answer, now, receiver="Totango", delivered=DELIVERED)
