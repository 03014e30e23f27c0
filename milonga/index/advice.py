"""
What practice says about the modules and activities that were seen, in plain words. Pure.

Totango counts by these names: usage of a module over time, users per activity, health by both. So names are few, stay
the same, and mean something to whoever reads them. Sources: docs/totango.md, "Values" and "Module"; Segment's page on
Totango for how many.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from milonga.destinations.totango.module import DEFAULT
from milonga.destinations.totango.wire import MAX_ACTIVITY, MAX_MODULE
from milonga.index.catalogue import Named, Names

FEW_MODULES, MANY_MODULES = 5, 20  #: between them is what Segment's page on Totango advises
MANY_ACTIVITIES: Final = 100  #: ours: beyond it nobody reads the list; Segment advises to begin with 5 to 10
ENOUGH: Final = 200  #: events before which numbers say nothing
EXAMPLES: Final = 5

Kind: TypeAlias = Literal["modules", "activities"]


class Advice(Struct, frozen=True):
    """
    code   names the rule
    title  what was seen
    words  why it matters, and what to do
    names  examples, at most EXAMPLES
    count  of how many names it is true, if it is of names; 0 if it is of all together
    """

    code: str
    about: Kind
    title: str
    words: str
    names: list[str] = []
    count: int = 0


def advice(modules: Names, activities: Names) -> list[Advice]:
    """What matters most first; nothing where too little was seen."""
    seen = sum(one.n for one in modules.shown) + modules.others
    found = [*_like_ids("modules", modules), *_like_ids("activities", activities)]
    found += [*_nothing_said("modules", modules), *_nothing_said("activities", activities)]
    if seen >= ENOUGH:
        found += [*_number_of_modules(modules), *_default_module(modules, seen), *_number_of_activities(activities)]
    found += [*_too_long("modules", modules), *_too_long("activities", activities)]
    found += [*_twins("modules", modules), *_twins("activities", activities)]
    found += [*_spaces("modules", modules), *_spaces("activities", activities)]
    return found


# Single names

_ID: Final = re.compile(
    r"""
    [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}            # a UUID
    | [^\s@]+@[^\s@]+\.[a-z]{2,}                   # an e-mail address
    | (?<![0-9])[0-9]{4,}                          # a long number
    | \b(?=[0-9a-f]*[0-9][0-9a-f]*[a-f])[0-9a-f]{10,}\b  # hexadecimal
    | \b(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{18,}\b    # a token
    | https?://
    """,
    re.IGNORECASE | re.VERBOSE,
)
_YEAR: Final = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?![0-9])")
_NOTHING: Final = frozenset(
    {"undefined", "null", "none", "nan", "[object object]", "(not set)", "n/a", "test", "unknown"}
)


def looks_like_id(name: str) -> bool:
    """It has a part that is different for each user, order or page."""
    return _ID.search(_YEAR.sub(" ", name)) is not None


def says_nothing(name: str) -> bool:
    """What programs write where they have no name."""
    cores = {name, name.removeprefix("Viewed ").removesuffix(" Page")}
    return any(core.strip().casefold() in _NOTHING for core in cores)


def _like_ids(about: Kind, names: Names) -> Iterable[Advice]:
    yield from _of_names(
        "like_ids",
        about,
        names,
        looks_like_id,
        "look like ids",
        "looks like an id",
        "Each is counted by itself, so no figure over time comes of them. Give the kind of thing as the name, and what "
        "is different each time as a property."
        + (
            ""
            if about == "activities"
            else " If they come from page addresses (/acme/reports), send a category, or switch off Module from URL at "
            "the destination."
        ),
    )


def _nothing_said(about: Kind, names: Names) -> Iterable[Advice]:
    yield from _of_names(
        "says_nothing",
        about,
        names,
        says_nothing,
        "say nothing",
        "says nothing",
        "Programs write such words where a value is missing: look at what sends them.",
    )


def _too_long(about: Kind, names: Names) -> Iterable[Advice]:
    limit = MAX_ACTIVITY if about == "activities" else MAX_MODULE

    def is_long(name: str) -> bool:  # a module is cut before it is counted
        return len(name) > limit or (about == "modules" and len(name) == limit)

    yield from _of_names(
        "too_long",
        about,
        names,
        is_long,
        f"are longer than the {limit} characters that Totango takes",
        f"is longer than the {limit} characters that Totango takes",
        "They are cut there, so that two long names may become one.",
    )


def _spaces(about: Kind, names: Names) -> Iterable[Advice]:
    yield from _of_names(
        "spaces",
        about,
        names,
        lambda name: name != " ".join(name.split()),
        "begin or end with a space, or have several in a row",
        "begins or ends with a space, or has several in a row",
        "Totango tells them apart from the same name without, though nobody can see the difference.",
    )


def _of_names(
    code: str, about: Kind, names: Names, fits: Callable[[str], bool], what: str, what_one: str, words: str
) -> Iterable[Advice]:
    found = [one.text for one in names.shown if fits(one.text)]
    if found:
        yield Advice(code, about, _counted(len(found), about, what, what_one), words, found[:EXAMPLES], len(found))


def _twins(about: Kind, names: Names) -> Iterable[Advice]:
    by: dict[str, list[Named]] = {}
    for one in names.shown:
        by.setdefault(re.sub(r"[\s_-]+", " ", one.text).strip().casefold(), []).append(one)
    twins = [group for group in by.values() if len(group) > 1]
    if twins:
        examples = [one.text for group in twins for one in group][:EXAMPLES]
        count = sum(map(len, twins))
        words = "Totango counts each by itself. Agree on one spelling, and send that everywhere."
        title = f"{count:,} {about} differ only in capitals, spaces or hyphens"
        yield Advice("twins", about, title, words, examples, count)


# All together


def _number_of_modules(modules: Names) -> Iterable[Advice]:
    says = f"{FEW_MODULES} to {MANY_MODULES} modules, the main areas of the product, is what works in practice."
    if modules.count > MANY_MODULES:
        yield Advice(
            "many_modules",
            "modules",
            f"{modules.count:,} modules",
            f"{says} With more of them, none has enough usage to see a trend in. Take the larger area as the category "
            "of pages and tracks.",
        )
    elif modules.count < FEW_MODULES:
        yield Advice(
            "few_modules",
            "modules",
            "Only 1 module" if modules.count == 1 else f"Only {modules.count:,} modules",
            f"{says} With fewer, Totango cannot tell which part of the product an account uses. Send a category with "
            "pages and tracks.",
        )


def _default_module(modules: Names, seen: int) -> Iterable[Advice]:
    default = next((one.n for one in modules.shown if one.text == DEFAULT), 0)
    if default * 2 > seen:
        yield Advice(
            "default_module",
            "modules",
            f"{100 * default // seen} % of the activities are in {DEFAULT}",
            f"{DEFAULT} stands for activities that have neither a category nor a page address, such as those of "
            "servers. Send `category` in their properties.",
            [DEFAULT],
        )


def _number_of_activities(activities: Names) -> Iterable[Advice]:
    if activities.count > MANY_ACTIVITIES:
        yield Advice(
            "many_activities",
            "activities",
            f"{activities.count:,} activities",
            "A handful of important ones say more than a long list: begin with the 5 to 10 that show that somebody "
            "gets on with the product. What is not needed in Totango can be kept back by a filter of the destination.",
        )


def _counted(count: int, about: Kind, what: str, what_one: str) -> str:
    if count > 1:
        return f"{count:,} {about} {what}"
    return f"1 {'module' if about == 'modules' else 'activity'} {what_one}"
