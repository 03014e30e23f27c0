"""The navigation of all pages."""

from typing import Final

from milonga.workspace.roles import Role

PLACES: Final = (
    ("", (("Overview", "/", Role.viewer), ("Problems", "/problems", Role.viewer))),
    ("Pipeline", (("Sources", "/sources", Role.viewer), ("Destinations", "/destinations", Role.viewer))),
    (
        "Look into",
        (
            ("Events", "/events", Role.viewer),
            ("Accounts", "/accounts", Role.viewer),
            ("Catalogue", "/catalogue", Role.viewer),
            ("Preview", "/preview", Role.viewer),
            ("Replays", "/replays", Role.viewer),
        ),
    ),
    (
        "Administration",
        (
            ("Users", "/users", Role.administrator),
            ("API tokens", "/tokens", Role.administrator),
            ("Audit log", "/audit", Role.administrator),
            ("Regulations", "/regulations", Role.viewer),
        ),
    ),
)
"""Of the navigation: (group, (name, address, least role))."""
