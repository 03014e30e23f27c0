"""What is put into request lines and headers. Data alone; the dice choose."""

from typing import Final

from tests.fuzz.templates import LISTED_ORIGIN

# fmt: off
METHODS: Final = (
    b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"POST", b"PROPFIND",
)
STRANGE_METHODS: Final = (
    b"CONNECT", b"CONNECT", b"QUERY", b"post", b"Post", b"BREW", b"POST\0", b"P" * 9000, b"\xff", b"", b"GET POST",
    b"M-SEARCH", b"SUBSCRIBE", b"POST\t", b"(", b"HEAD\xff",
)
VERSIONS: Final = (
    b"HTTP/1.0", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/11", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1",
    b"ICE/1.0", b"RTSP/1.0", b"", b"HTTPS/1.1", b"HTTP/1.1\0",
)
STEPS: Final = (
    b"v1", b"track", b"batch", b"b", b"t", b"import", b"m", b"pixel", b"projects", b"settings", b"analytics.js",
    b"analytics.min.js", b"platform", b"analytics-next", b"bundles", b"..", b".", b"%2e%2e", b"%2f", b"%5c", b"%00",
    b"%", b"%zz", b"%c0%af", b"%ff", b"%0d%0aX-Injected:%201", b"%E2%80%A8", b"~", b"*", b"x" * 200, b"\xff", b";a=b",
    b"WK_TEST_abc123", b"WK_UNKNOWN", b"%3Cscript%3Ealert(7)%3C/script%3E", b"'-alert(7)-'", b"%22%3E", b"healthz",
    b"%u0041", b"%25%36%31", b"etc", b"passwd", b"milonga.js", b"manifest.json", b"__WRITE_KEY__", b"",
)
TARGETS: Final = (
    b"*", b"", b"/", b"//", b"/" * 300, b"http://", b"http://[/v1/t", b"http://x:99999/v1/t",
    b"https://e.example/v1/t", b"events.example.com:443", b"javascript:alert(7)", b"/v1/t#a", b"?",
    b"/?" + b"a=b&" * 900, b"/v1/t\\..", b"v1/t", b"/\xc3\xa9", b"/v1/t\x00", b"/v1/t\x7f", b"/v1/t\t",
    b"http://a@b/v1/t", b"ftp://x/v1/t", b"/%" * 500, b"/" + b"a" * 17_000,
)
LINES: Final = (
    (b"Content-Type", b"text/plain"), (b"Content-Type", b"application/json; charset=utf-16"),
    (b"Content-Type", b"application/json;charset=\xff"), (b"Content-Type", b"multipart/form-data; boundary=x"),
    (b"Content-Type", b""), (b"Content-Type", b"x" * 4000), (b"X-Retry-Count", b"-1"), (b"X-Retry-Count", b"9" * 400),
    (b"Range", b"bytes=0-0,-1"), (b"If-None-Match", b"*"), (b"If-None-Match", b'W/"a", "b'), (b"If-Match", b'"x"'),
    (b"If-Modified-Since", b"never"), (b"Cookie", b"a=b; " * 500), (b"X-HTTP-Method-Override", b"DELETE"),
    (b"Accept-Encoding", b"br;q=x, gzip;q=0, *;q=2"), (b"Accept-Encoding", b"gzip, br, zstd"),
    (b"Accept-Encoding", b""), (b"Accept-Encoding", b"identity;q=0"), (b"Accept-Encoding", b"," * 3000),
    (b"Accept-Encoding", b"GZIP;Q=0.000"), (b"Trailer", b"Content-Length"), (b"Keep-Alive", b"timeout=-1, max=0"),
    (b"Date", b"yesterday"), (b"Via", b"\xff"), (b"X-Forwarded-For", b"203.0.113.9"),
    (b"X-Forwarded-For", b"a, b,, 1.2.3.4:5, [::1]:6, unknown, _x"), (b"X-Forwarded-For", b"1.1.1.1, " * 1000),
    (b"X-Forwarded-For", b"::ffff:127.0.0.1%eth0"), (b"X-Forwarded-For", b"\xff"), (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Proto", b"https, javascript"), (b"X-Forwarded-Proto", b"\t"),
    (b"X-Forwarded-Host", b"evil.example"), (b"X-Forwarded-Host", b'"><script>alert(7)</script>'),
    (b"X-Forwarded-Port", b"x"), (b"Forwarded", b'for="[2001:db8::1]:4711";proto=https;host=evil.example'),
    (b"Forwarded", b'for="a;b=\\'), (b"X-Real-IP", b"::"), (b"Access-Control-Request-Method", b"POST"),
    (b"Access-Control-Request-Headers", b"authorization,x-retry-count"),
    (b"Access-Control-Request-Headers", b"x" * 3000), (b"Access-Control-Request-Private-Network", b"true"),
    (b"Referer", b"\xff\xfe"), (b"User-Agent", b"</script>" * 100), (b"X-Custom", b"\x80\xff"),
    (b"X-" + b"n" * 5000, b"1"), (b"a!#$%&'*+-.^_`|~9", b"1"),
)
LINES_THAT_BREAK: Final = (
    b"X-Nul: a\0b\r\n", b"X-Fold: a\r\n b\r\n", b"X-Fold: a\r\n\tb\r\n", b" X-First: 1\r\n", b"No colon\r\n",
    b": no name\r\n", b"X-Space : 1\r\n", b"X Y: 1\r\n", b"X-Cr: a\rb\r\n", b"X-Lf: a\nX-Other: 1\r\n",
    b"X-\xff: 1\r\n", b"X-\0: 1\r\n", b"X-Bell: \x07\r\n", b"X-Del: \x7f\r\n", b"\t\r\n", b"\0\r\n", b"X:\r\n\r\n",
    b"(): 1\r\n", b"GET / HTTP/1.1\r\n",
)
ORIGINS: Final = (
    LISTED_ORIGIN.encode(), b"https://other.example", b"null", b"", b"*", b"http://[::1]:9", b"https://shop.example.",
    b"https://shop.example:443", b"https://shop.example/", b"HTTPS://SHOP.EXAMPLE", b"javascript:alert(7)",
    b"https://a b", b"file://", b"https://shop.example.evil.example", b"https://\xff", b"x" * 4000, b"a, b",
    b"chrome-extension://abc", b"https://shop.example\x0bX-Injected: 1", b"capacitor://localhost",
    b"https://e%0d%0aX-Injected:%201",
)
HOSTS: Final = (
    b"events.example.com", b"EVENTS.example.com:443", b"", b" ", b"a b", b"a, b", b"[::1]", b"[::1]:8080", b"[::",
    b"x:y", b"127.0.0.1:99999", b"e.example:-1", b"e.example/path", b"user@e.example", b'"><script>alert(7)</script>',
    b"'-alert(7)-'", b"e.example\\", b"\xff", b"x" * 300, b"e.example?#", b"${7*7}", b"xn--e1afmkfd.example",
    b"e..example", b"-", b"%41", b"a:",
)
AUTHORIZATIONS: Final = (
    b"", b"Basic", b"Basic ", b"Basic !!!", b"Basic \xff\xff", b"basic V0tfVEVTVF9hYmMxMjM=",
    b"BASIC V0tfVEVTVF9hYmMxMjM6eA==", b"Basic  V0tfVEVTVF9hYmMxMjM6", b"Basic V0tfVEVTVF9hYmMxMjM6 x",
    b"Basic OnBhc3M=", b"Basic Og==", b"Basic " + b"A" * 9000, b"Basic V0tfVEVTVF9hYmMxMjM", b"Bearer x",
    b"Bearer " + b"e" * 5000, b"Digest username=x", b"V0tfVEVTVF9hYmMxMjM6", b"Basic AAAA", b"Basic /////w==",
    b"Basic ====", b"Basic Basic V0tfVEVTVF9hYmMxMjM6", b"Basic V0tfVEVTVF9hYmMxMjM6, Basic eDo=", b"Negotiate",
)
CONNECTIONS: Final = (
    b"close", b"Close, te", b"keep-alive", b"keep-alive, close", b"upgrade", b"Upgrade, HTTP2-Settings", b"", b",,",
    b"\xff", b"authorization, content-length", b"x" * 3000,
)
CODINGS: Final = (
    b"chunked", b"Chunked", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"xchunked", b"identity", b"",
    b"chunked\x0b", b" chunked", b"chunked;a=b", b'"chunked"', b"\xff", b"chunk", b"chunked,", b",chunked",
)
