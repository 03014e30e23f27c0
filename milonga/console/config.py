"""What the console is told by `milonga serve`."""

from pathlib import Path

from msgspec import Struct


class Config(Struct, frozen=True, kw_only=True):
    """
    data           the data directory
    events_url     where events are taken, for people to copy
    names          that it answers to, lower case, beside addresses and localhost
    secure         it is reached by https: cookies go nowhere else
    allow_private  destinations may be on private addresses
    """

    data: Path
    events_url: str
    names: tuple[str, ...] = ()
    secure: bool = False
    allow_private: bool = False
