"""What browsers fetch, with a dice in it: pixels, preflights, the library, its chunks, settings."""

import base64
import json
import random
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import milonga.collector.cdn
from tests.fuzz import bodies, heads, tables, values
from tests.fuzz.draft import Draft
from tests.fuzz.templates import KEYS, TYPES, event, renew

ASSETS: Final = Path(milonga.collector.cdn.__file__).parent / "assets"

PATHS: Final = (
    "batch",
    "b",
    "import",
    "m",
    *TYPES,
    *(type_[0] for type_ in TYPES),
    *(f"pixel/{type_}" for type_ in TYPES),
)
ASKED: Final = (
    *(b"authorization", b"authorization,x-retry-count", b"content-type", b"", b"*", b"x-custom, a" * 100, b"a\tb"),
    *(b"\xff", b"authorization\x0bX-Injected: 1", b"," * 900, b"x" * 1100, b"X-A, authorization, X-A"),
)
ENCODED_DAMAGE: Final = (
    *(
        "",
        "=",
        "====",
        "!!!",
        "%",
        "%zz",
        "%00",
        "%ff%fe",
        "a b",
        "+/+/",
        "-_-_",
        "e30",
        "bnVsbA",
        "W10",
        "IiI",
        "e30=e30=",
    ),
    *("%C3%28", "%u0041", "e30#", "e30;e30", "\u00e9", "A" * 5001, "data=e30", "%65%33%30", "e3%0A0"),
)
DOTTED: Final = (
    *(
        "a.b.c",
        "properties.items[0]",
        "properties.items.0",
        "context..page",
        ".",
        "..",
        "a.",
        ".a",
        "__proto__.x",
        "a" * 300,
    ),
    *(
        "userId.x",
        "type",
        "event.x.y",
        "context.groupId",
        "context.ip",
        "properties",
        "traits.address.city",
        "a%2Eb",
        "%",
        "",
    ),
    *(
        ".".join("d" * 70),
        ".".join("e" * 3000),
        "writeKey.x",
        "messageId",
        "timestamp",
        "sentAt",
        "batch",
        "batch.0.type",
    ),
)


def fetch(dice: random.Random) -> Draft:
    """Whole; most of the time with something wrong."""
    return dice.choice((pixel, pixel, preflight, script, settings, chunk))(dice)


def pixel(dice: random.Random) -> Draft:
    """The event itself in the query: as base64, or by dotted names. Source: docs/tracking-api.md, "Pixels"."""
    type_ = dice.choice(TYPES)
    own = _short(type_, dice)
    query = _as_data(own, dice) if dice.random() < 0.5 else _dotted(own, dice)
    draft = _get(f"/v1/pixel/{type_}".encode() + (b"?" + query if query else b""), "pixel")
    draft.done.append("pixel")
    if dice.random() < 0.3:
        heads.origin(draft, dice)
    return draft


def _short(type_: str, dice: random.Random) -> Any:
    own: Any = event(type_, "p")
    renew(own, dice)
    own["writeKey"] = dice.choice(KEYS)
    for _ in range(dice.choice((0, 0, 1, 2, 3))):
        own = dice.choice(values.CHANGES)(own, dice)
    return own


def _as_data(own: Any, dice: random.Random) -> bytes:
    """Long ones come as 431."""
    text = values.text_of(own, dice).encode("utf-8", "surrogatepass")
    if dice.random() < 0.2:
        text = dice.choice(bodies.BYTES)(text, dice)
    encoded = base64.b64encode(text) if dice.random() < 0.3 else base64.urlsafe_b64encode(text)
    if dice.random() < 0.7:
        encoded = encoded.rstrip(b"=")
    if dice.random() < 0.5:
        encoded = quote(encoded).encode()
    if dice.random() < 0.15:
        encoded = dice.choice(ENCODED_DAMAGE).encode()
    query = b"data=" + encoded
    if dice.random() < 0.2:
        query += dice.choice(
            (b"&", b"&data=e30", b"&writeKey=x", b"&data", b"&userId=u&event=e", b"&&&=&=", b"#", b"?")
        )
    return query


