"""Which accounts a log holds, in sealed segments and in the active one."""

import asyncio
from pathlib import Path

from milonga.eventlog.accounts import STEP, accounts_in
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from milonga.spec.stored import Stamp, Stamped


def of(account: str | None, message_id: str) -> Stamped:
    stamp = Stamp(
        source=1,
        type="track",
        message_id=message_id,
        own_message_id=True,
        user_id="u",
        anonymous_id=None,
        account=account,
        account_found=None if account is None else "groupId",
        received_at=1,
        timestamp=1,
    )
    return Stamped(stamp, b"{}")


def test_every_account_is_found_in_every_segment(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = await SqliteLog.open(tmp_path / "log", seal_at=SealAt(events=50))
        for batch in range(6):
            await log.append([of(f"account-{batch}-{n % 7}" if n % 5 else None, f"{batch}-{n}") for n in range(40)])
        assert set(accounts_in(tmp_path / "log")) == {f"account-{batch}-{n}" for batch in range(6) for n in range(7)}
        await log.close()
        assert len(set(accounts_in(tmp_path / "log"))) == 42

    asyncio.run(scenario())


def test_a_log_of_many_steps_is_read_to_its_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = await SqliteLog.open(tmp_path / "log")
        count = 2 * STEP + 5
        events = [of(f"a{n // 100}", str(n)) for n in range(count)]
        await log.append(events[:STEP])
        await log.append(events[STEP:])
        await log.close()

    asyncio.run(scenario())
    assert set(accounts_in(tmp_path / "log")) == {f"a{n // 100}" for n in range(2 * STEP + 5)}


def test_where_there_is_no_log_there_are_no_accounts(tmp_path: Path) -> None:
    assert list(accounts_in(tmp_path / "nothing")) == []


def test_a_segment_that_cannot_be_read_is_passed_by(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = await SqliteLog.open(tmp_path / "log", seal_at=SealAt(events=1))
        for number in range(3):
            await log.append([of(f"a{number}", str(number))])
        await log.close()

    asyncio.run(scenario())
    first = min((tmp_path / "log").glob("0*.db"))
    first.write_bytes(b"nothing" * 1000)
    found = set(accounts_in(tmp_path / "log"))
    assert found <= {"a0", "a1", "a2"}
    assert "a2" in found or "a1" in found
