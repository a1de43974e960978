"""Requests for every route there is, so that a test need not name them; those of other nodes are in test_nodes."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from akjob.web.app import ROUTES
from akjob.web.routes import Route

PUBLIC = [route for route in ROUTES if route.needs == "nothing"]
CLOSED = [route for route in ROUTES if route.needs not in {"nothing", "node"}]
READING = [route for route in ROUTES if route.method == "GET" and route.needs != "node"]
WRITING = [route for route in ROUTES if route.method != "GET"]
IN_A_PATH = [route for route in ROUTES if "{" in route.path and route.needs != "node"]
_PART = re.compile(r"\{(\w+)(:\w+)?\}")


def label(value: object) -> str:
    """Return a name for a parametrised test."""
    return f"{value.method} {value.path}" if isinstance(value, Route) else str(value)


def path_of(route: Route, **parts: str) -> str:
    """Return a path of a route, its parts filled in."""
    filled = {"name": "tick", "id": "01m85ajwkd1sc8zp", **parts}
    return _PART.sub(lambda found: filled.get(found[1], "x"), route.path)


@contextmanager
def asked(client: httpx.Client, route: Route, path: str | None = None, **options: Any) -> Iterator[httpx.Response]:
    """Send a request for a route; yield the answer, of which a stream is not read to its end."""
    if route.method == "POST":
        options.setdefault("json", {"job": "tick", "reason": "why"} if "/stop" not in route.path else {})
    with client.stream(route.method, path or path_of(route), **options) as answer:
        yield answer


def status(client: httpx.Client, route: Route, path: str | None = None, **options: Any) -> int:
    """Return the status of the answer."""
    with asked(client, route, path, **options) as answer:
        return answer.status_code


def body(client: httpx.Client, route: Route, path: str | None = None, **options: Any) -> bytes:
    """Return the body of the answer; of a stream of events, its beginning."""
    with asked(client, route, path, **options) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return next(answer.iter_bytes())
        return answer.read()


def but(routes: Iterable[Route], *paths: str) -> list[Route]:
    """Return routes without those of some paths."""
    return [route for route in routes if route.path not in paths]
