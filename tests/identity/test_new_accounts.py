"""Which accounts are new to a source: memory is bounded, and who is wrongly known harms nobody."""

from milonga.identity.new_accounts import HOUR, NewAccounts, Standing


def judge(
    accounts: NewAccounts, account: str, now: float = 0.0, source: int = 1, alarm: int = 0, cap: int = 0
) -> Standing:
    return accounts.judge(source, account, now, alarm=alarm, cap=cap)


def ready(size: int = 1000) -> NewAccounts:
    accounts = NewAccounts(accounts_per_filter=size)
    accounts.know(accounts.filter_of([]))
    return accounts


def test_an_account_is_new_once() -> None:
    accounts = ready()
    assert judge(accounts, "a") is Standing.new
    assert judge(accounts, "a") is Standing.known
    assert judge(accounts, "a", source=2) is Standing.new


def test_the_alarm_is_given_once_an_hour() -> None:
    accounts = ready()
    found = [judge(accounts, str(number), now=float(number), alarm=3) for number in range(10)]
    assert found == [Standing.new] * 2 + [Standing.alarm] + [Standing.new] * 7
    later = [judge(accounts, f"x{number}", now=HOUR + number, alarm=3) for number in range(4)]
    assert later == [Standing.new] * 2 + [Standing.alarm, Standing.new]


def test_who_is_refused_stays_new() -> None:
    accounts = ready()
    assert judge(accounts, "a", cap=1) is Standing.new
    assert judge(accounts, "b", cap=1) is Standing.refused
    assert judge(accounts, "b", cap=1) is Standing.refused
    assert judge(accounts, "a", cap=1) is Standing.known
    assert judge(accounts, "b", now=HOUR, cap=1) is Standing.new


def test_accounts_in_use_are_never_forgotten_however_many_pass_by() -> None:
    accounts = ready(1000)
    judge(accounts, "ours")
    for number in range(20_000):
        judge(accounts, f"made up {number}")
        if number % 500 == 0:
            assert judge(accounts, "ours") is Standing.known
    assert judge(accounts, "made up 0") is Standing.new  # long ago


def test_what_is_stored_is_known_to_every_source() -> None:
    accounts = NewAccounts(accounts_per_filter=1000)
    paused = 0

    def pause() -> None:
        nonlocal paused
        paused += 1

    accounts.know(accounts.filter_of((f"a{number}" for number in range(900)), pause))
    assert paused >= 2
    assert judge(accounts, "a899", source=7) is Standing.known
    news = [judge(accounts, f"b{number}") for number in range(500)]
    assert news.count(Standing.new) >= 490
