"""Changes to request lines and headers, and to what they say of the body's length."""

import base64
import random
from collections.abc import Callable
from typing import Final, TypeAlias

from tests.fuzz.draft import Draft
from tests.fuzz.templates import KEYS, LISTED_ORIGIN
from tests.fuzz.values import WORDS

Change: TypeAlias = Callable[[Draft, random.Random], None]

METHODS: Final = (b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"POST", b"PROPFIND")
STRANGE_METHODS: Final = (
    *(
        b"CONNECT",
        b"CONNECT",
        b"QUERY",
        b"post",
        b"Post",
        b"BREW",
        b"POST\0",
        b"P" * 9000,
        b"\xff",
        b"",
        b"GET POST",
    ),
    *(b"M-SEARCH", b"SUBSCRIBE", b"POST\t", b"(", b"HEAD\xff"),
)
VERSIONS: Final = (
    *(
        b"HTTP/1.0",
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"HTTP/11",
        b"http/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1",
    ),
    *(b"ICE/1.0", b"RTSP/1.0", b"", b"HTTPS/1.1", b"HTTP/1.1\0"),
)
STEPS: Final = (
    *(b"v1", b"track", b"batch", b"b", b"t", b"import", b"m", b"pixel", b"projects", b"settings", b"analytics.js"),
    *(b"analytics.min.js", b"platform", b"analytics-next", b"bundles", b"..", b".", b"%2e%2e", b"%2f", b"%5c", b"%00"),
    *(
        b"%",
        b"%zz",
        b"%c0%af",
        b"%ff",
        b"%0d%0aX-Injected:%201",
        b"%E2%80%A8",
        b"~",
        b"*",
        b"x" * 200,
        b"\xff",
        b";a=b",
    ),
    *(b"WK_TEST_abc123", b"WK_UNKNOWN", b"%3Cscript%3Ealert(7)%3C/script%3E", b"'-alert(7)-'", b"%22%3E", b"healthz"),
    *(b"%u0041", b"%25%36%31", b"etc", b"passwd", b"milonga.js", b"manifest.json", b"__WRITE_KEY__", b""),
)
TARGETS: Final = (
    *(
        b"*",
        b"",
        b"/",
        b"//",
        b"/" * 300,
        b"http://",
        b"http://[/v1/t",
        b"http://x:99999/v1/t",
        b"https://e.example/v1/t",
    ),
    *(
        b"events.example.com:443",
        b"javascript:alert(7)",
        b"/v1/t#a",
        b"?",
        b"/?" + b"a=b&" * 900,
        b"/v1/t\\..",
        b"v1/t",
    ),
    *(
        b"/\xc3\xa9",
        b"/v1/t\x00",
        b"/v1/t\x7f",
        b"/v1/t\t",
        b"http://a@b/v1/t",
        b"ftp://x/v1/t",
        b"/%" * 500,
        b"/" + b"a" * 17_000,
    ),
)
LINES: Final = (
    *((b"Content-Type", b"text/plain"), (b"Content-Type", b"application/json; charset=utf-16")),
    *((b"Content-Type", b"application/json;charset=\xff"), (b"Content-Type", b"multipart/form-data; boundary=x")),
    *(
        (b"Content-Type", b""),
        (b"Content-Type", b"x" * 4000),
        (b"X-Retry-Count", b"-1"),
        (b"X-Retry-Count", b"9" * 400),
    ),
    *((b"Range", b"bytes=0-0,-1"), (b"If-None-Match", b"*"), (b"If-None-Match", b'W/"a", "b'), (b"If-Match", b'"x"')),
    *((b"If-Modified-Since", b"never"), (b"Cookie", b"a=b; " * 500), (b"X-HTTP-Method-Override", b"DELETE")),
    *(
        (b"Accept-Encoding", b"br;q=x, gzip;q=0, *;q=2"),
        (b"Accept-Encoding", b"gzip, br, zstd"),
        (b"Accept-Encoding", b""),
    ),
    *((b"Accept-Encoding", b"identity;q=0"), (b"Accept-Encoding", b"," * 3000), (b"Accept-Encoding", b"GZIP;Q=0.000")),
    *(
        (b"Trailer", b"Content-Length"),
        (b"Keep-Alive", b"timeout=-1, max=0"),
        (b"Date", b"yesterday"),
        (b"Via", b"\xff"),
    ),
    *((b"X-Forwarded-For", b"203.0.113.9"), (b"X-Forwarded-For", b"a, b,, 1.2.3.4:5, [::1]:6, unknown, _x")),
    *(
        (b"X-Forwarded-For", b"1.1.1.1, " * 1000),
        (b"X-Forwarded-For", b"::ffff:127.0.0.1%eth0"),
        (b"X-Forwarded-For", b"\xff"),
    ),
    *((b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Proto", b"https, javascript"), (b"X-Forwarded-Proto", b"\t")),
    *(
        (b"X-Forwarded-Host", b"evil.example"),
        (b"X-Forwarded-Host", b'"><script>alert(7)</script>'),
        (b"X-Forwarded-Port", b"x"),
    ),
    *(
        (b"Forwarded", b'for="[2001:db8::1]:4711";proto=https;host=evil.example'),
        (b"Forwarded", b'for="a;b=\\'),
        (b"X-Real-IP", b"::"),
    ),
    *((b"Access-Control-Request-Method", b"POST"), (b"Access-Control-Request-Headers", b"authorization,x-retry-count")),
    *(
        (b"Access-Control-Request-Headers", b"x" * 3000),
        (b"Access-Control-Request-Private-Network", b"true"),
        (b"Referer", b"\xff\xfe"),
    ),
    *(
        (b"User-Agent", b"</script>" * 100),
        (b"X-Custom", b"\x80\xff"),
        (b"X-" + b"n" * 5000, b"1"),
        (b"a!#$%&'*+-.^_`|~9", b"1"),
    ),
)
LINES_THAT_BREAK: Final = (
    *(
        b"X-Nul: a\0b\r\n",
        b"X-Fold: a\r\n b\r\n",
        b"X-Fold: a\r\n\tb\r\n",
        b" X-First: 1\r\n",
        b"No colon\r\n",
        b": no name\r\n",
    ),
    *(
        b"X-Space : 1\r\n",
        b"X Y: 1\r\n",
        b"X-Cr: a\rb\r\n",
        b"X-Lf: a\nX-Other: 1\r\n",
        b"X-\xff: 1\r\n",
        b"X-\0: 1\r\n",
    ),
    *(
        b"X-Bell: \x07\r\n",
        b"X-Del: \x7f\r\n",
        b"\t\r\n",
        b"\0\r\n",
        b"X:\r\n\r\n",
        b"(): 1\r\n",
        b"GET / HTTP/1.1\r\n",
    ),
)
ORIGINS: Final = (
    *(
        LISTED_ORIGIN.encode(),
        b"https://other.example",
        b"null",
        b"",
        b"*",
        b"http://[::1]:9",
        b"https://shop.example.",
    ),
    *(
        b"https://shop.example:443",
        b"https://shop.example/",
        b"HTTPS://SHOP.EXAMPLE",
        b"javascript:alert(7)",
        b"https://a b",
    ),
    *(
        b"file://",
        b"https://shop.example.evil.example",
        b"https://\xff",
        b"x" * 4000,
        b"a, b",
        b"chrome-extension://abc",
    ),
    *(b"https://shop.example\x0bX-Injected: 1", b"capacitor://localhost", b"https://e%0d%0aX-Injected:%201"),
)
HOSTS: Final = (
    *(
        b"events.example.com",
        b"EVENTS.example.com:443",
        b"",
        b" ",
        b"a b",
        b"a, b",
        b"[::1]",
        b"[::1]:8080",
        b"[::",
        b"x:y",
    ),
    *(
        b"127.0.0.1:99999",
        b"e.example:-1",
        b"e.example/path",
        b"user@e.example",
        b'"><script>alert(7)</script>',
        b"'-alert(7)-'",
    ),
    *(
        b"e.example\\",
        b"\xff",
        b"x" * 300,
        b"e.example?#",
        b"${7*7}",
        b"xn--e1afmkfd.example",
        b"e..example",
        b"-",
        b"%41",
        b"a:",
    ),
)
AUTHORIZATIONS: Final = (
    *(
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!",
        b"Basic \xff\xff",
        b"basic V0tfVEVTVF9hYmMxMjM=",
        b"BASIC V0tfVEVTVF9hYmMxMjM6eA==",
    ),
    *(
        b"Basic  V0tfVEVTVF9hYmMxMjM6",
        b"Basic V0tfVEVTVF9hYmMxMjM6 x",
        b"Basic OnBhc3M=",
        b"Basic Og==",
        b"Basic " + b"A" * 9000,
    ),
    *(
        b"Basic V0tfVEVTVF9hYmMxMjM",
        b"Bearer x",
        b"Bearer " + b"e" * 5000,
        b"Digest username=x",
        b"V0tfVEVTVF9hYmMxMjM6",
        b"Basic AAAA",
    ),
    *(
        b"Basic /////w==",
        b"Basic ====",
        b"Basic Basic V0tfVEVTVF9hYmMxMjM6",
        b"Basic V0tfVEVTVF9hYmMxMjM6, Basic eDo=",
        b"Negotiate",
    ),
)
CONNECTIONS: Final = (
    *(
        b"close",
        b"Close, te",
        b"keep-alive",
        b"keep-alive, close",
        b"upgrade",
        b"Upgrade, HTTP2-Settings",
        b"",
        b",,",
        b"\xff",
    ),
    *(b"authorization, content-length", b"x" * 3000),
)


def method(draft: Draft, dice: random.Random) -> None:
    draft.method = dice.choice(METHODS)
    draft.aim = "anything"


def strange_method(draft: Draft, dice: random.Random) -> None:
    draft.method = dice.choice(STRANGE_METHODS)
    draft.aim = "anything"
    draft.ends = True


def version(draft: Draft, dice: random.Random) -> None:
    """What version 1.0 makes of chunks is a matter of opinion."""
    draft.version = dice.choice(VERSIONS)
    draft.ends = True
    draft.aim = "anything"
    if draft.framing == "chunked":
        draft.answers = "some"


def same_path(draft: Draft, dice: random.Random) -> None:
    """Spelled otherwise, it means the same."""
    if draft.aim == "anything":
        return
    path, _, query = draft.target.partition(b"?")
    match dice.randrange(5):
        case 0:
            path = path.replace(b"/", b"//")
        case 1:
            path += b"/"
        case 2:
            at = dice.randrange(1, len(path))
            if path[at : at + 1] not in b"/%" and b"%" not in path:
                path = path[:at] + b"%%%02X" % path[at] + path[at + 1 :]
        case 3:
            path = b"http://events.example.com" + path.replace(b"//", b"/")
        case _:
            more = dice.choice((b"a=b", b"%", b"writeKey=x", b"&&&", b"a=%00", b"\xff"[:0], b"q=" + b"x" * 300))
            query = query + b"&" + more if query else more
    draft.target = path + (b"?" + query if query else b"")


def path(draft: Draft, dice: random.Random) -> None:
    draft.aim = "anything"
    match dice.randrange(4):
        case 0:
            draft.target = dice.choice(TARGETS)
        case 1:
            draft.target = b"/" + b"/".join([dice.choice(STEPS) for _ in range(dice.choice((1, 2, 3, 4, 12)))])
        case 2:
            at = dice.randrange(len(draft.target) + 1)
            draft.target = draft.target[:at] + dice.choice(STEPS) + draft.target[at + dice.choice((0, 1, 4)) :]
        case _:
            draft.target = draft.target + b"/" + dice.choice(STEPS)


def a_line(draft: Draft, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 5))):
        draft.headers.insert(dice.randrange(len(draft.headers) + 1), dice.choice(LINES))


