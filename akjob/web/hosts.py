"""For which names a request may be, and from which site a write may come: lists of what is allowed."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from akjob.config.web import WebConfig
from akjob.query.visibility import Principal

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SAFE = frozenset({"GET", "HEAD"})


class Hosts:
    """The names that a request may be for: those of ``listen``, of ``public_url``, and ``hosts``.

    Ports are not compared: a tunnel changes them, and a name is what DNS rebinding forges. An address of this machine
    may be any where akjob-web listens on all of them: a page of another name cannot be of an address.
    """

    def __init__(self, web: WebConfig) -> None:
        listened = [address.host for address in web.listen]
        public = urlsplit(web.public_url).hostname
        named = {*map(_name, web.hosts), *filter(None, [public]), *map(str.lower, listened)}
        self._names = {*named, *(_LOOPBACK if _is_local(web, listened) else ())}
        self._any_address = any(_is_unspecified(host) for host in listened)

    def knows(self, host: str | None) -> bool:
        """Return True if a ``Host`` header names this site."""
        name = "" if host is None else _name(host)
        return bool(name) and (name in self._names or (self._any_address and _is_address(name)))


def is_from_here(
    method: str, headers: Iterable[tuple[bytes, bytes]], principal: Principal | None, hosts: Hosts
) -> bool:
    """Return True if a request may change something: it comes from a page of this site, or from no page at all.

    Browsers send ``Sec-Fetch-Site`` to HTTPS and to this machine; elsewhere their ``Origin`` must be the host that is
    asked. Without both only a token is taken, which no page of another site can send.
    """
    if method in _SAFE:
        return True
    found = dict(headers)
    site = found.get(b"sec-fetch-site")
    if site is not None:
        return site in {b"same-origin", b"none"}
    if principal is not None and principal.credential.startswith("token:"):
        return True
    origin = urlsplit(found.get(b"origin", b"").decode("latin-1"))
    host = found.get(b"host", b"").decode("latin-1")
    return origin.scheme in {"http", "https"} and origin.netloc.lower() == host.lower() and hosts.knows(host)


def _is_local(web: WebConfig, listened: list[str]) -> bool:
    """Return True if people on this machine reach it by a loopback name: also through a Unix socket."""
    return any(address.path for address in web.listen) or any(
        host.lower() in _LOOPBACK or _is_unspecified(host) for host in listened
    )


def _name(host: str) -> str:
    """Return the name in a Host header, in lower case, without its port and the brackets of an IPv6 address."""
    host = host.strip().lower()
    if host.startswith("["):
        inner, bracket, rest = host[1:].partition("]")
        return inner if bracket and (not rest or _is_port(rest)) else ""
    name, colon, port = host.partition(":")
    return name if not colon or _is_port(f":{port}") else ""


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_unspecified(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified
