"""The table of routes: each has a method, a path and what it needs. What is not in the table is not there."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, get_args

from msgspec import Struct
from starlette.responses import Response
from starlette.routing import compile_path

from akjob.query.visibility import Scope
from akjob.web.site import Call

Needs = Literal["nothing", "login", "read", "operate", "admin", "metrics", "node"]
"""What a route needs: ``login`` is any credential, ``nothing`` not even that, ``node`` the cluster's own token."""

Handler = Callable[[Call], Awaitable[Response]]

_GRANTED: dict[Needs, frozenset[Scope]] = {
    "nothing": frozenset(get_args(Scope)),
    "login": frozenset({"read", "operate", "admin", "metrics"}),
    "read": frozenset({"read", "operate", "admin"}),
    "operate": frozenset({"operate", "admin"}),
    "admin": frozenset({"admin"}),
    "metrics": frozenset({"metrics", "admin"}),
    "node": frozenset(),  # whom the gate has let in by the cluster's token, and no principal by a scope
}


class Parameter(Struct, frozen=True, kw_only=True):
    """A parameter of the query: its name, what it means, and the type of its values."""

    name: str
    about: str
    type: Any = str


class Answers(Struct, frozen=True, kw_only=True):
    """What a route takes and answers, for the description: ``body`` and ``answer`` are Structs."""

    about: str
    answer: Any = None
    status: int = 200
    media_type: str = "application/json"
    body: Any = None
    parameters: tuple[Parameter, ...] = ()
    codes: tuple[str, ...] = ()


class Route(Struct, frozen=True, kw_only=True):
    """One route. ``needs`` has no default, so none is open by mistake; ``answers`` describes a route of the API."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Handler
    needs: Needs = "admin"
    answers: Answers | None = None

    def grants(self, scope: Scope) -> bool:
        """Return True if a credential of this scope may use the route."""
        return scope in _GRANTED[self.needs]


class Match(Struct, frozen=True):
    """The route that a request is for, and the parts of its path."""

    route: Route
    parts: dict[str, Any]


class RouteTable:
    """All routes, in order: the first that fits is the one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._compiled = [(compile_path(route.path), route) for route in self.routes]

    def match(self, method: str, path: str) -> Match | None:
        """Return the route for a request, HEAD being GET; None where the path has none for this method."""
        wanted = "GET" if method == "HEAD" else method
        for (pattern, _, convertors), route in self._compiled:
            found = pattern.match(path) if route.method == wanted else None
            if found is not None:
                parts = {name: convertors[name].convert(text) for name, text in found.groupdict().items()}
                return Match(route, parts)
        return None

    def methods(self, path: str) -> list[str]:
        """Return the methods that a path has routes for; none for a path that is not there."""
        found = {route.method for (pattern, _, _), route in self._compiled if pattern.match(path)}
        return sorted({*found, *(("HEAD",) if "GET" in found else ())})
