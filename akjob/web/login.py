"""Logging in with a code of ``akjob web``, logging out, and whether the program and what it needs are there."""

from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from akjob.instants import SECOND
from akjob.web import asking
from akjob.web.credentials import cookie_name
from akjob.web.store import SESSION_US

if TYPE_CHECKING:
    from akjob.web.site import Call

_LONGEST_CODE = 200

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Log in · akjob</title>
<h1>Log in to akjob</h1>
<p>{said}</p>
<p>On the machine that runs akjob, in the folder of the jobs, type <code>akjob web</code>
and open the URL that it prints. It is good for ten minutes and one login.</p>
</html>
"""


def login_page(status: int, headers: dict[str, str] | None = None, said: str = "You are not logged in.") -> Response:
    """Return the page that says how to log in. It needs neither styles nor scripts."""
    return Response(_PAGE.format(said=escape(said)), status, headers, media_type="text/html")


async def log_in(call: "Call") -> Response:
    """Open a session for a code, once; the code is of no use to a HEAD, which previews of links send."""
    code = call.query("code")
    if not code or call.request.method == "HEAD":
        return login_page(HTTPStatus.OK)
    secret = None if len(code) > _LONGEST_CODE else call.site.store.log_in(code, call.now_us)
    if secret is None:
        headers = {"WWW-Authenticate": "Bearer"}
        return login_page(HTTPStatus.UNAUTHORIZED, headers, "This URL was used already, or its ten minutes are over.")
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    response.headers.append("set-cookie", _cookie(call, secret, SESSION_US // SECOND))
    return response


async def log_out(call: "Call") -> Response:
    """End the session on this side; its open streams end with it."""
    credential = call.principal.credential
    if credential.startswith("session:"):
        call.site.store.log_out(credential)
        call.site.streams.end(credential)
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    response.headers.append("set-cookie", _cookie(call, "", 0))
    return response


def _cookie(call: "Call", value: str, age_s: int) -> str:
    secure = "; Secure" if _is_https(call) else ""
    return f"{cookie_name(call.site.paths)}={value}; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Lax{secure}"


def _is_https(call: "Call") -> bool:
    """Return True if the browser came by HTTPS: to the host of a public URL that has it."""
    url = urlsplit(call.site.config.web.public_url)
    return url.scheme == "https" and call.request.headers.get("host", "").lower() == url.netloc.lower()


async def healthy(_call: "Call") -> Response:
    """Log that the program serves."""
    return Response(b"ok\n", media_type="text/plain")


async def ready(call: "Call") -> Response:
    """Return whether the ledger can be read and akjobd answers."""
    missing = await call.site.read(lambda: asking.missing(call.site.paths))
    text = "ok\n" if missing is None else f"{missing}\n"
    status = HTTPStatus.OK if missing is None else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(text.encode(), status, media_type="text/plain")
