"""All pages there are, as they are looked at by the tests of looks, of accessibility, and of hostile events."""

PAGES = {
    "overview": "/",
    "overview-14d": "/?range=14d",
    "users": "/users",
    "user": "/users/the-administrator",
    "tokens": "/tokens",
    "audit": "/audit",
    "you": "/you",
}
"""Name of the picture -> address, in the furnished workspace (tests/console/furnished.py). An administrator sees it."""

STRANGERS = {"login": "/login"}
"""The same of pages for those who are not logged in."""
