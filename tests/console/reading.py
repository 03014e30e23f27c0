"""What a person reads of a page, and what a browser sends of a form on it."""

import re
from html import unescape


def words(page: str) -> str:
    """Of its main part, in one line; of a part that was asked for alone, all."""
    main = re.search(r"<main\b[^>]*>(.*)</main>", page, re.DOTALL)
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", main[1] if main else page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def form(page: str, action: str) -> dict[str, list[str]]:
    """The one with this address, untouched: what its fields hold, by name."""
    found = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert found is not None, action
    sent: dict[str, list[str]] = {}
    for tag in re.findall(r"<input\b[^>]*>|<select\b.*?</select>|<textarea\b.*?</textarea>", found[1], re.DOTALL):
        name = re.search(r'\bname="([^"]*)"', tag)
        if name is None or (('type="checkbox"' in tag or 'type="radio"' in tag) and " checked" not in tag):
            continue
        if tag.startswith("<input"):
            value = re.search(r'\bvalue="([^"]*)"', tag)
            text = value[1] if value else ""
        elif tag.startswith("<select"):
            chosen = re.search(r'<option value="([^"]*)" selected>', tag) or re.search(r'<option value="([^"]*)"', tag)
            text = chosen[1] if chosen else ""
        else:
            text = re.sub(r"^<textarea[^>]*>\n?|</textarea>$", "", tag).replace("\n", "\r\n")
        sent.setdefault(unescape(name[1]), []).append(unescape(text))
    sent.pop("csrf", None)
    return sent
