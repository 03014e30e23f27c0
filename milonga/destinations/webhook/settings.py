"""What a user can set about a webhook."""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

from milonga.destinations.http import address_problem

_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]*")


class Settings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """docs/webhook.md, "Settings"."""

    url: Annotated[
        str,
        Meta(
            title="URL",
            description="Where each event is sent, beginning with https:// (or http://).",
            extra={"required": True, "address": True},
        ),
    ] = ""
    authorization: Annotated[
        str,
        Meta(
            title="Authorization",
            description="Sent as the Authorization header, such as 'Bearer ...', so that your receiver knows us.",
            extra={"secret": True},
        ),
    ] = ""

    def __post_init__(self) -> None:
        if problem := address_problem(self.url):
            raise ValueError(f"url: {problem}.")
        if not _HEADER_VALUE.fullmatch(self.authorization):
            raise ValueError("authorization: A header holds printable ASCII characters only.")
