"""Write keys that senders put into events, for those who may not see them whole."""

import pytest

from milonga.facts.keys import without_keys

KEY = "a-key-of-a-server"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f'"{KEY}"', '"a-ke…"'),
        ("...a-key-of-a-serve…</pre>", "...a-ke…</pre>"),
        ("...a-key…", "...a-ke…"),
        ("a-ke… a-k… a… …", "a-ke… a-k… a… …"),  # no more than is shown anyway
        ("a-key-of another a-key-of", "a-key-of another a-key-of"),  # not cut
        ("a-key-off…", "a-key-off…"),  # another one
        ("&lt;b&gt;&amp;123-4567…", "&lt;b&gt;&amp;…"),
        ("&lt;b&gt;&amp;123-4567-8901", "&lt;b&gt;&amp;…"),  # still escaped
    ],
)
def test_a_key_is_found_whole_and_where_a_text_is_cut_in_it(text: str, shown: str) -> None:
    assert without_keys(text.encode(), [KEY, "<b>&123-4567-8901", "short"]).decode() == shown