def twice(draft: Draft, dice: random.Random) -> None:
    if draft.headers:
        name, value = dice.choice(draft.headers)
        draft.headers.append((dice.choice((name, name.upper(), name.lower())), dice.choice((value, b"", value[::-1]))))


def many(draft: Draft, dice: random.Random) -> None:
    """Around the limits: 64 names, 16 KiB."""
    count = dice.choice((40, 62, 64, 70, 500, 2000))
    same = dice.random() < 0.3
    draft.headers += [(b"X-Same" if same else b"X-%d" % number, b"1") for number in range(count)]


def huge(draft: Draft, dice: random.Random) -> None:
    draft.headers.append((b"X-Huge", b"h" * dice.choice((1000, 15_000, 16_300, 16_384, 17_000, 70_000, 300_000))))


def origin(draft: Draft, dice: random.Random) -> None:
    """Now and then one that nobody has seen: what is remembered of them must be bounded."""
    own = b"https://%d.example%b" % (dice.randrange(10**9), dice.choice((b"", b"x" * dice.choice((200, 300, 12_000)))))
    draft.put(b"Origin", own if dice.random() < 0.3 else dice.choice(ORIGINS))


def host(draft: Draft, dice: random.Random) -> None:
    draft.put(b"Host", dice.choice(HOSTS))
    if dice.random() < 0.2:
        draft.headers = [line for line in draft.headers if line[0].lower() != b"host"]
    elif dice.random() < 0.1:
        draft.headers.append((b"Host", dice.choice(HOSTS)))


