"""A request to the console's application itself, by any host and scheme: what no socket of a test could say."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from starlette.applications import Starlette


class Got(Struct, frozen=True):
    """
    headers  names in lower case
    cookies  each Set-Cookie as it is
    """

    status: int
    text: str
    headers: Mapping[str, str]
    cookies: tuple[str, ...]


async def ask(
    app: Starlette,
    method: str,
    path: str,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] = {},
    scheme: str = "http",
    body: bytes | None = None,
    also: tuple[tuple[str, str], ...] = (),
) -> Got:
    """
    headers  beside Host, which is localhost unless it is one of them
    body     in place of the form
    also     headers that come a second time
    """
    sends = (b"" if form is None else urlencode(form).encode()) if body is None else body
    sent = {"host": "localhost"} | ({} if form is None else {"content-type": "application/x-www-form-urlencoded"})
    sent |= {name.lower(): value for name, value in headers.items()}
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "scheme": scheme,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in (*sent.items(), *also)],
        "client": ("127.0.0.1", 1),
    }
    answered: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": sends, "more_body": False}

    async def send(message: Any) -> None:
        answered.append(message)

    await app(scope, receive, send)
    fields = [(name.decode().lower(), value.decode()) for name, value in answered[0]["headers"]]
    text = b"".join(message.get("body", b"") for message in answered).decode()
    return Got(
        answered[0]["status"], text, dict(fields), tuple(value for name, value in fields if name == "set-cookie")
    )
