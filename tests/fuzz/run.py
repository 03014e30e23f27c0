"""A whole run: a server, its conversations, its memory, and what is left behind in its log."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import uvloop
from msgspec import Struct, field

from milonga.workspace.store import Workspace
from tests.fuzz import templates
from tests.fuzz.conversation import Conversation, conversation
from tests.fuzz.judge import code_of, complaints
from tests.fuzz.owed import owed
from tests.fuzz.slow import chorus
from tests.fuzz.wire import Door, Said, converse
from tests.memory import pss
from tests.running import Milonga
from tests.sdks.tls import certificate

SAMPLE: Final = 2  #: of so many conversations one is looked at more closely
AT_ONCE: Final = 24  #: connections side by side
SOURCES: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "open": (templates.KEY, {"newAccountsAlarm": 0}),
    "off": (templates.OFF_KEY, {"enabled": False}),
    "listed": (templates.LISTED_KEY, {"origins": templates.LISTED_ORIGIN}),
    "slow": (templates.SLOW_KEY, {"rateLimit": 20, "newAccountsCap": 20}),
}
"""Name, write key and settings."""
LOOK: Final = 0.2  #: seconds between two looks at the memory


class Findings(Struct):
    """
    requests   that were answered
    answers    how often which status and code
    done       how often what was done to a request
    wrong      conversation and what must not be, the first of them
    kept       messageIds that were answered with 200: all of requests with which nothing is wrong, a sample of others
    memory     bytes, of the server's processes together, when they were last looked at
    peak       the most of it
    events     in the log afterwards
    slow       what was wrong with how slow senders were treated
    """

    requests: int = 0
    conversations: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    memory: int = 0
    peak: int = 0
    events: int = 0
    slow: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, said: Conversation, heard: Said) -> None:
        self.conversations += 1
        self.requests += min(len(heard.answers), len(said.drafts))
        for draft in said.drafts:
            self.done.update(draft.done or ("nothing",))
        for answer in heard.answers:
            self.answers[f"{answer.status} {code_of(answer)}".rstrip()] += 1
        for draft, answer in zip(said.drafts, heard.answers, strict=False):
            if answer.status == 200 and (draft.honest or said.number % SAMPLE == 0):
                self.kept |= owed(draft)
        self.wrong += [(said.number, words) for words in complaints(said, heard)]


Tell: TypeAlias = Callable[[Findings], None]


def fuzz(milonga: Milonga, seed: int, requests: int, *, slow: int = 0, tell: Tell = lambda _: None) -> Findings:
    """
    So many requests; and so many slow senders of each kind beside them, which alone takes a minute.

    tell  called now and then with what there is so far
    """
    return uvloop.run(_fuzz(milonga, seed, requests, slow, tell))


async def _fuzz(milonga: Milonga, seed: int, requests: int, slow: int, tell: Tell) -> Findings:
    found = Findings()
    begun = time.monotonic()
    number, door = 0, door_of(milonga)

    async def one_after_the_other() -> None:
        nonlocal number
        while found.requests < requests and len(found.wrong) < 100:
            said = conversation(seed, number)
            number += 1
            found.add(said, await converse(door, said))

    looking = asyncio.create_task(_look(milonga, found, tell))
    try:
        async with asyncio.TaskGroup() as group:
            slow_ones = group.create_task(chorus(door, slow))
            for _ in range(AT_ONCE):
                group.create_task(one_after_the_other())
        found.slow = slow_ones.result()
    finally:
        looking.cancel()
    found.seconds = time.monotonic() - begun
    return found


async def _look(milonga: Milonga, found: Findings, tell: Tell) -> None:
    while True:
        tell(found)
        found.memory = memory(milonga)
        found.peak = max(found.peak, found.memory)
        await asyncio.sleep(LOOK)


def door_of(milonga: Milonga) -> Door:
    if milonga.url.startswith("http:"):
        return Door(milonga.port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return Door(milonga.port, tls=context)


def memory(milonga: Milonga) -> int:
    """Bytes of the server's processes, what they share counted once (PSS)."""
    return pss(milonga.pid) + pss(milonga.delivery_pid())


@contextmanager
def target(folder: Path, *, tls: bool = False, totango: str = "", webhook: str = "") -> Iterator[Milonga]:
    """A server with a source of every kind, and with destinations for what is sent to the first, if given."""
    options = ["--trusted-proxy", "127.0.0.1"]
    if tls:
        made = certificate(folder)
        options += ["--tls-cert", str(made.chain), "--tls-key", str(made.key)]
    with Milonga(folder / "data", *options) as milonga:
        with Workspace.open(milonga.data) as workspace:
            for name, (key, settings) in SOURCES.items():
                workspace.sources.add(name, key)
                workspace.sources.set_settings(name, settings)
        if totango:
            chosen = ("--set", "serviceId=SP-1-01", "--set", f"endpoint={totango}")
            milonga.say("destinations", "add", "totango", "--source", "open", *chosen)
        if webhook:
            milonga.say("destinations", "add", "webhook", "--source", "open", "--set", f"url={webhook}")
        yield milonga.start()
