"""What is remembered of accounts, whoever names them."""

from contextlib import closing
from pathlib import Path

import pytest

from milonga.index import memory
from milonga.index.memory import Memory, open_to_read
from milonga.index.terms import Seen


def seen(offset: int, account: str) -> Seen:
    return Seen(
        offset, 1_800_000_000_000 + offset, 1, "identify", f"m-{offset}", "ada", None, account, None, None, (), ()
    )


def test_accounts_that_a_sender_makes_up_are_bounded_as_they_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "MOST_ACCOUNTS", 20)
    with closing(Memory(tmp_path)) as remembered:
        for offset in range(1, 101):
            news = remembered.news()
            news.add(seen(offset, f"made up {offset}"))
            remembered.add(news)
    found = open_to_read(tmp_path)
    assert found is not None
    with closing(found):
        names = {row[0] for row in found.execute("SELECT id FROM account")}
    assert {f"made up {offset}" for offset in range(81, 101)} <= names
    assert len(names) <= 22
