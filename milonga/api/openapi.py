"""The description of the API for tools (OpenAPI 3.1), made from the table. Pure."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import msgspec

from milonga import __version__
from milonga.api.problem import TYPE, ProblemDetails
from milonga.api.route import Route
from milonga.api.table import PREFIX, ROUTES

JSON: Final = "application/json"
REF: Final = "#/components/schemas/{name}"
SCHEME: Final = "bearerToken"

NOTES: Final = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Sentences worth knowing besides; left out where there is nothing to say.",
}
ALWAYS: Final = (401, 403, 422, 429, 503)  #: what any route may answer instead
ABOUT: Final = """\
Everything that the console and the command line can do with a Milonga.

Send a token with each request: `Authorization: Bearer TOKEN`. `milonga tokens create` makes one; its role (viewer,
editor, administrator) says what it may do.

What is asked for stands in `data`. Lists come in pages: `pagination.next` is the `cursor` of the next one, null at the
end. What cannot be done is told as problem details (RFC 9457), with `field` where one part of the request is to blame.
Changes are PATCH with only what changes; null puts a setting back to its default. Moments are in UTC, ISO 8601.
"""


def description() -> dict[str, Any]:
    """Plain JSON."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(_description()))
    return found


def _description() -> dict[str, Any]:
    types = list(_types())
    schemas, components = msgspec.json.schema_components([*types, ProblemDetails], ref_template=REF)
    by_type = dict(zip([_key(one) for one in types], schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Milonga",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{SCHEME: []}],
        "tags": [{"name": name} for name in dict.fromkeys(route.about for route in ROUTES)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {SCHEME: {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "Why not, and what to do.",
                    "content": {TYPE: {"schema": {"$ref": REF.format(name="ProblemDetails")}}},
                }
            },
        },
    }


def _types() -> Iterator[Any]:
    """Of all bodies and answers, and of what stands beside those of lists, each once."""
    seen = set()
    for route in ROUTES:
        for one in (route.body, route.answer, route.pagination if route.listed else None):
            if one is not None and _key(one) not in seen:
                seen.add(_key(one))
                yield one


def _key(type_: Any) -> str:
    return str(type_)


def _operation(route: Route, by_type: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.about],
        "summary": route.summary,
        "description": f"Needs the role {route.role.value}.",
        "parameters": [*_names(route), *_parameters(route)],
        "responses": {
            str(route.status): {
                "description": HTTPStatus(route.status).phrase,
                "content": {JSON: {"schema": _answer(route, by_type)}},
            },
            **{str(status): {"$ref": "#/components/responses/Problem"} for status in _problems(route)},
        },
        "x-role": route.role.value,
    }
    if route.body is not None:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": by_type[_key(route.body)]}}}
    return told


def _answer(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    one = by_type[_key(route.answer)]
    if not route.listed:
        return {"type": "object", "properties": {"data": one, "notes": NOTES}, "required": ["data"]}
    return {
        "type": "object",
        "properties": {
            "data": {"type": "array", "items": one},
            "pagination": by_type[_key(route.pagination)],
            "notes": NOTES,
        },
        "required": ["data", "pagination"],
    }


def _problems(route: Route) -> list[int]:
    more = [404] if "{" in route.path else []
    if route.method != "GET":
        more.append(409)
    if route.body is not None:
        more += [400, 413, 415]
    return sorted({*ALWAYS, *more})


def _names(route: Route) -> Iterator[dict[str, Any]]:
    for part in route.path.split("/"):
        if part.startswith("{"):
            yield {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    schema = msgspec.json.schema(route.query)
    of = schema.get("$defs", {}).get(route.query.__name__, schema)
    needed = of.get("required", ())
    for name, one in of.get("properties", {}).items():
        told = {key: value for key, value in one.items() if key != "description"}
        yield {
            "name": name,
            "in": "query",
            "required": name in needed,
            **({"description": one["description"]} if "description" in one else {}),
            "schema": told,
        }
