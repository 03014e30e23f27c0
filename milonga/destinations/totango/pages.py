"""Page calls as activities. See docs/totango.md, "Pages"."""

from collections.abc import Iterator
from typing import Final

from milonga.destinations.contract import Skip
from milonga.destinations.totango.module import page_category
from milonga.destinations.totango.settings import Settings
from milonga.spec.event import Page


def page_activities(page: Page, settings: Settings) -> list[tuple[str, str]] | Skip:
    """
    (part, activity): the categorized one first, then the named one, as the settings allow.
    Source: segmentio/integration, src/statics.js; the browser integration does the same.
    """
    category = page_category(page)
    activities = list(_activities(category, page.name, settings))
    if activities:
        return activities
    return _NAMELESS if category is None and page.name is None else _SWITCHED_OFF


def _activities(category: str | None, name: str | None, settings: Settings) -> Iterator[tuple[str, str]]:
    if category is not None and settings.track_categorized_pages:
        yield "page-category", f"Viewed {category} Page"
    if name is not None and settings.track_named_pages:
        yield "page-name", f"Viewed {name} Page" if category is None else f"Viewed {category} {name} Page"


_NAMELESS: Final = Skip(
    "no_page_event",
    "Only a page call with a name or a category becomes an activity: call page('Name') or page('Category', 'Name').",
)
_SWITCHED_OFF: Final = Skip(
    "no_page_event",
    "The settings send no activity for such a page: switch on Track Named Pages or Track Categorized Pages.",
)