def _dotted(own: Any, dice: random.Random) -> bytes:
    pairs: list[tuple[str, str]] = []
    _flatten("", own, pairs)
    for _ in range(dice.choice((0, 0, 1, 3, 50))):
        pairs.insert(dice.randrange(len(pairs) + 1), (dice.choice(DOTTED), str(dice.choice(values.WORDS))[:200]))
    if dice.random() < 0.1:
        pairs = [(f"k{number}", "v") for number in range(1500)]
    query = urlencode(pairs, encoding="utf-8", errors="surrogatepass")
    if dice.random() < 0.2:
        query = query.replace("=", dice.choice(("", "==", "%3D", "=%", "=%zz")), dice.choice((1, -1)))
    return query.encode()


def _flatten(name: str, value: Any, pairs: list[tuple[str, str]]) -> None:
    if isinstance(value, dict) and len(pairs) < 2000:
        for key, item in value.items():
            _flatten(f"{name}.{key}" if name else str(key), item, pairs)
    else:
        pairs.append((name, value if isinstance(value, str) else json.dumps(value)))


def preflight(dice: random.Random) -> Draft:
    draft = Draft(
        b"OPTIONS",
        f"/v1/{dice.choice(PATHS)}".encode(),
        [(b"Host", b"events.example.com")],
        b"",
        "preflight",
        framing="none",
    )
    draft.put(b"Access-Control-Request-Method", dice.choice((b"POST", b"POST", b"GET", b"DELETE", b"", b"\xff")))
    if dice.random() < 0.9:
        draft.put(b"Access-Control-Request-Headers", dice.choice(ASKED))
    heads.origin(draft, dice)
    draft.done.append("preflight")
    return draft


def _key(dice: random.Random) -> bytes:
    """Hostile ones mostly, as they may be filled into scripts."""
    if dice.random() < 0.4:
        return dice.choice(KEYS).encode()
    word = dice.choice(
        (*values.WORDS, "'-alert(7)-'", '"+alert(7)+"', "`${alert(7)}`", "</script><script>alert(7)//", "\\")
    )
    return quote(word[:3000], safe=dice.choice(("", "'\"<>/\\", ":/%")), errors="surrogatepass").encode()


def script(dice: random.Random) -> Draft:
    platform = dice.choice((b"", b"", b"platform/"))
    draft = _get(b"/analytics.js/v1/%b/%banalytics.min.js" % (_key(dice), platform), "script")
    return _with_fetch_headers(draft, dice)


def settings(dice: random.Random) -> Draft:
    draft = _get(dice.choice((b"/v1", b"")) + b"/projects/%b/settings" % _key(dice), "settings")
    return _with_fetch_headers(draft, dice)


def chunk(dice: random.Random) -> Draft:
    name = dice.choice(_chunks())
    if dice.random() < 0.3:
        name = dice.choice(
            (b"../" + name, name + b"%00", name[:-3], b"%2e%2e%2fassets", name.upper(), b"", b"x" * 3000)
        )
    folder = dice.choice((b"/analytics-next/bundles/", b"/analytics-next/", b"/analytics-next/bundles/../"))
    return _with_fetch_headers(_get(folder + name, "chunk"), dice)


@cache
def _chunks() -> tuple[bytes, ...]:
    """All there are, and some names that lead elsewhere."""
    names = [path.name.encode() for path in sorted((ASSETS / "chunks").glob("*.js"))]
    return (*names, b"milonga.js", b"milonga.0123456789abcdef.js", b"manifest.json", b"analytics.min.js", b"ready-1")


def _with_fetch_headers(draft: Draft, dice: random.Random) -> Draft:
    draft.done.append(draft.aim)
    if dice.random() < 0.6:
        draft.put(
            b"Accept-Encoding", dice.choice((b"gzip, deflate, br, zstd", b"gzip;q=0", b"identity", b"*", b"gzip;q=,"))
        )
    if dice.random() < 0.3:
        heads.host(draft, dice)
    if dice.random() < 0.2:
        draft.put(b"X-Forwarded-For", b"203.0.113.9")
        draft.put(b"X-Forwarded-Host", dice.choice(tables.HOSTS))
        draft.put(b"X-Forwarded-Proto", dice.choice((b"https", b"http", b"javascript", b"")))
    if dice.random() < 0.2:
        draft.put(b"Origin", dice.choice(tables.ORIGINS))
    if dice.random() < 0.2:
        draft.put(b"If-None-Match", dice.choice((b"*", b'"x"', b"W/", b'W/"a", "b"', b'"' * 2000, b"," * 9000)))
    return draft


def _get(target: bytes, aim: Any) -> Draft:
    return Draft(b"GET", target, [(b"Host", b"events.example.com")], b"", aim, framing="none")
