"""Texts that would run in a page which writes them as they are: every field of an event may hold them."""

from typing import Any

MARK = "pwned"  #: what each of them sets on `window` if it runs

ATTACKS = (
    f"<script>window.{MARK}=1</script>",
    f"<img src=x onerror=window.{MARK}=1>",
    f'"><svg onload=window.{MARK}=1>',
    f"'><body onpageshow=window.{MARK}=1>",
    f'" autofocus onfocus=window.{MARK}=1 x="',
    f"' onmouseover=window.{MARK}=1 '",
    f"javascript:window.{MARK}=1",
    f"</textarea></title></style></script><script>window.{MARK}=1</script>",
    f"{{{{constructor.constructor('window.{MARK}=1')()}}}}",
    f"${{window.{MARK}=1}}",
    f'<iframe srcdoc="<script>parent.{MARK}=1</script>">',
    f"<a href=javascript:window.{MARK}=1>click</a>",
    f"<div hx-get=/ hx-trigger=load hx-on:load=window.{MARK}=1>",
    f"<form action=javascript:window.{MARK}=1><button id=go>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content=0;url=https://evil.example/>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "\u202egnp.exe\u2066\u2028\u2029\u0000\ufeff",
    '=HYPERLINK("https://evil.example","x")',
    "a\r\nSet-Cookie: evil=1\r\n\r\n<h1>x",
    "../../../../etc/passwd",
    "%00%0d%0a%3Cscript%3E",
)


def events() -> list[dict[str, Any]]:
    """Each attack in every field that can hold a text."""
    return [event for number, attack in enumerate(ATTACKS) for event in _with(attack, number)]


def _with(attack: str, number: int) -> list[dict[str, Any]]:
    who = {"userId": f"{attack}-user", "anonymousId": attack}
    context = {
        "groupId": attack,
        "page": {"url": attack, "title": attack, "category": attack, "path": attack, "referrer": attack},
        "userAgent": attack,
        "library": {"name": attack, "version": attack},
        attack: {attack: attack},
    }
    fields = {"name": attack, "email": attack, "plan": attack, "category": attack, "url": attack, attack: attack}
    common = {**who, "context": context, "integrations": {attack: True}}
    return [
        {**common, "type": "identify", "traits": fields, "messageId": f"{attack}-i{number}"},
        {**common, "type": "group", "groupId": attack, "traits": fields, "messageId": f"{attack}-g{number}"},
        {
            **common,
            "type": "page",
            "name": attack,
            "category": attack,
            "properties": fields,
            "messageId": f"{attack}-p",
        },
        {**common, "type": "track", "event": attack, "properties": fields, "messageId": f"{attack}-t{number}"},
        {**who, "type": "track", "event": attack, "messageId": f"{attack}-without{number}"},
        {**common, "type": "track", "event": {"not": attack}, "messageId": f"{attack}-bad{number}"},  # discarded
    ]
