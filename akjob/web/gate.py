"""The gate that every request passes, streams too: host, route, credential, scope, site, in this order.

It decides on the route that was matched, never on the text of a URL, and what is not in the table is not there.
"""

import secrets
import sys
import traceback
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from akjob.errors import AkjobError
from akjob.query.visibility import Principal
from akjob.web.credentials import bearer, cookie_name, identify
from akjob.web.door import NODE
from akjob.web.hosts import Hosts, is_from_here
from akjob.web.login import login_page
from akjob.web.packing import pack
from akjob.web.problems import ProblemError, of_akjob_error
from akjob.web.routes import Match, Route, RouteTable
from akjob.web.site import Call, Site

ProblemPage = Callable[[Call, ProblemError], Awaitable[Response]]
"""Given a call and what is wrong with it, return the page that says so."""

_SECOND_US = 1_000_000
_NONCE_BYTES = 16
_NOBODY = Principal(name="", scope="metrics", jobs="", credential="none:")  # whom a route that needs nothing sees


class Application:
    """The ASGI application: the table of routes behind the gate."""

    def __init__(self, site: Site, table: RouteTable, problem_page: ProblemPage) -> None:
        self._site = site
        self._table = table
        self._problem_page = problem_page
        self._hosts = Hosts(site.config.web)
        self._cookie = cookie_name(site.paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # no WebSocket and no other door
            return
        request = Request(scope, receive)
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        now_us = self._site.clock()
        try:
            response = await self._answer(request, nonce, now_us)
        except ProblemError as error:
            response = self._refuse(request, error)
        except Exception:  # noqa: BLE001 - one request that fails costs that request
            print(f"akjob-web: {request.method} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)  # noqa: T201
            hint = "The reason is in var/log/akjob-web.out. Please report it."
            response = ProblemError("internal", "akjob-web failed to answer this", hint).response()
        _harden(response, nonce, now_us)
        pack(request, response)
        await response(scope, receive, send)

    async def _answer(self, request: Request, nonce: str, now_us: int) -> Response:
        if not self._hosts.knows(request.headers.get("host")):
            hint = "Use an address of listen, or add the name to hosts in [web] of etc/akjob.toml."
            raise ProblemError("unknown-host", "akjob-web is not known under this name", hint)
        match = self._table.match(request.method, request.scope["path"])
        principal = await self._admit(request, match, now_us)
        request.scope["path_params"] = match.parts if match else {}
        call = Call(site=self._site, request=request, principal=principal, now_us=now_us, nonce=nonce)
        try:
            return await self._handle(call, match)
        except ProblemError as error:
            problem = error
        except AkjobError as error:
            problem = of_akjob_error(error)
        if _is_for_a_person(call, match):
            return await self._problem_page(call, problem)
        raise problem

    async def _handle(self, call: Call, match: Match | None) -> Response:
        route = self._route(call.request, match)
        if call.principal is not NODE and not route.grants(call.principal.scope):
            hint = f"It needs the scope {route.needs}."
            raise ProblemError("not-allowed", f"the scope {call.principal.scope} does not allow this", hint)
        if not is_from_here(call.request.method, call.request.headers.raw, call.principal, self._hosts):
            raise ProblemError("other-site", "this request comes from a page of another site", "Send it from here.")
        return await route.handler(call)

    async def _admit(self, request: Request, match: Match | None, now_us: int) -> Principal:
        """Return who asks. Without a credential only the routes that need none are there; the rest is 401."""
        if match is not None and match.route.needs == "nothing":
            return _NOBODY
        if match is not None and match.route.needs == "node":
            return await self._admit_node(request)
        principal = identify(request, self._site.store, self._site.config.web, self._cookie, now_us)
        if principal is None:
            hint = "`akjob web` prints a URL to log in with; programs send `Authorization: Bearer akj_…`."
            raise ProblemError("no-credential", "log in first", hint, {"WWW-Authenticate": "Bearer"})
        return principal

    async def _admit_node(self, request: Request) -> Principal:
        """Return the principal of another node. This token alone is asked for here, and it is good nowhere else."""
        try:
            known = await self._site.door.opens(bearer(request))
        except AkjobError as error:
            raise of_akjob_error(error) from error
        if not known:
            hint = "This is for the other nodes of the cluster."
            raise ProblemError("no-credential", "this is not the cluster's token", hint, {"WWW-Authenticate": "Bearer"})
        return NODE

    def _route(self, request: Request, match: Match | None) -> Route:
        if match is not None:
            return match.route
        methods = self._table.methods(request.scope["path"])
        if methods:
            allowed = {"Allow": ", ".join(methods)}
            raise ProblemError("bad-method", f"{request.method[:20]} is not for this", f"Use {methods[0]}.", allowed)
        raise ProblemError("not-found", "there is no such page", "GET /api/v1/openapi.json lists what there is.")

    @staticmethod
    def _refuse(request: Request, error: ProblemError) -> Response:
        """Return a problem, as a page to a browser that asks for one without a session."""
        if error.problem.code == "no-credential" and _wants_a_page(request):
            return login_page(error.problem.status, error.headers)
        return error.response()


def _wants_a_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _is_for_a_person(call: Call, match: Match | None) -> bool:
    """Return True if a problem is shown as a page: to a reader's browser, outside of the API."""
    is_page = match is None or (match.route.answers is None and match.route.needs != "nothing")
    return is_page and _wants_a_page(call.request) and call.principal.scope != "metrics"


def _harden(response: Response, nonce: str, now_us: int) -> None:
    """Add what every answer carries: no framing, no sniffing, no script but ours, no copy in a cache unless said so."""
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; connect-src 'self'; "
        f"img-src 'self' data:; style-src 'self' 'nonce-{nonce}'; script-src 'self' 'nonce-{nonce}'; "
        "worker-src 'self'; require-trusted-types-for 'script'; trusted-types akjob"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
        "date": formatdate(now_us / _SECOND_US, usegmt=True),
    }
    for name, value in headers.items():
        response.headers.setdefault(name, value)
