"""What a visit to the sample site leaves in Totango."""

from collections import Counter
from contextlib import suppress

from tests.e2e.shop import ANA, SUR, Params, Visitor, request

SNIPPET, BUNDLE = "", "/npm"  #: where the pages with either lie

ANA_HERSELF = {"u_name": "Ana Díaz", "u_email": ANA, "u_instrument": "Bandoneon"}
SUR_ITSELF = {"o_account_name": "Orquesta Sur", "o_players": "34"}
NORTE_ITSELF = {"o_account_name": "Cuarteto Norte", "o_players": "4", "o_Status": "Free"}


def viewed(section: str, name: str, account: str = SUR) -> list[Params]:
    """A page call's two activities."""
    return [
        request(account, a=f"Viewed {section} Page", m=section),
        request(account, a=f"Viewed {section} {name} Page", m=section),
    ]


def signed_in() -> list[Params]:
    """Identify came before group, so its traits follow the account."""
    return [
        request(**SUR_ITSELF, o_Status="Paying"),
        request(**ANA_HERSELF),
        request(a="Signed In", m="Welcome"),
        *viewed("Calendar", "Week"),
    ]


def holds(visitor: Visitor, expected: list[Params]) -> None:
    """Totango holds exactly this, and nothing more is to come."""
    shop, wanted = visitor.shop, Counter(expected)
    with suppress(AssertionError):  # what is missing is told below, in a way that can be read
        visitor.until(lambda: not wanted - shop.sent(), "all of it")
    visitor.until(shop.settled, "an outcome for every event")
    sent = shop.sent()
    assert (list(map(sorted, (wanted - sent).elements())), list(map(sorted, (sent - wanted).elements()))) == ([], [])
