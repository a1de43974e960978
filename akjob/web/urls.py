"""The URL to log in with, as the commands print it."""

import ipaddress
from urllib.parse import quote

from akjob.config.web import Address, WebConfig


def login_url(web: WebConfig, code: str) -> str:
    """Return the URL that opens a session; the path of it alone where only a Unix socket is listened on."""
    return f"{base_url(web) or ''}/login?code={quote(code)}"


def base_url(web: WebConfig) -> str | None:
    """Return where people reach the page: ``public_url``, else the first address; None for a Unix socket."""
    if web.public_url:
        return web.public_url
    address = next((address for address in web.listen if not address.path), None)
    return None if address is None else f"http://{_reachable(address)}"


def _reachable(address: Address) -> Address:
    """Return an address to connect to, of one to listen on: all addresses of this machine are the loopback one here."""
    try:
        listened = ipaddress.ip_address(address.host)
    except ValueError:
        return address
    if not listened.is_unspecified:
        return address
    return Address("127.0.0.1" if listened.version == 4 else "::1", address.port)  # noqa: PLR2004 - IPv4
