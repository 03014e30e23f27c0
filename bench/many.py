"""
A log of many events, written without a server and without waiting for the disk: a week of a product with 20,000
accounts, some of them very large, 200,000 users, 300 activities in 15 modules, from 5 sources. About 930 bytes each.
"""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from bench.samples import SIZE, message_ids
from milonga.eventlog.record import INDEXES, insert, record
from milonga.eventlog.segment import create, path_of
from milonga.spec.event import EventType
from milonga.spec.stored import Stamp, Stamped

ACCOUNTS, USERS_OF_ONE, ACTIVITIES, MODULES, SOURCES = 20_000, 10, 300, 15, 5
SEGMENT: Final = 100_000  #: events; 128 MB of them, as a running log cuts
WEEK: Final = 7 * 86_400_000  #: milliseconds
ROWS: Final = 100  #: of one statement
_CONTEXT: Final = (
    '"library":{"name":"analytics-python","version":"2.4.0"},"ip":"203.0.113.7","locale":"en-GB","timezone":'
    '"Europe/Berlin","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"'
)


def account_name(number: int) -> str:
    return f"account-{number:05}"


def user_name(account: int, number: int) -> str:
    return f"user-{number}@{account_name(account)}.example"


def activity_name(number: int) -> str:
    return f"Report {number} exported"


def fill(folder: Path, count: int, now: int, seed: int = 7) -> None:
    """
    folder  the log's, which must not be there yet
    now     unix milliseconds: when the last of them arrived
    """
    folder.mkdir(parents=True)
    events = _events(count, now, random.Random(seed))
    statement = insert(ROWS)
    for first in range(1, count + 1, SEGMENT):
        size = min(SEGMENT, count - first + 1)
        create(folder, first, now)
        with closing(apsw.Connection(str(path_of(folder, first)))) as db:
            db.pragma("journal_mode", "off")
            db.pragma("synchronous", "off")
            with db:
                for begin in range(0, size, ROWS):
                    rows = [v for n in range(begin, begin + ROWS) for v in (first + n, *record(next(events)))]
                    db.execute(statement, rows)
                if first + SEGMENT <= count:
                    db.execute(INDEXES)
            db.pragma("journal_mode", "wal")


def _events(count: int, now: int, dice: random.Random) -> Iterator[Stamped]:
    pad = "what the user wrote into it, " * 20
    for number, id_ in enumerate(message_ids_of(count)):
        # Every tenth event is of account 0; of the others, small numbers are more frequent.
        account = 0 if number % 10 == 0 else int(ACCOUNTS * dice.random() ** 3)
        user = user_name(account, int(USERS_OF_ONE * dice.random()))
        at = now - WEEK + WEEK * (number + 1) // count
        activity = int(ACTIVITIES * dice.random() ** 3)
        letter = "ttttptitttptitttpitg"[number % 20]
        has_account = number % 20 != 7
        group = f'"groupId":"{account_name(account)}",' if has_account else ""
        head = f'{{"userId":"{user}","messageId":"{id_}","context":{{{group}{_CONTEXT}}},'
        kind: EventType
        match letter:
            case "t":
                kind, module = "track", f"Module {activity % MODULES}"
                rest = (
                    f'"type":"track","event":"{activity_name(activity)}","properties":{{"category":"{module}","note":"'
                )
            case "p":
                kind = "page"
                named = f'"category":"Module {activity % MODULES}","name":"Page {activity}"'
                rest = f'"type":"page",{named},"properties":{{"note":"'
            case "i":
                kind, rest = "identify", f'"type":"identify","traits":{{"email":"{user}","note":"'
            case _:
                kind = "group"
                rest = (
                    f'"type":"group","groupId":"{account_name(account)}","traits":{{"name":"Account {account}","note":"'
                )
        body = f'{head}{rest}{pad[: max(0, SIZE - len(head) - len(rest) - 3)]}"}}}}'
        yield Stamped(
            Stamp(
                source=1 + account % SOURCES,
                type=kind,
                message_id=id_,
                own_message_id=True,
                user_id=user,
                anonymous_id=f"anonymous-{number // 3}" if number % 5 == 0 else None,
                account=account_name(account) if has_account or kind == "group" else None,
                account_found=None if not has_account else "groupId" if kind == "group" else "context.groupId",
                received_at=at,
                timestamp=at - 500,
                original_timestamp="2026-11-22T10:10:10.123456+00:00",
                sent_at="2026-11-22T10:10:10.623456+00:00",
            ),
            body.encode(),
        )


def message_ids_of(count: int) -> Iterator[str]:
    for begin in range(0, count, 10_000):
        for id_ in message_ids(min(10_000, count - begin)):
            yield id_.decode()
