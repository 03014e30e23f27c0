"""What is told of a text that was kept up to some length."""

import pytest

from milonga.spec.discards import excerpt_told
from milonga.spec.limits import MAX_EXCERPT
from milonga.spec.text import beginning


def test_a_text_that_was_cut_ends_so_and_a_divided_character_is_left_out() -> None:
    assert beginning("Añ".encode(), is_cut=False) == "Añ"
    assert beginning("Añ".encode()[:2], is_cut=True) == "A…"


@pytest.mark.parametrize(
    ("excerpt", "told"),
    [
        (b'{"type": "track"}', '{"type": "track"}'),
        (b"hello", "hello"),
        (b"", ""),
        (b'{"type": "tra', '{"type": "tra…'),  # cut, and shorter since
        (b"x" * MAX_EXCERPT, "x" * MAX_EXCERPT + "…"),
    ],
)
def test_an_excerpt_says_where_it_goes_on(excerpt: bytes, told: str) -> None:
    assert excerpt_told(excerpt) == told


def test_of_an_excerpt_fewer_characters_can_be_told() -> None:
    assert excerpt_told(b'{"type": "track"}', 8) == '{"type":…'
