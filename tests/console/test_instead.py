"""Sentences that name a command lead to the page, in the console."""

import pytest

from milonga.collector.refusals import HELP
from milonga.console.instead import page_for
from milonga.console.rendering import coded
from milonga.filters.chain import KEPT_BACK
from milonga.outcomes.explain import DEAD_KEPT
from milonga.outcomes.words import OF_SETTINGS, PIPELINE, REFUSED_ALL, named


@pytest.mark.parametrize(
    ("command", "link"),
    [
        ("milonga destinations set crm ...", ("the settings form of crm", "/destinations/crm/settings")),
        ("milonga destinations set NAME --set url=https://...", ("its settings form", "/destinations")),
        ("milonga destinations filters crm", ("the filters page of crm", "/destinations/crm/filters")),
        ("milonga destinations filters crm remove no-tests", ("removing it there", "/destinations/crm/filters")),
        ("milonga destinations filters crm test", ("the preview", "/preview")),
        ("milonga destinations resume crm", ("resuming crm", "/destinations/crm")),
        ("milonga sources keys list NAME", ("its write keys", "/sources")),
        ("milonga sources keys list web", ("the write keys of web", "/sources/web/keys")),
        ("milonga sources set web origins=...", ("the settings form of web", "/sources/web/settings")),
        ("milonga explain 'a b'", ("event a b", "/events?message=a+b")),
        ("milonga explain -- -x", ("event -x", "/events?message=-x")),
        ("milonga dead resend", ("resend", "/problems/dead")),
        ("milonga dead discard m-1", ("discard it", "/problems/dead?messageId=m-1")),
        ("milonga replays resume 7", ("resume it", "/replays/7")),
        ("milonga replay", ("a replay", "/replays/new")),
        ("milonga explain 'not closed", ("event 'not closed", "/events?message=%27not+closed")),
        ("milonga serve --allow-private-destinations", None),
        ("context.groupId", None),
        (
            "milonga destinations set a/b?c#d x",
            ("the settings form of a/b?c#d", "/destinations/a%2Fb%3Fc%23d/settings"),
        ),
    ],
)
def test_a_command_has_the_page_that_does_the_same(command: str, link: tuple[str, str] | None) -> None:
    assert page_for(command) == link


@pytest.mark.parametrize(
    "text",
    [
        *(words for pair in PIPELINE.values() for words in pair),
        *(words.format(name="crm") for words in (*REFUSED_ALL.values(), OF_SETTINGS)),
        DEAD_KEPT.format(id="m-1"),
        *HELP.values(),
        named(f"{KEPT_BACK}: `milonga destinations filters NAME` lists its filters", "crm"),
    ],
)
def test_no_sentence_of_a_page_sends_anybody_to_a_terminal_for_what_a_page_does(text: str) -> None:
    assert "<code>milonga" not in coded(text).replace("<code>milonga serve", "")


def test_the_first_of_a_sentence_has_a_capital_and_all_is_escaped() -> None:
    assert coded("It waits. `milonga destinations resume crm` lets it go on.") == (
        'It waits. <a href="/destinations/crm">Resuming crm</a> lets it go on.'
    )
    assert coded("Mend it with `milonga destinations set crm ...`: it goes on.") == (
        'Mend it with <a href="/destinations/crm/settings">the settings form of crm</a>: it goes on.'
    )
    assert "<b>" not in coded('`milonga explain <b>"x`')
    assert '"x' not in coded('`milonga explain <b>"x`')
