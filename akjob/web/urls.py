"""The URL to log in with, as the commands print it."""

from urllib.parse import quote

from akjob.config.web import WebConfig, base_url


def login_url(web: WebConfig, code: str) -> str:
    """Return the URL that opens a session; the path of it alone where only a Unix socket is listened on."""
    return f"{base_url(web) or ''}/login?code={quote(code)}"