def authorization(draft: Draft, dice: random.Random) -> None:
    if dice.random() < 0.5:
        name = dice.choice((*KEYS, *WORDS)).encode("utf-8", "surrogatepass")
        draft.put(
            b"Authorization", b"Basic " + base64.b64encode(name + dice.choice((b":", b":", b"", b":secret", b"::")))
        )
    else:
        draft.put(b"Authorization", dice.choice(AUTHORIZATIONS))
    if dice.random() < 0.3:
        draft.headers = [line for line in draft.headers if line[0].lower() != b"authorization"]


def connection(draft: Draft, dice: random.Random) -> None:
    draft.put(b"Connection", dice.choice(CONNECTIONS))
    draft.ends = True


def upgrade(draft: Draft, dice: random.Random) -> None:
    draft.put(b"Upgrade", dice.choice((b"h2c", b"websocket", b"TLS/1.0", b"", b"h2c, websocket", b"\xff")))
    draft.put(b"Connection", dice.choice((b"Upgrade", b"Upgrade, HTTP2-Settings", b"keep-alive")))
    draft.put(b"HTTP2-Settings", b"AAMAAABkAAQAAP__")
    draft.ends = True


def expect(draft: Draft, dice: random.Random) -> None:
    """Who is told not to send the body sends it all the same."""
    draft.put(b"Expect", dice.choice((b"100-continue", b"100-Continue", b"200-ok", b"", b"100-continue, x", b"\xff")))
    draft.ends = True


