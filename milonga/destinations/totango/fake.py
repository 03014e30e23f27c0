"""
A pretend Totango: takes what the real one takes, answers as it does, and remembers what it would hold.
Source: docs/totango.md, "A pretend Totango".
"""

from collections.abc import Iterable, Mapping
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import Struct, field

from milonga.destinations.listener import Call, Reply
from milonga.destinations.pretend import KEEP, NOTHING, Findings, Pretend, Seen, form

PATHS: Final = frozenset({"/pixel.gif", "/pixel.gif/"})
GIF: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""One transparent pixel, 43 bytes."""

SCRIPT: Final = Path(__file__).with_name("fake_collector.js")
"""A stand-in for Totango's own script for pages."""

MAX_ACCOUNTS: Final = 10_000  #: the least recently named is forgotten
MAX_EACH: Final = 500  #: attributes, users or activities of one account
MAX_TEXT: Final = 1_000  #: characters of a name or value; the real one keeps less
MAX_SERVICES: Final = 100  #: further ones are not told apart
SHOWN: Final = 50  #: of anything, on the page
NAMED: Final = 5  #: services in the heading


class User(Struct):
    attributes: dict[str, str] = field(default_factory=dict)


class Account(Struct):
    """activities  how often, by (module, activity)"""

    attributes: dict[str, str] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    activities: dict[tuple[str, str], int] = field(default_factory=dict)


class Totango:
    """
    What Totango would hold; the least recently named account first.

    services  how many requests named each, in the order they came
    """

    usual: Reply = Reply(200, "image/gif", GIF)

    def __init__(self) -> None:
        script = Reply(200, "text/javascript; charset=utf-8", SCRIPT.read_bytes(), {"cache-control": "no-cache"})
        self.files: Mapping[str, Reply] = {"/totango.js": script}
        self.accounts: dict[str, Account] = {}
        self.services: dict[str, int] = {}

    def params(self, call: Call) -> Mapping[str, Any] | None:
        """Query and form together, as GET and POST are equal to Totango; the form wins."""
        if call.path not in PATHS:
            return None
        posted = form(call.body) if call.body else {}
        return {**form(call.query), **posted} if call.query else posted

    def examine(self, call: Call, now: float) -> Findings:
        """The real one believes whoever names a service."""
        return NOTHING

    def keep(self, seen: Seen) -> None:
        """Everything is an upsert. Without an account nothing is kept, and nothing is said about it either."""
        params = seen.params
        service = params.get("sdr_s", "")[:MAX_TEXT]
        if service and (service in self.services or len(self.services) < MAX_SERVICES):
            self.services[service] = self.services.get(service, 0) + 1
        id_, user_id = params.get("sdr_o", ""), params.get("sdr_u", "")
        if not 0 < len(id_) <= MAX_TEXT:
            return
        account = self.accounts.pop(id_, None) or Account()
        self.accounts[id_] = account
        if len(self.accounts) > MAX_ACCOUNTS:
            del self.accounts[next(iter(self.accounts))]
        user = _upsert(account.users, user_id, User()) if 0 < len(user_id) <= MAX_TEXT else None
        for name, value in params.items():
            if name.startswith("sdr_o."):
                _set(account.attributes, name[6 : MAX_TEXT + 6], value[:MAX_TEXT])
            elif name == "sdr_odn":  # as Totango's own clients call it
                _set(account.attributes, "account_name", value[:MAX_TEXT])
            elif user is not None and name.startswith("sdr_u."):
                _set(user.attributes, name[6 : MAX_TEXT + 6], value[:MAX_TEXT])
        if activity := params.get("sdr_a"):
            done = params.get("sdr_m", "")[:MAX_TEXT], activity[:MAX_TEXT]
            _set(account.activities, done, account.activities.get(done, 0) + 1)

    def summary(self) -> dict[str, Any]:
        accounts = self.accounts.values()
        return {
            "accounts": len(accounts),
            "users": sum(len(account.users) for account in accounts),
            "activities": sum(sum(account.activities.values()) for account in accounts),
        }

    def clear(self) -> None:
        self.accounts.clear()
        self.services.clear()

    def page(self) -> str:
        """The most recently named accounts, and what is known of each."""
        shown = [_account(id_, account) for id_, account in islice(reversed(self.accounts.items()), SHOWN)]
        numbers = ", ".join(_counted(number, what) for what, number in self.summary().items())
        rest = len(self.accounts) - len(shown)
        note = f"<p>{rest:,} accounts named longer ago are not shown.</p>" if rest else ""
        nothing = "" if shown else "<p>Nothing has arrived yet.</p>"
        heading, warning = _services(self.services)
        return _PAGE.format(heading=heading, warning=warning, numbers=numbers, body="".join(shown) + nothing + note)


