"""What a user can set about forwarding to Segment's tracking API."""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

from milonga.destinations.http import address_problem

US: Final = "https://api.segment.io/v1"
EU: Final = "https://events.eu1.segmentapis.com/v1"

_PRINTABLE: Final = re.compile(r"[!-9;-~]*")
_INSTANCE: Final = re.compile(r"[0-9A-Za-z._-]{0,64}")


class Settings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """docs/segment.md, "Settings"."""

    write_key: Annotated[
        str,
        Meta(
            title="Write key",
            description="Of the source there that gets the events.",
            extra={"secret": True, "required": True},
        ),
    ] = ""
    endpoint: Annotated[
        str,
        Meta(
            title="Endpoint",
            description=f"Address of the tracking API: {US}, of Segment in the EU {EU}, of a Milonga its own address. "
            "Without a path, /v1 is added.",
            extra={"address": True},
        ),
    ] = US
    forward_all: Annotated[
        bool,
        Meta(
            title="Forward everything",
            description="Also forwards calls whose integrations say All: false, because those they name may be behind "
            "the receiver. Segment.io: false still holds one back.",
        ),
    ] = False
    instance: Annotated[
        str,
        Meta(
            title="Instance",
            description="The mark that this Milonga leaves on what it forwards, by which it knows its own. Made when "
            "the first destination of this kind is added; leave it as it is.",
            extra={"advanced": True, "generated": True},
        ),
    ] = ""

    def __post_init__(self) -> None:
        if problem := address_problem(self.endpoint):
            raise ValueError(f"endpoint: {problem}.")
        if not self.endpoint:
            raise ValueError(f"endpoint: Write an address, such as {US}.")
        if not _PRINTABLE.fullmatch(self.write_key):
            raise ValueError("writeKey: A write key has no spaces, no colon, and nothing beyond ASCII.")
        if not _INSTANCE.fullmatch(self.instance):
            raise ValueError("instance: Write up to 64 letters and digits of ASCII, or the signs . _ -")
