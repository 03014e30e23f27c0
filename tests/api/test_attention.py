"""What needs somebody, as programs ask for it."""

from milonga.workspace.roles import Role
from tests.api.serving import Served


def test_what_needs_somebody_is_told_the_worst_first_and_where_to_mend_it(api: Served) -> None:
    found = api.ask("GET", "/attention", role=Role.viewer).data
    letters = next(one for one in found if "dead letter" in one["title"])
    assert (letters["severity"], letters["page"]) == ("bad", "/problems/dead?destination=totango")
    assert found[0]["title"] == "No server is running"
    severities = [one["severity"] for one in found]
    assert severities == sorted(severities)