def a_broken_line(draft: Draft, dice: random.Random) -> None:
    """Where the request ends is still plain, but it may be refused for its form."""
    line = dice.choice(LINES_THAT_BREAK)
    draft.frame = line + dice.choice((b"", line)) + b"Content-Length: %d\r\n" % len(draft.body)
    if b"\r\n\r\n" in line or line.startswith((b" ", b"\t")):
        draft.answers = "some"


MILD: Final[tuple[Change, ...]] = (
    *(same_path, same_path, path, path, a_line, a_line, a_line, twice, origin, origin, host, authorization),
    *(authorization, method),
)
ROUGH: Final[tuple[Change, ...]] = (version, many, huge, connection, upgrade, expect, a_broken_line, strange_method)
"""Behind these the connection often ends."""


def lengths(draft: Draft, dice: random.Random) -> None:
    """A Content-Length that is none, or not the body's."""
    right = len(draft.body)
    said = dice.choice(
        (
            *(
                b"+%d" % right,
                b"-1",
                b"-%d" % right,
                b"%d, %d" % (right, right),
                b"%d,%d" % (right, right + 1),
                b"0x%x" % right,
            ),
            *(
                b"",
                b" ",
                b"1e3",
                b"%d_0" % right,
                b"\xd9\xa1",
                b"9" * 19,
                b"9" * 400,
                b"18446744073709551616",
                b"%d.0" % right,
            ),
            *(
                b"%d" % (right + dice.choice((1, 1000, 10**6))),
                b"%d" % dice.randrange(right + 1),
                b"6000000",
                b"00%d" % right,
            ),
            *(b"%d\x0b" % right, b"%d;a" % right, b'"%d"' % right, b"\0", b"None"),
        )
    )
    draft.frame = b"Content-Length: %b\r\n" % said


def two_lengths(draft: Draft, dice: random.Random) -> None:
    right = len(draft.body)
    lines = [b"Content-Length: %d\r\n" % right, b"content-length: %d\r\n" % dice.choice((right, 0, right + 1, 5))]
    dice.shuffle(lines)
    draft.frame = b"".join(lines)


def length_and_chunks(draft: Draft, dice: random.Random) -> None:
    """The way requests are smuggled past a proxy."""
    lines = [
        b"Content-Length: %d\r\n" % dice.choice((0, 5, len(draft.body))),
        b"Transfer-Encoding: %b\r\n" % dice.choice(CODINGS),
    ]
    dice.shuffle(lines)
    draft.frame = b"".join(lines)
    inner = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    draft.body = dice.choice((b"0\r\n\r\n" + inner, b"%x\r\n%b\r\n0\r\n\r\n" % (len(draft.body), draft.body), inner))


CODINGS: Final = (
    *(b"chunked", b"Chunked", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"xchunked", b"identity", b""),
    *(b"chunked\x0b", b" chunked", b"chunked;a=b", b'"chunked"', b"\xff", b"chunk", b"chunked,", b",chunked"),
)


