"""The filters of templates, without a page."""

import pytest

from milonga.console.rendering import person


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("user:ada@example.com", "ada@example.com"),
        ("user:a:b", "a:b"),
        ("token:ci", "token ci"),
        ("cli", "command line"),
        ("settings", "the pipeline"),
        ("probe", "the pipeline"),
        ("workspace", "the pipeline"),
        ("somebody else", "somebody else"),
    ],
)
def test_whoever_did_something_is_named_as_people_name_them(by: str, said: str) -> None:
    assert person(by) == said
