"""Totango's collection endpoint: its address, its parameters, its limits."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from milonga.destinations.contract import Form, Request
from milonga.destinations.totango.settings import Settings

# Characters (code points). Source: Totango help centre, article 360042488351.
MAX_ACCOUNT_ID: Final = 480  #: and parent ids
MAX_PRODUCT_ID: Final = 255
MAX_USER_ID: Final = 100
MAX_ACCOUNT_NAME: Final = 128
MAX_ACCOUNT_VALUE: Final = 512
MAX_USER_VALUE: Final = 255
MAX_ACTIVITY: Final = 190
MAX_MODULE: Final = 100
MAX_ATTRIBUTE_NAME: Final = 100

HOSTS: Final = {
    "": "sdr.totango.com",
    "us": "sdr.totango.com",
    "eu": "sdr-eu1.totango.com",
    "eu1": "sdr-eu1.totango.com",
}
"""Region to host. Source: Totango help centre, article 203639605."""

PATH: Final = "/pixel.gif/"
TOKEN: Final = "api-token"  # noqa: S105 - the name of the parameter
_SECRETS: Final = frozenset({TOKEN})


def request(part: str, settings: Settings, account: str, user: str | None, rest: Mapping[str, str]) -> Request:
    """
    One call of the endpoint. POST with a form, so that neither the length of a URL nor an access log matters.

    rest  all parameters but service, account, user and token
    """
    params = {"sdr_s": settings.service_id, "sdr_o": account}
    if user is not None:
        params["sdr_u"] = user
    params.update(rest)
    secrets: frozenset[str] = frozenset()
    if settings.sdr_token:
        params[TOKEN] = settings.sdr_token
        secrets = _SECRETS
    url = address(settings.endpoint, settings.region)
    return Request(part=part, method="POST", url=url, body=Form(params), secrets=secrets)


@lru_cache(maxsize=64)
def address(endpoint: str, region: str) -> str:
    """Where requests go."""
    if not endpoint:
        return f"https://{HOSTS[region]}{PATH}"
    parts = urlsplit(endpoint)
    if parts.path in ("", "/") and not parts.query:
        return f"{parts.scheme}://{parts.netloc}{PATH}"
    return endpoint
