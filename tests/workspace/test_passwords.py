"""Passwords: what may be one, how it is kept, and how little a flood of sign-ins takes."""

import threading
from contextlib import ExitStack

import pytest
from argon2 import PasswordHasher

from milonga.workspace import passwords
from milonga.workspace.passwords import AT_ONCE, WAITING, Busy, hashed, is_right, is_weak
from milonga.workspace.people import LONGEST_PASSWORD, csrf_of, digest, is_name, password_problem

GOOD = "a rather long one"


@pytest.mark.parametrize(
    ("password", "says"),
    [
        (GOOD, ""),
        ("x1y2z3x1y2z3", ""),
        ("eleven char", "at least 12"),
        ("", "at least 12"),
        ("x" * 12, "same few"),
        ("abcabcabcabcabc", "same few"),
        ("ab" * 129, "at most 256"),
        ("\ufdfa" * 20, "at most 256"),  # one sign that stands for 18
        ("Ada.Lovelace", "The name"),
        ("ada.lovelace@example.com", ""),
        ("with a half \ud800 sign", "cannot be kept"),
        ("with a \0 in the middle", "cannot be kept"),
    ],
)
def test_what_may_be_a_password_and_what_is_said_of_others(password: str, says: str) -> None:
    problem = password_problem(password, "ada.lovelace")
    assert (problem == "") == (says == "")
    assert says in problem


def test_neither_an_address_nor_what_stands_before_its_at_is_a_password() -> None:
    assert password_problem("grace.hopper@example.com", "Grace.Hopper@example.com")
    assert password_problem("grace.hopper", "Grace.Hopper@example.com")


@pytest.mark.parametrize(
    ("name", "good"),
    [
        *[("ada", True), ("ada@example.com", True), ("A.d-a_1+2", True), ("x" * 64, True)],
        *[("", False), ("x" * 65, False), ("a da", False), ("-ada", False), ("ada\n", False), ("<b>", False)],
    ],
)
def test_names_fit_into_a_line_of_the_audit_log(name: str, good: bool) -> None:
    assert is_name(name) is good


def test_a_password_is_right_however_its_signs_were_typed_and_no_other_is() -> None:
    stored = hashed("caf\u00e9 au lait, please")
    assert stored.startswith("$argon2id$")
    assert is_right(stored, "cafe\u0301 au lait, please")
    assert not is_right(stored, "cafe au lait, please")
    assert not is_right(stored, "")
    assert not is_right(stored, "half a sign \ud800 in it")


def test_nobody_comes_in_without_a_password_to_compare_with_not_even_with_an_empty_one() -> None:
    assert not is_right(None, "")
    assert not is_right(None, GOOD)
    assert not is_right("no hash at all", GOOD)


def test_a_user_who_is_not_there_costs_what_one_who_is_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, asked = hashed(GOOD), []

    class Hasher:
        def verify(self, against: str, password: str) -> bool:
            asked.append((against.rsplit("$", 2)[0], len(password)))
            return PasswordHasher().verify(against, password)

    is_right(None, GOOD)
    monkeypatch.setattr(passwords, "HASHER", Hasher())
    is_right(stored, "wrong")
    is_right(None, "wrong")
    is_right(stored, "x" * (LONGEST_PASSWORD + 1))
    assert [parameters for parameters, _ in asked] == [stored.rsplit("$", 2)[0]] * 3
    assert max(length for _, length in asked) <= LONGEST_PASSWORD


def test_what_was_hashed_with_less_is_hashed_again() -> None:
    assert is_weak(PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(GOOD))
    assert not is_weak(hashed(GOOD))


def test_a_flood_of_sign_ins_stands_in_a_short_line_and_the_rest_is_refused_at_once() -> None:
    gate = passwords._Gate(AT_ONCE, WAITING)
    inside, most, go_on, done = 0, 0, threading.Event(), 0
    counting = threading.Lock()
    seen = threading.Semaphore(0)

    def sign_in() -> None:
        nonlocal inside, most, done
        with gate():
            with counting:
                inside += 1
                most = max(most, inside)
            seen.release()
            assert go_on.wait(60)
            with counting:
                inside -= 1
                done += 1

    with ExitStack() as ending:
        threads = [threading.Thread(target=sign_in) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
            ending.callback(thread.join, 60)
        ending.callback(go_on.set)
        for _ in range(AT_ONCE):
            assert seen.acquire(timeout=60)
        for _ in range(WAITING):
            assert gate._room.acquire(blocking=False)  # as so many in line
        with pytest.raises(Busy, match="Try again in a few seconds"), gate():
            pass
        for _ in range(WAITING):
            gate._room.release()
    assert (most, done) == (AT_ONCE, AT_ONCE)
    with gate():
        pass


def test_what_is_kept_of_a_secret_leads_neither_back_nor_to_what_its_forms_carry() -> None:
    assert digest("a") != digest("b")
    assert csrf_of("a") != csrf_of("b")
    assert csrf_of("a") not in (digest("a").hex(), "a")
