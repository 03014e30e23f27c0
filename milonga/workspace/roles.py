"""What people and API tokens may do. Pure."""

from enum import StrEnum


class Role(StrEnum):
    """
    viewer         sees everything but secrets, changes nothing
    editor         and changes sources and destinations, resends, replays
    administrator  and decides about people, tokens and regulations
    """

    viewer = "viewer"
    editor = "editor"
    administrator = "administrator"

    def may(self, needed: "Role") -> bool:
        """Whether what needs `needed` is open to this one."""
        return _ORDER.index(self) >= _ORDER.index(needed)


_ORDER = (Role.viewer, Role.editor, Role.administrator)
