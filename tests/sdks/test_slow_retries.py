"""SDKs that wait long before they try again: started with the first test of this folder, looked at near its end."""

from tests.receiving import Receiving
from tests.sdks.conftest import Unhurried
from tests.sdks.session import ON_SERVERS, check_held, ids


def test_java_comes_again_after_a_503(java_in_trouble: Unhurried, totango: Receiving) -> None:
    """Once only: version 3.5.4 waits up to 30 seconds, by chance, and longer after that."""
    check_held(totango, java_in_trouble.account, ON_SERVERS)
    first, second = java_in_trouble.gate.posts
    assert (first.status, second.status) == (503, 200)
    assert ids(first) == ids(second)
