"""
Send hostile requests to a Milonga of our own, and say what came of it:

    python -m tests.fuzz --requests 200000 --seed 7
    python -m tests.fuzz --seed 7 --only 1234     one conversation of that run, with all that was said
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.fuzz.aftermath import aftermath
from tests.fuzz.conversation import conversation
from tests.fuzz.judge import complaints
from tests.fuzz.run import Findings, door_of, fuzz, target
from tests.fuzz.wire import converse
from tests.running import Milonga


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Send hostile requests to a Milonga.")
    parser.add_argument("--requests", type=int, default=200_000, metavar="N")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(2**32), metavar="N", help="the same seed, the same requests"
    )
    parser.add_argument("--slow", type=int, default=10, metavar="N", help="slow senders of each kind beside them")
    parser.add_argument("--tls", action="store_true", help="over TLS")
    parser.add_argument("--only", type=int, metavar="N", help="only this conversation, shown")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="milonga-fuzz-") as folder, target(Path(folder), tls=chosen.tls) as milonga:
        if chosen.only is not None:
            return show(milonga, chosen.seed, chosen.only)
        found = fuzz(milonga, chosen.seed, chosen.requests, slow=chosen.slow, tell=Progress(chosen.requests))
        tell(found, chosen.seed)
        troubles = aftermath(milonga, found)
    for words in troubles:
        print(f"afterwards: {words}")
    print(f"{found.events:,} events in the log, {len(found.kept):,} of them looked for by name")
    return 1 if found.wrong or found.slow or troubles else 0


class Progress:
    """A line for each tenth."""

    def __init__(self, requests: int) -> None:
        self._requests = requests
        self._told = 0

    def __call__(self, found: Findings) -> None:
        tenths = 10 * found.requests // self._requests
        if tenths > self._told:
            self._told = tenths
            print(f"{found.requests:,} requests, {found.memory / 2**20:.0f} MiB, {len(found.wrong)} wrong", flush=True)


def tell(found: Findings, seed: int) -> None:
    rate = found.requests / found.seconds
    print(f"{found.requests:,} requests in {found.conversations:,} conversations, {found.seconds:.0f} s, {rate:,.0f}/s")
    print(f"memory at its peak: {found.peak / 2**20:.0f} MiB")
    print("answers: " + ", ".join(f"{name} {count:,}" for name, count in found.answers.most_common()))
    for number, words in found.wrong[:20]:
        print(f"WRONG: {words}\n    python -m tests.fuzz --seed {seed} --only {number}")
    for words in found.slow:
        print(f"WRONG: slow senders: {words}")
    if found.wrong:
        print(f"{len(found.wrong)} things are wrong.")


def show(milonga: Milonga, seed: int, number: int) -> int:
    said = conversation(seed, number)
    heard = uvloop.run(converse(door_of(milonga), said))
    for place, draft in enumerate(said.drafts):
        print(f"\nrequest {place}: {draft.aim}, answers: {draft.answers}, done: {' '.join(draft.done) or 'nothing'}")
        print((draft.raw or b"")[:2000])
        if place < len(heard.answers):
            answer = heard.answers[place]
            print(answer.status, answer.headers, answer.body[:300])
    print("\n", said.end, "paced" if said.paced else "", heard.fault, heard.rest[:300], len(heard.answers), "answers")
    wrong = list(complaints(said, heard))
    print("\n".join(f"WRONG: {words}" for words in wrong) or "Nothing is wrong.")
    print(milonga.log_text())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
