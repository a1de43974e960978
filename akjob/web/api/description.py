"""``/api/v1/openapi.json``: OpenAPI 3.1 of the API, made from the table of routes and the Structs that answer."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from starlette.responses import Response

from akjob import __version__
from akjob.web.api.lists import NDJSON, Page
from akjob.web.problems import MEDIA_TYPE, STATUS, ProblemDetails
from akjob.web.routes import Answers, Parameter, Route
from akjob.web.site import Call

_REFERENCE = "#/components/schemas/{name}"
_PART = re.compile(r"\{(\w+)(?::\w+)?\}")
_ALWAYS = ("no-credential", "not-allowed", "unknown-host", "bad-parameter")
_WRITING = ("bad-body", "bad-media-type", "too-large", "too-slow", "other-site")


async def show_description(call: Call) -> Response:
    """Answer with the description."""
    from akjob.web.api.table import ROUTES  # noqa: PLC0415 - the table has this route, too

    return Response(await call.site.read(lambda: _text(ROUTES)), media_type="application/json")


@cache
def _text(routes: tuple[Route, ...]) -> bytes:
    return msgspec.json.encode(describe(routes))


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the description of some routes."""
    described = [(route, route.answers) for route in routes if route.answers is not None]
    types = [type_ for _, answers in described for type_ in (answers.answer, answers.body) if type_ is not None]
    schemas, components = msgspec.json.schema_components([*types, ProblemDetails], ref_template=_REFERENCE)
    components["Problem"] = {**components.pop(ProblemDetails.__name__), "title": "Problem"}  # its published name
    known = dict(zip(map(_key, types), schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for route, answers in described:
        path = _PART.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, answers, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "akjob", "version": __version__, "summary": "Scheduled jobs that live in git."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "akjob token create"}},
        },
        "security": [{"token": []}],
    }


def _key(type_: object) -> str:
    return str(type_)


def _operation(route: Route, answers: Answers, known: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": answers.about,
        "description": f"Needs the scope {route.needs}.",
        "parameters": [*_path_parts(route), *map(_parameter, answers.parameters), *_headers(route)],
        "responses": _responses(route, answers, known),
    }
    if answers.body is not None:
        content = {"application/json": {"schema": known[_key(answers.body)]}}
        found["requestBody"] = {"required": answers.body.__name__ != "StopRequest", "content": content}
    return found


def _path_parts(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PART.findall(route.path)
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer" if parameter.type is int else "string"}
    if parameter.name == "limit":
        schema |= {"minimum": 1, "maximum": 1000, "default": 100}
    return {"name": parameter.name, "in": "query", "description": parameter.about, "schema": schema}


def _headers(route: Route) -> list[dict[str, Any]]:
    if route.method != "POST":
        return []
    about = "A repetition with the same key is answered the same, for 24 hours."
    schema = {"type": "string", "minLength": 1, "maxLength": 200}
    return [{"name": "Idempotency-Key", "in": "header", "description": about, "schema": schema}]


def _responses(route: Route, answers: Answers, known: dict[str, Any]) -> dict[str, Any]:
    schema = {} if answers.answer is None else known[_key(answers.answer)]
    content = {
        answers.media_type: {"schema": {"type": "string"} if answers.media_type != "application/json" else schema}
    }
    if getattr(answers.answer, "__origin__", None) is Page:
        content[NDJSON] = {"schema": {"type": "string"}}
    found: dict[str, Any] = {str(answers.status): {"description": answers.about, "content": content}}
    if answers.status == 202:  # noqa: PLR2004 - accepted; with `wait` it has ended
        found["200"] = found["202"]
    codes = [*_ALWAYS, *(_WRITING if route.method != "GET" else ()), *answers.codes, "internal", "ledger-unreadable"]
    problem = {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}}
    for status in sorted({STATUS[code].value for code in codes}):
        about = ", ".join(code for code in dict.fromkeys(codes) if STATUS[code].value == status)
        found[str(status)] = {"description": about, "content": problem}
    return found
