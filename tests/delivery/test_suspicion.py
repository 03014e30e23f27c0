from milonga.delivery.suspicion import IN_A_ROW, LAST, LONG_ENOUGH, TOO_MANY_BAD, Suspicion, Verdict


def test_three_refusals_in_a_row_for_different_keys_pause() -> None:
    suspicion = Suspicion()
    assert [suspicion.refused(n, f"key{n}", only_one=False) for n in range(3)] == [
        Verdict.wait,
        Verdict.wait,
        Verdict.pause,
    ]


def test_three_refusals_of_one_key_do_not_pause_while_others_can_be_asked() -> None:
    suspicion = Suspicion()
    assert {suspicion.refused(n, "key", only_one=False) for n in range(IN_A_ROW)} == {Verdict.wait}


def test_three_attempts_of_the_only_waiting_event_pause() -> None:
    suspicion = Suspicion()
    assert [suspicion.refused("it", "key", only_one=True) for _ in range(3)][-1] is Verdict.pause


def test_one_event_that_nobody_else_comes_to_judge_pauses_in_the_end() -> None:
    suspicion = Suspicion()
    verdicts = [suspicion.refused("it", "key", only_one=False) for _ in range(LONG_ENOUGH)]
    assert verdicts[-1] is Verdict.pause
    assert set(verdicts[:-1]) == {Verdict.wait}


def test_a_success_between_says_that_the_refused_events_alone_are_to_blame() -> None:
    suspicion = Suspicion()
    suspicion.refused("one", "a", only_one=False)
    suspicion.refused("two", "b", only_one=False)
    assert suspicion.success() == ["one", "two"]
    assert suspicion.success() == []
    assert suspicion.refused("three", "c", only_one=False) is Verdict.wait, "the row begins anew"
    assert suspicion.times("one") == 0


def test_an_event_that_is_no_longer_at_hand_is_no_culprit() -> None:
    suspicion = Suspicion()
    suspicion.refused("one", "a", only_one=False)
    suspicion.forget("one")
    suspicion.forget("never seen")
    assert suspicion.success() == []


def test_half_of_the_last_hundred_dead_letters_pause() -> None:
    suspicion = Suspicion()
    for _ in range(LAST - TOO_MANY_BAD):
        assert suspicion.ended(bad=False) is Verdict.wait
    verdicts = [suspicion.ended(bad=True) for _ in range(TOO_MANY_BAD)]
    assert verdicts.index(Verdict.pause) == TOO_MANY_BAD - 1


def test_fewer_than_half_never_pause() -> None:
    suspicion = Suspicion()
    assert {suspicion.ended(bad=n % 100 < TOO_MANY_BAD - 1) for n in range(1000)} == {Verdict.wait}


def test_a_new_judgement_begins_after_a_human_resumed() -> None:
    suspicion = Suspicion()
    for n in range(LAST):
        suspicion.ended(bad=True)
        suspicion.refused(n, "a", only_one=False)
    suspicion.clear()
    assert suspicion.ended(bad=True) is Verdict.wait
    assert suspicion.refused(0, "b", only_one=True) is Verdict.wait
