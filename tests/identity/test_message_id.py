"""Message ids: the sender's, shortened ones, and ours."""

from milonga.identity.message_id import message_id, new_message_id
from milonga.spec.limits import MAX_MESSAGE_ID


def never() -> str:
    raise AssertionError


def test_an_id_within_the_limit_is_kept_as_it_is() -> None:
    for sent in ("x", " ", "é" * MAX_MESSAGE_ID):
        assert message_id(sent, never) == (sent, True)


def test_a_longer_id_is_shortened_to_the_same_each_time_and_to_another_for_another() -> None:
    long = "ajs-next-1763773397135-" + "é" * 500
    short, own = message_id(long, never)
    assert own
    assert len(short) == MAX_MESSAGE_ID
    assert short.startswith("ajs-next-1763773397135-é")
    assert message_id(long, never) == (short, True)
    assert message_id(long + "e", never)[0] != short


def test_an_event_without_id_gets_one_that_is_not_its_own() -> None:
    assert message_id(None, lambda: "ours") == ("ours", False)


def test_our_ids_differ() -> None:
    ids = {new_message_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id_) <= MAX_MESSAGE_ID for id_ in ids)
