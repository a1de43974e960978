"""Who asks: a token, a session, or a user that a trusted proxy names."""

import hashlib
import ipaddress
from collections.abc import Mapping, MutableMapping
from typing import Any

from starlette.requests import Request

from akjob.config import Paths
from akjob.config.web import ProxyConfig, Role, WebConfig
from akjob.query.visibility import Principal, Scope
from akjob.web.problems import ProblemError
from akjob.web.store import WebStore

_RANK: dict[Scope, int] = {"metrics": -1, "read": 0, "operate": 1, "admin": 2}
_LONGEST_NAME = 200


def identify(request: Request, store: WebStore, web: WebConfig, cookie: str, now_us: int) -> Principal | None:
    """Return who asks; None if that is not known. Raises ProblemError for a proxy's user without a role.

    A token that is not good is not made good by a cookie next to it.
    """
    secret = bearer(request)
    if secret is not None:
        return store.token(secret, now_us)
    session = request.cookies.get(cookie)
    if session is not None:
        principal = store.session(session, now_us)
        if principal is not None:
            return principal
    if web.proxy is not None and is_trusted(request.scope, web.proxy):
        return named_by_proxy(request, web.proxy, web.roles)
    return None


def bearer(request: Request) -> str | None:
    """Return the token that a request comes with; None for one without."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


def is_trusted(scope: MutableMapping[str, Any], proxy: ProxyConfig) -> bool:
    """Return True if a request comes from where the proxy is.

    Whether it came through a Unix socket is asked of our own end of the connection: the other end may be gone.
    """
    server, client = scope.get("server"), scope.get("client")
    if server is not None and server[1] is None:
        return "unix" in proxy.sources
    if client is None:
        return False
    address = ipaddress.ip_address(client[0])
    networks = (ipaddress.ip_network(source) for source in proxy.sources if source != "unix")
    return any(address in network for network in networks if network.version == address.version)


def named_by_proxy(request: Request, proxy: ProxyConfig, roles: Mapping[str, Role]) -> Principal | None:
    """Return the user that a proxy names, with the highest role of the user and the groups; None without a user."""
    users = request.headers.getlist(proxy.user_header) if proxy.user_header else []
    if not users or not users[0].strip():
        return None
    user = users[0].strip()[:_LONGEST_NAME]
    if len(users) > 1:
        raise ProblemError("not-allowed", f"the proxy sent {proxy.user_header} more than once", "Fix the proxy.")
    groups = ",".join(request.headers.getlist(proxy.groups_header)).split(",") if proxy.groups_header else []
    names = [f"user:{user}", *(f"group:{group.strip()}" for group in groups if group.strip())]
    found = [roles[name] for name in names if name in roles]
    if not found:
        hint = "Give the user, or one of the groups, a role in [web.roles] of etc/akjob.toml."
        raise ProblemError("not-allowed", f"{user} has no role here", hint)
    return Principal(name=user, scope=max(found, key=_RANK.__getitem__), credential=f"proxy:{user}")


def cookie_name(paths: Paths) -> str:
    """Return the name of this root's session cookie: cookies of one host are shared by all its ports."""
    return f"akjob-{hashlib.sha256(str(paths.root).encode()).hexdigest()[:8]}"
