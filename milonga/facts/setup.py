"""What a site owner or a team pastes so that Segment's SDKs send here. Pure, but for the snippet, which is a file."""

import re
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from milonga.collector.cdn.assets import snippet_template
from milonga.workspace.errors import UserError

_HOST: Final = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)/?"
)
_IN_AN_ADDRESS: Final = re.compile(r"[A-Za-z0-9._~-]+")


class Address(Struct, frozen=True):
    """
    Under which senders reach this Milonga.

    host  with its port, if it is not the scheme's own
    """

    host: str
    secure: bool

    @property
    def scheme(self) -> str:
        return "https" if self.secure else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"


def address_of(typed: str) -> Address:
    """https unless it says otherwise. UserError if it is no address of a host."""
    found = _HOST.fullmatch(typed.strip())
    if found is None:
        raise UserError(
            f"{typed[:200]!r} is no address that senders could be given. Write it like https://events.example.com, "
            "with a port if it has one and without a path: the SDKs add theirs."
        )
    return Address(found["host"].lower(), found["scheme"] != "http")


def check_key(write_key: str) -> None:
    """UserError if it cannot stand in an address and within quotes, as every SDK's set-up wants it."""
    if not _IN_AN_ADDRESS.fullmatch(write_key):
        raise UserError(
            "This write key has signs that cannot stand in the address of a script or a phone's settings. Make one "
            "that can (milonga sources keys add NAME), or choose among several with --write-key."
        )


def snippet(write_key: str, at: Address) -> str:
    """
    Segment's own, as HTML. Its scheme is fixed to https; for an address without TLS that is replaced.

    milonga.collector.cdn.assets.NotBuilt if the browser library is not built
    """
    text = snippet_template().replace("https://__MILONGA_HOST__", at.url).replace("__WRITE_KEY__", write_key)
    return f"<script>\n{text.strip()}\n</script>"


def npm(write_key: str, at: Address) -> str:
    return f"""\
import {{ AnalyticsBrowser }} from "@segment/analytics-next";

export const analytics = AnalyticsBrowser.load(
  {{ writeKey: "{write_key}", cdnURL: "{at.url}" }},
  {{ integrations: {{ "Segment.io": {{ apiHost: "{at.host}/v1", protocol: "{at.scheme}" }} }} }},
);"""


ACCOUNT: Final = (
    'Every call but group needs context.groupId, its account: in Node context: { groupId: "acme" }, '
    'in Python context={"groupId": "acme"}. '
    "The console's page of the source has the same for each SDK."
)
"""What no set-up does by itself, and without which Totango gets nothing. One line."""


PLUGIN: Final = """\
class Account extends Plugin {                 // React Native; Kotlin, Swift, Flutter and C# have the like
  type = PluginType.enrichment;
  execute(event) {
    return { ...event, context: { ...event.context, groupId: "acme" } };
  }
}
client.add({ plugin: new Account() });"""
"""What names the account on a phone, where calls have no argument for it."""
Kind: TypeAlias = Literal["server", "phone", "other"]


class Lines(Struct, frozen=True):
    """
    sdk      by the name of its package, or what stands in for one
    text     what to write instead of what Segment's own documentation says
    tls      it speaks https only
    account  how a call names its account; "" where `text` does so, or where a plugin must (docs/compatibility.md)
    """

    sdk: str
    text: str
    tls: bool = False
    kind: Kind = "server"
    account: str = ""


def sdks(write_key: str, at: Address) -> tuple[Lines, ...]:
    """Of servers and phones, and what needs no SDK. Versions, and what of it was run: docs/compatibility.md."""
    key, url, host = write_key, at.url, at.host
    name, _, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "443")
    return (
        Lines(
            "Node: @segment/analytics-node",
            f'new Analytics({{ writeKey: "{key}", host: "{url}" }})',
            account='context: { groupId: "acme" }',
        ),
        Lines(
            "Python: segment-analytics-python",
            f'analytics.write_key = "{key}"; analytics.host = "{url}"',
            account='context={"groupId": "acme"}',
        ),
        Lines(
            "Go: analytics-go",
            f'analytics.NewWithConfig("{key}", analytics.Config{{Endpoint: "{url}"}})',
            account='Context: &analytics.Context{Extra: map[string]interface{}{"groupId": "acme"}}',
        ),
        Lines(
            "Java: analytics-java",
            f'Analytics.builder("{key}").endpoint("{url}").build()',
            account='.context(Map.of("groupId", "acme"))',
        ),
        Lines(
            ".NET: Analytics.NET",
            f'Analytics.Initialize("{key}", new Config().SetHost("{url}"))',
            account='new Options().SetContext(new Context { { "groupId", "acme" } })',
        ),
        Lines(
            "Ruby: analytics-ruby",
            f'Segment::Analytics.new(write_key: "{key}", host: "{name}", port: {port})',
            tls=True,
            account='context: { groupId: "acme" }',
        ),
        Lines(
            "PHP: analytics-php",
            f'Segment::init("{key}", ["host" => "{host}"])',
            tls=True,
            account='"context" => ["groupId" => "acme"]',
        ),
        Lines(
            "Kotlin: analytics-kotlin",
            f'Analytics("{key}", context) {{ apiHost = "{host}/v1"; cdnHost = "{host}/v1" }}',
            tls=True,
            kind="phone",
        ),
        Lines(
            "Swift: analytics-swift",
            f'Configuration(writeKey: "{key}").apiHost("{host}/v1").cdnHost("{host}/v1")',
            tls=True,
            kind="phone",
        ),
        Lines(
            "React Native: @segment/analytics-react-native",
            f'createClient({{ writeKey: "{key}", proxy: "{url}/v1", cdnProxy: "{url}/v1", '
            f"useSegmentEndpoints: true{'' if at.secure else ', allowInsecureProxy: true'} }})",
            kind="phone",
        ),
        Lines(
            "Flutter: analytics_flutter",
            f'createClient(Configuration("{key}", apiHost: "{host}/v1", cdnHost: "{host}/v1"))',
            tls=True,
            kind="phone",
        ),
        Lines(
            "C#: Analytics-CSharp",
            f'new Analytics(new Configuration("{key}", apiHost: "{host}/v1", cdnHost: "{host}/v1"))',
            tls=True,
            kind="phone",
        ),
        Lines(
            "Pixel, such as in an e-mail",
            f'<img src="{url}/v1/pixel/track?writeKey={key}&amp;userId=USER&amp;event=Email%20opened'
            '&amp;context.groupId=ACCOUNT" width="1" height="1" alt="">',
            kind="other",
        ),
        Lines("curl, to try it", curl(key, at), kind="other"),
    )


def curl(write_key: str, at: Address) -> str:
    """One event from a terminal."""
    body = '{"userId": "ada", "event": "Tried it", "context": {"groupId": "acme"}}'
    return f"curl -u {write_key}: -H 'Content-Type: application/json' -d '{body}' {at.url}/v1/track"
