"""All pages there are, as they are looked at by the tests of looks, of accessibility, and of hostile events."""

PAGES = {
    "overview": "/",
    "overview-14d": "/?range=14d",
    "users": "/users",
    "user": "/users/the-administrator",
    "tokens": "/tokens",
    "audit": "/audit",
    "you": "/you",
    "destinations": "/destinations",
    "destinations-new": "/destinations/new",
    "destinations-new-totango": "/destinations/new/totango",
    "destination": "/destinations/totango",
    "destination-paused": "/destinations/totango-emea",
    "destination-settings": "/destinations/totango/settings",
    "destination-settings-webhook": "/destinations/warehouse/settings",
    "destination-delivery": "/destinations/totango/delivery",
    "destination-filters": "/destinations/totango/filters",
    "destination-filter": "/destinations/totango/filters/edit/no-tests",
    "destination-filters-tried": "/destinations/totango/filters/tried",
    "destination-history": "/destinations/totango/history",
    "destination-remove": "/destinations/totango/remove",
    "events": "/events",
    "events-none": "/events?account=nobody",
    "event": "/events/0-2",
    "event-refused": "/events/0-91",
    "event-skipped": "/events/0-92?view=raw",
    "sources": "/sources",
    "source-new": "/sources/new",
    "source": "/sources/web",
    "source-setup": "/sources/ios-app/setup",
    "source-setup-heard": "/sources/web/setup?host=https://events.example.com",
    "source-live": "/sources/web/live",
    "source-live-none": "/sources/ios-app/live",
    "source-discarded": "/sources/web/discarded",
    "source-keys": "/sources/web/keys",
    "source-settings": "/sources/web/settings",
}
"""Name of the picture -> address, in the furnished workspace (tests/console/furnished.py). An administrator sees it."""

STRANGERS = {"login": "/login"}
"""The same of pages for those who are not logged in."""