def codings(draft: Draft, dice: random.Random) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(draft.body), draft.body)
    draft.frame = b"Transfer-Encoding: %b\r\n" % dice.choice(CODINGS)
    if dice.random() < 0.4:
        draft.frame += b"Transfer-Encoding: %b\r\n" % dice.choice(CODINGS)
    draft.body = body


def broken_chunks(draft: Draft, dice: random.Random) -> None:
    body = draft.body
    draft.frame = b"Transfer-Encoding: chunked\r\n"
    size = len(body)
    draft.body = dice.choice(
        (
            *(
                b"%x\r\n%b\r\n" % (size, body),
                b"%x\r\n%b" % (size + 9, body),
                b"%x\r\n%b\r\n0\r\n\r\n" % (size // 2, body),
            ),
            *(
                b"-1\r\n" + body,
                b"ffffffffffffffff\r\n" + body,
                b"f" * 40 + b"\r\n",
                b"0x%x\r\n%b\r\n0\r\n\r\n" % (size, body),
            ),
            *(
                b"zz\r\n" + body,
                b"\r\n" + body,
                b"%x \r\n%b\r\n0\r\n\r\n" % (size, body),
                b"%x\n%b\n0\n\n" % (size, body),
            ),
            *(
                b"%x;%b\r\n%b\r\n0\r\n\r\n" % (size, b"e" * 40_000, body),
                b"0\r\n" + b"X-T: 1\r\n" * 6000 + b"\r\n",
                b"0" * 30_000,
            ),
            *(
                b"1\r\na\r\n" * 3000 + b"0\r\n\r\n",
                b"0\r\nX-T: a\0\r\n\r\n",
                b"%x\r\n%bXX0\r\n\r\n" % (size, body),
                b"",
            ),
        )
    )


def no_length(draft: Draft, dice: random.Random) -> None:
    """The body is where the next request should be."""
    draft.frame = b""


def bytes_changed(draft: Draft, dice: random.Random) -> None:
    whole = bytearray(draft.write(dice))
    head = whole.index(b"\r\n\r\n") + 4
    for _ in range(dice.choice((1, 2, 8))):
        at = dice.randrange(head)
        match dice.randrange(3):
            case 0:
                whole[at] = dice.randrange(256)
            case 1:
                del whole[at : at + dice.choice((1, 1, 2, 10))]
            case _:
                whole[at:at] = dice.choice((b"\r", b"\n", b"\0", b" ", b"\r\n", b":", b"\xff", b"\r\n\r\n"))
        head = min(head, len(whole)) or 1
        if not whole:
            whole += b"\0"
    draft.raw = bytes(whole)


def cut_off(draft: Draft, dice: random.Random) -> None:
    whole = draft.write(dice)
    draft.raw = whole[: dice.randrange(len(whole))]


def other_protocol(draft: Draft, dice: random.Random) -> None:
    draft.raw = dice.choice(
        (
            *(
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(300),
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            ),
            *(
                b"SSH-2.0-OpenSSH_9\r\n",
                b"EHLO x\r\n",
                b"\0" * 3000,
                dice.randbytes(2000),
                b"\r\n" * 2000,
                b"GET /\r\n",
            ),
            *(
                b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + draft.write(dice),
                b"\n" + draft.write(dice),
                b"GET / HTTP/1.1\r\n" * 2000,
            ),
        )
    )


ENDS: Final[tuple[Change, ...]] = (
    *(
        lengths,
        lengths,
        two_lengths,
        length_and_chunks,
        codings,
        broken_chunks,
        no_length,
        bytes_changed,
        bytes_changed,
    ),
    *(cut_off, other_protocol),
)
"""After each of them it cannot: the request is the last that is sent over its connection."""


def bend(draft: Draft, dice: random.Random, *, last: bool) -> None:
    """After it, it can still be told where the request ends."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        rough = dice.random() < (0.5 if last else 0.04)
        change = dice.choice(ROUGH if rough else MILD)
        draft.done.append(change.__name__)
        change(draft, dice)


def end(draft: Draft, dice: random.Random) -> None:
    change = dice.choice(ENDS)
    draft.done.append(change.__name__)
    if draft.method == b"HEAD":
        draft.method = b"GET"  # whether an answer has a body must be known, whatever is answered
    draft.raw = None
    change(draft, dice)
    draft.answers, draft.aim, draft.ends = "any", "anything", True
    draft.write(dice)
