"""What a user can set about Totango. Form, command line and docs are made from these declarations."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from milonga.destinations.http import address_problem

COLLECTOR: Final = "https://tracker.totango.com/totango4.0.3.js"
"""Totango's own script for pages. Source: segmentio/analytics.js-integrations, integrations/totango."""


class Settings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    Keys, labels, types and defaults of the first five are those of Segment's Totango destination, so that settings
    can be carried over as they are. Source: docs/totango.md, "Settings".
    """

    service_id: Annotated[
        str,
        Meta(
            title="Service ID",
            description="Names your Totango service, such as SP-12345-01. "
            "Totango shows it under Settings, Developer Console.",
            extra={
                "required": True,
                "pattern_hint": r"^SP-\d+-\d+$",
                "hint": "A Service ID looks like SP-12345-01. Totango answers 200 to any other, too, and loses it.",
            },
        ),
    ] = ""
    region: Annotated[
        Literal["", "us", "eu1", "eu"],
        Meta(
            title="Region",
            description="Where your Totango service lives: us, or eu1 for Europe. Empty means us, eu means eu1. "
            "With the wrong region Totango loses the data without an error.",
        ),
    ] = ""
    disable_heartbeat: Annotated[
        bool,
        Meta(
            title="Disable the Totango Heartbeat",
            description="No activity once a minute while a page is in use. Pages obey from their next load on; what "
            "an older page still sends is skipped.",
        ),
    ] = False
    track_categorized_pages: Annotated[
        bool,
        Meta(
            title="Track Categorized Pages to Totango",
            description="A page call with a category becomes the activity 'Viewed (category) Page'.",
        ),
    ] = True
    track_named_pages: Annotated[
        bool,
        Meta(
            title="Track Named Pages to Totango",
            description="A page call with a name becomes the activity 'Viewed (category) (name) Page'.",
        ),
    ] = True
    connection_mode: Annotated[
        Literal["cloud", "device"],
        Meta(
            title="Connection mode",
            description="Who sends what a browser does: cloud, Milonga; device, the page itself with Totango's own "
            "script. What comes from servers and phones is sent by Milonga in either.",
        ),
    ] = "cloud"
    sdr_token: Annotated[
        str,
        Meta(
            title="SDR Token",
            description="Only if your service demands one (Totango: Settings, SDR Tokens).",
            extra={"secret": True},
        ),
    ] = ""
    default_plan: Annotated[
        str,
        Meta(
            title="Default Plan",
            description="Status of an account whose group call names neither plan nor Status. Mind that such a call "
            "also resets a paying account to it; empty sends no Status then.",
        ),
    ] = "Free"
    default_module: Annotated[
        str,
        Meta(
            title="Default Module",
            description="Module of an activity that has no category and no page address.",
        ),
    ] = "Application"
    module_from_url: Annotated[
        bool,
        Meta(
            title="Module from URL",
            description="Without a category, the first part of the page's path is the module. Switch it off if "
            "that part is a tenant, a language or an id.",
        ),
    ] = True
    endpoint: Annotated[
        str,
        Meta(
            title="Endpoint",
            description="Sends to this address in place of the region's, for tests. Without a path, "
            "/pixel.gif/ is added.",
            extra={"advanced": True, "address": True},
        ),
    ] = ""
    collector: Annotated[
        str,
        Meta(
            title="Collector",
            description="Address of Totango's own script, which pages load in connection mode device.",
            extra={"advanced": True, "address": True, "public": True},
        ),
    ] = COLLECTOR

    def __post_init__(self) -> None:
        for name, address in (("endpoint", self.endpoint), ("collector", self.collector)):
            if problem := address_problem(address):
                raise ValueError(f"{name}: {problem}.")