def PretendTotango(  # noqa: N802 - reads as what it makes
    *, host: str = "127.0.0.1", port: int = 0, keep: int = KEEP
) -> Pretend[Totango]:
    """For `async with`; port 0 takes any free one."""
    return Pretend(Totango(), host=host, port=port, keep=keep)


pretend = PretendTotango  #: what `milonga fake totango` starts


K = TypeVar("K")
V = TypeVar("V")


def _upsert(held: dict[K, V], key: K, new: V) -> V:
    if key in held or len(held) < MAX_EACH:
        return held.setdefault(key, new)
    return new


def _set(held: dict[K, V], key: K, value: V) -> None:
    if key in held or len(held) < MAX_EACH:
        held[key] = value


def _counted(number: int, what: str) -> str:
    one = {"accounts": "account", "users": "user", "activities": "activity"}
    return f"{number:,} {one[what] if number == 1 else what}"


def _services(services: Mapping[str, int]) -> tuple[str, str]:
    """For the heading, and a warning if there is more than one: the real one keeps them apart. HTML."""
    if not services:
        return "", ""
    named = ", ".join(escape(service) for service in islice(services, NAMED))
    rest = len(services) - NAMED
    heading = f": {'service' if len(services) == 1 else 'services'} {named}{f' and {rest:,} more' if rest > 0 else ''}"
    if len(services) == 1:
        return heading, ""
    counts = ", ".join(f"{escape(service)} ({number:,})" for service, number in islice(services.items(), SHOWN))
    return heading, (
        f"<p class=warning>Requests named {len(services):,} Service IDs: {counts}. Totango would keep their accounts "
        "apart; here they are in one. If you meant one, look at <code>serviceId</code> of your destinations.</p>"
    )


def _account(id_: str, account: Account) -> str:
    name = account.attributes.get("account_name")
    heading = f"{escape(name)} <small>{escape(id_)}</small>" if name else escape(id_)
    users = [
        (user_id, "; ".join(f"{name}: {value}" for name, value in islice(user.attributes.items(), SHOWN)))
        for user_id, user in islice(account.users.items(), SHOWN)
    ]
    activities = [(module, activity, f"{count:,}") for (module, activity), count in account.activities.items()]
    return (
        f"<section><h2>{heading}</h2>"
        + _table(("Attribute", "Value"), account.attributes.items(), len(account.attributes))
        + _table(("User", "Attributes"), users, len(account.users))
        + _table(("Module", "Activity", "Times"), activities, len(activities))
        + "</section>"
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], total: int) -> str:
    if not total:
        return ""
    lines = ["<tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in islice(rows, SHOWN)]
    more = f"<p>and {total - SHOWN:,} more</p>" if total > SHOWN else ""
    return f"<table>{''.join(lines)}</table>{more}"


_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Pretend Totango</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.4rem }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem }}
.warning {{ border-left: .25rem solid #c60; padding: .25rem .75rem; overflow-wrap: anywhere }}
small, th {{ font-weight: normal; opacity: .7 }}
table {{ border-collapse: collapse; width: 100%; margin: 0 0 1rem; table-layout: fixed }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #8884;
  overflow-wrap: anywhere }}
</style>
<h1>Pretend Totango{heading}</h1>
<p>What Totango would hold after the requests that reached this stand-in: {numbers}. Reload to look again.</p>
{warning}
{body}
</html>
"""
