"""The write keys of a source, and how senders are changed over to a new one without a gap."""

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from milonga.api import shapes
from milonga.api.problem import Problem
from milonga.api.route import Asked, Listed, NoQuery, Route
from milonga.facts.keys import as_row, key_warnings, span
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds
from milonga.workspace.roles import Role

Span = Annotated[str, Meta(max_length=20, description="Such as 14d, 36h, 90m; 0 for now.")]
USUAL: Final = "14d"


class NewKey(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A random one is made unless it is given."""

    write_key: str | None = None


class Rotation(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    overlap: for so long the old ones stay in force. old: exchange this one alone, rather than all without an end.
    write_key: the new one; random unless given.
    """

    overlap: Span = USUAL
    old: str | None = None
    write_key: str | None = None


class KeyChange(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """ends_in: when it ends, from now on; null: it has no end, also if it has ended."""

    ends_in: Span | UnsetType | None = UNSET


def list_keys(asked: Asked[NoQuery, None]) -> Listed:
    name = asked.names["source"]
    keys = asked.workspace.write_keys.of(name)
    now = milliseconds()
    role = asked.caller.role
    return Listed([as_row(one, now, role) for one in keys], notes=key_warnings(name, keys, role))


def add(asked: Asked[NoQuery, NewKey]) -> dict[str, Any]:
    name = asked.names["source"]
    return {
        "source": name,
        "writeKey": asked.workspace.write_keys.add(name, asked.body.write_key, by=asked.caller.name),
    }


def rotate(asked: Asked[NoQuery, Rotation]) -> dict[str, Any]:
    name, body = asked.names["source"], asked.body
    overlap = _span(body.overlap, "$.overlap")
    done = asked.workspace.write_keys.rotate(name, body.write_key, old=body.old, overlap=overlap, by=asked.caller.name)
    ends = [{"writeKey": one.key, "endsAt": instant(one.at)} for one in done.ends]
    return {"source": name, "writeKey": done.key, "ends": ends}


def change(asked: Asked[NoQuery, KeyChange]) -> dict[str, Any]:
    name, ends_in = asked.names["source"], asked.body.ends_in
    if isinstance(ends_in, UnsetType):
        raise Problem(422, "invalid_body", "$.endsIn: This is needed.", field="$.endsIn")
    after = None if ends_in is None else _span(ends_in, "$.endsIn")
    found = asked.workspace.write_keys.end(name, asked.names["key"], after, by=asked.caller.name)
    return {"source": name} | as_row(found, milliseconds(), asked.caller.role)


def remove(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    name, key = asked.names["source"], asked.names["key"]
    asked.workspace.write_keys.remove(name, key, by=asked.caller.name)
    return {"source": name, "removed": key}


def _span(text: str, field: str) -> int:
    try:
        return span(text)
    except ValueError as error:
        raise Problem(422, "invalid_body", str(error), field=field) from None


ROUTES: Final = (
    Route(
        method="GET",
        path="/sources/{source}/writekey",
        role=Role.viewer,
        name="listWriteKeys",
        summary="List the write keys of a source: since when, until when, and when each was last used. Viewers see how "
        "each begins.",
        answer=shapes.KnownKey,
        listed=True,
        handle=list_keys,
        tag="writekey",
    ),
    Route(
        method="POST",
        path="/sources/{source}/writekey",
        role=Role.editor,
        name="createWriteKey",
        summary="Add a write key; the ones there are stay in force.",
        body=NewKey,
        answer=shapes.WriteKey,
        status=201,
        handle=add,
        tag="writekey",
    ),
    Route(
        method="POST",
        path="/sources/{source}/writekey/rotate",
        role=Role.editor,
        name="rotateWriteKeys",
        summary="Add a new write key and give the old ones an end.",
        body=Rotation,
        answer=shapes.RotatedKeys,
        status=201,
        handle=rotate,
        tag="writekey",
    ),
    Route(
        method="PATCH",
        path="/sources/{source}/writekey/{key}",
        role=Role.editor,
        name="updateWriteKey",
        summary="Give a write key an end, another end, or none.",
        body=KeyChange,
        answer=shapes.ChangedKey,
        handle=change,
        tag="writekey",
    ),
    Route(
        method="DELETE",
        path="/sources/{source}/writekey/{key}",
        role=Role.editor,
        name="removeWriteKey",
        summary="Remove a write key: it lets nobody in any more.",
        answer=shapes.RemovedKey,
        handle=remove,
        tag="writekey",
    ),
)
