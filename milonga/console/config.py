"""What the console is told by `milonga serve`."""

from pathlib import Path

from msgspec import Struct


class Config(Struct, frozen=True, kw_only=True):
    """
    data           the data directory
    events_url     where events are taken, for people to copy
    names          that it answers to, lower case, beside addresses and localhost
    secure         it is reached by https: cookies go nowhere else
    url            by which people reach it; "" if that is as each request says
    allow_private  destinations may be on private addresses
    trusted_proxies  whose word counts about where somebody logs in from
    """

    data: Path
    events_url: str
    names: tuple[str, ...] = ()
    secure: bool = False
    url: str = ""
    allow_private: bool = False
    trusted_proxies: tuple[str, ...] = ()
