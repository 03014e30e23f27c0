"""What a user can set about a webhook."""

import re
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from milonga.destinations.http import address_problem
from milonga.destinations.signing import key_of
from milonga.destinations.webhook.headers import problem_of, problem_of_all, read_headers

MOST_SECRETS: Final = 5

_AUTHORIZATION: Final = re.compile(r"[\x20-\x7e]*")
_ORDERING: Final = re.compile(
    r"account|user|accountAndUser|none|(?:properties|traits|context)(?:\.[^.\x00-\x20\x7f]{1,100}){1,10}"
)


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
    signing_secrets: Annotated[
        str,
        Meta(
            title="Signing secrets",
            description="Signs each request, so that your receiver can tell that it is us: whsec_ and 24 to 64 bytes "
            "in base64. While you change it, the new and the old one, separated by a space.",
            extra={"secret": True},
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
    headers: Annotated[
        dict[str, str],
        Meta(
            title="Headers",
            description='Sent with each request, as a JSON object such as {"X-Team": "growth"}. Everybody who sees '
            "the settings sees them.",
        ),
    ] = {}
    secret_headers: Annotated[
        str,
        Meta(
            title="Secret headers",
            description='The same for secrets, such as {"X-Api-Key": "..."}, in one line.',
            extra={"secret": True},
        ),
    ] = ""
    method: Annotated[
        Literal["POST", "PUT", "PATCH"],
        Meta(title="Method", description="Of each request. Your receiver must take the same one twice in any case."),
    ] = "POST"
    ordering: Annotated[
        str,
        Meta(
            title="Ordering",
            description="Which events must not overtake each other: those of one account (account), of one user of an "
            "account (user), of one user, and group calls of one account (accountAndUser), none at all (none), or of "
            "one account with the same value at a path (such as properties.order_id). What waits when this is changed "
            "stays in its old line: newer events may overtake it.",
        ),
    ] = "account"

    def __post_init__(self) -> None:
        if problem := address_problem(self.url):
            raise ValueError(f"url: {problem}.")
        if not _AUTHORIZATION.fullmatch(self.authorization):
            raise ValueError("authorization: A header holds printable ASCII characters only.")
        self._check_secrets()
        self._check_headers()
        if not _ORDERING.fullmatch(self.ordering):
            raise ValueError(
                "ordering: Write account, user, accountAndUser, none, or a path that begins with properties, traits "
                "or context, such as properties.order_id."
            )

    def _check_secrets(self) -> None:
        secrets = self.signing_secrets.split()
        if len(secrets) > MOST_SECRETS:
            raise ValueError(f"signingSecrets: There may be {MOST_SECRETS} at most.")
        for secret in secrets:
            try:
                key_of(secret)
            except ValueError as error:
                raise ValueError(
                    f'signingSecrets: {error}. Make one with: echo "whsec_$(openssl rand -base64 32)"'
                ) from None

    def _check_headers(self) -> None:
        if problem := problem_of(self.headers, secret=False):
            raise ValueError(f"headers: {problem}.")
        try:
            secret = read_headers(self.secret_headers)
        except ValueError as error:
            raise ValueError(f"secretHeaders: {error}.") from None
        if problem := problem_of(secret, secret=True):
            raise ValueError(f"secretHeaders: {problem}.")
        if problem := problem_of_all(self.headers, secret):
            raise ValueError(f"headers, secretHeaders: {problem}.")
