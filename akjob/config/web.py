"""``[web]``: where akjob-web listens, whom it takes for whom."""

import ipaddress
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from akjob.config.readers import Reader, read_flag, read_string, read_strings, read_table_keys
from akjob.toml.faults import PathProblems, dotted

Role = Literal["read", "operate", "admin"]

_ROLES: tuple[Role, ...] = ("read", "operate", "admin")
_LAST_PORT = 65535
_IPV4 = 4
_UNIX = "unix:"


class Address(Struct, frozen=True):
    """Where akjob-web listens: ``host`` and ``port``, or the ``path`` of a Unix socket below the root."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return the form that the setting has."""
        if self.path:
            return f"{_UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ProxyConfig(Struct, frozen=True, kw_only=True):
    """``[web.proxy]``: from where (networks, or ``unix``) the headers with the user and the groups are believed."""

    sources: tuple[str, ...] = ()
    user_header: str = ""
    groups_header: str = ""


class WebConfig(Struct, frozen=True, kw_only=True):
    """``[web]``, and the roles of users and groups that a proxy names: ``"group:ops": "operate"``."""

    enabled: bool = True
    listen: tuple[Address, ...] = (Address(host="127.0.0.1", port=8470),)
    public_url: str = ""
    hosts: tuple[str, ...] = ()
    proxy: ProxyConfig | None = None
    roles: Mapping[str, Role] = {}


def read_web(value: object, path: tuple[str, ...], out: PathProblems) -> WebConfig:
    """Return what is right in the table; note the rest."""
    return WebConfig(**read_table_keys(value, path, out, _WEB))


def base_url(web: WebConfig) -> str | None:
    """Return where people reach the page: ``public_url``, else the first address; None for a Unix socket."""
    if web.public_url:
        return web.public_url
    address = next((address for address in web.listen if not address.path), None)
    if address is None:
        return None
    listened = _unspecified(address)
    if listened is None:
        return f"http://{address}"
    return f"http://{Address('127.0.0.1' if listened.version == _IPV4 else '::1', address.port)}"


def published_url(web: WebConfig, own_address: str) -> str | None:
    """Return where other nodes reach this one's page; None where they cannot.

    That is ``public_url``, else the first address; where it listens on all of them, ``own_address``.
    """
    if not web.enabled:
        return None
    address = next((address for address in web.listen if not address.path), None)
    if web.public_url or address is None or _unspecified(address) is None:
        return base_url(web)
    return f"http://{Address(own_address, address.port)}"


def _unspecified(address: Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return what stands for all addresses of the machine; None for any other address, and for a name."""
    try:
        listened = ipaddress.ip_address(address.host)
    except ValueError:
        return None
    return listened if listened.is_unspecified else None


def parse_address(text: str) -> Address | None:
    """Return the address that ``127.0.0.1:8470``, ``[::1]:8470`` or ``unix:var/run/web.sock`` means, else None."""
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX)
        return Address(path=path) if path else None
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        return None
    return Address(host=host, port=int(port))


def _listen(value: object, path: tuple[str, ...], out: PathProblems) -> tuple[Address, ...] | None:
    texts = (value,) if type(value) is str else read_strings(value, path, out)
    if texts is None:
        return None
    found = tuple(filter(None, map(parse_address, texts)))
    wrong = next((text for text in texts if parse_address(text) is None), None)
    if wrong is None and found:
        return found
    said = "is empty" if wrong is None else f'cannot be "{wrong}"'
    out.bad(path, "bad-value", f"`{dotted(path)}` {said}", 'write "127.0.0.1:8470" or "unix:var/run/web.sock"')
    return None


def _public_url(value: object, path: tuple[str, ...], out: PathProblems) -> str | None:
    text = read_string(value, path, out)
    if text is None:
        return None
    if _is_origin(text):
        return text.rstrip("/")
    message = f'`{dotted(path)}` cannot be "{text}"'
    out.bad(path, "bad-value", message, 'write scheme and name alone, as "https://akjob.example.org"')
    return None


def _is_origin(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    plain = not (url.query or url.fragment or url.username is not None) and url.path in {"", "/"} and port != 0
    return url.scheme in {"http", "https"} and bool(url.hostname) and plain


def _sources(value: object, path: tuple[str, ...], out: PathProblems) -> tuple[str, ...] | None:
    texts = read_strings(value, path, out)
    wrong = next((text for text in texts or () if not _is_source(text)), None)
    if wrong is None:
        return texts
    out.bad(path, "bad-value", f'`{dotted(path)}` cannot have "{wrong}"', 'write "unix" or a network, as "10.0.0.0/8"')
    return None


def _is_source(text: str) -> bool:
    if text == "unix":
        return True
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _header(value: object, path: tuple[str, ...], out: PathProblems) -> str | None:
    text = read_string(value, path, out)
    if text is None or (text.isascii() and text.replace("-", "").isalnum()):
        return text
    out.bad(path, "bad-value", f'`{dotted(path)}` cannot be "{text}"', 'write a header\'s name, as "Remote-User"')
    return None


def _proxy(value: object, path: tuple[str, ...], out: PathProblems) -> ProxyConfig | None:
    found = read_table_keys(value, path, out, _PROXY)
    return ProxyConfig(**found) if found else None


def _roles(value: object, path: tuple[str, ...], out: PathProblems) -> dict[str, Role] | None:
    if type(value) is not dict:
        out.wrong_type(path, "a table", value, f"write [{dotted(path)}] on a line of its own")
        return None
    found: dict[str, Role] = {}
    for who, role in value.items():
        where = (*path, who)
        kind, colon, name = who.partition(":")
        if kind not in {"group", "user"} or not colon or not name:
            hint = 'write "group:NAME" or "user:NAME" in quotes'
            out.bad(where, "bad-value", f'`{dotted(path)}` has "{who}", which names no group and no user', hint)
        elif role not in _ROLES:
            out.bad(where, "bad-value", f'`{dotted(where)}` cannot be "{role}"', 'one of "read", "operate", "admin"')
        else:
            found[who] = role
    return found


_PROXY: Mapping[str, tuple[str, Reader]] = {
    "from": ("sources", _sources),
    "user_header": ("user_header", _header),
    "groups_header": ("groups_header", _header),
}
_WEB: Mapping[str, tuple[str, Reader]] = {
    "enabled": ("enabled", read_flag),
    "listen": ("listen", _listen),
    "public_url": ("public_url", _public_url),
    "hosts": ("hosts", read_strings),
    "proxy": ("proxy", _proxy),
    "roles": ("roles", _roles),
}
TABLES = {"web": _WEB, "web.proxy": _PROXY, "web.roles": ("NAME",)}
