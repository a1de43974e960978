"""Templates: read once, escaped always, and given values alone."""

import hashlib
import socket
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct
from starlette.responses import Response

from akjob import __version__
from akjob.errors import AkjobError
from akjob.instants import SECOND, to_datetime
from akjob.processes import lock_holder
from akjob.program import lock_file
from akjob.query.text import relative, size, span
from akjob.schedule import get_zone
from akjob.web.pages.drawing import GLYPHS, WORDS
from akjob.web.pages.summary import NOTHING, Summary, summarize
from akjob.web.problems import ProblemError
from akjob.web.site import Call

_PAGES = (
    ("/", "Jobs"), ("/timeline", "Timeline"), ("/runs", "Runs"), ("/plan", "Plan"), ("/broken", "Broken"),
    ("/messages", "Messages"), ("/system", "System"),
)  # fmt: skip
_ICONS = {"fine": ("%23808890", ""), "warning": ("%23b26a00", "!"), "bad": ("%23c0232c", "%C3%97")}
_ICON = Markup(
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='{colour}'/%3E"
    "%3Ctext x='8' y='12' font-size='11' text-anchor='middle' fill='white'%3E{glyph}%3C/text%3E%3C/svg%3E"
)
_STATIC = {"akjob.css": "text/css", "akjob.js": "text/javascript", "akjob-events.js": "text/javascript"}


class Frame(Struct, frozen=True, kw_only=True):
    """What is around every page."""

    host: str
    root: str
    version: str
    now: str
    pages: tuple[tuple[str, str], ...]
    css: str
    js: str
    events: str
    icon: str
    is_down: bool
    broken: int
    trouble: int
    attention: tuple[tuple[str, str], ...]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("akjob.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["iso"] = _iso
    environment.filters["local"] = _local
    environment.filters["instant"] = _instant
    environment.filters["relative"] = relative
    environment.filters["span"] = span
    environment.filters["size"] = size
    environment.filters["query"] = lambda given: urlencode({name: value for name, value in given.items() if value})
    environment.filters["urlencode"] = lambda text: quote(text, safe="/@")
    environment.globals |= {"glyphs": GLYPHS, "words": WORDS}
    return environment


def render(
    call: Call, template: str, summary: Summary, status: int = 200, *, live: bool = True, **values: Any
) -> Response:
    """Return a page. Values are escaped where they are shown; nothing else is evaluated."""
    text = (
        _environment()
        .get_template(template)
        .render(
            frame=_frame(call, summary),
            principal=call.principal,
            here=call.request.scope["path"],
            live=live,
            now_us=call.now_us,
            may_operate=call.principal.scope in {"operate", "admin"},
            may_admin=call.principal.scope == "admin",
            key=call.nonce,
            **values,
        )
    )
    return Response(text, status, media_type="text/html")


async def render_problem(call: Call, error: ProblemError) -> Response:
    """Return what went wrong as a page: the sentence, what to do, and the way back."""
    try:
        sight = await call.sight()
        summary = await call.site.read(lambda: summarize(sight))
    except AkjobError:  # what went wrong may be that the ledger cannot be read
        summary = NOTHING
    values = {"problem": error.problem, "back": _back(call)}
    response = render(call, "problem.html", summary, error.problem.status, live=False, **values)
    response.headers.update(error.headers)
    return response


def _back(call: Call) -> str:
    """Return the page that the request came from, as far as it is one of ours."""
    parts = urlsplit(call.request.headers.get("referer", ""))
    here = call.request.headers.get("host", "")
    return parts.path + (f"?{parts.query}" if parts.query else "") if parts.netloc == here and parts.path else "/"


def _icon(kind: str) -> Markup:
    """Return the page's icon as a data URL: a grey disc, an amber one with a mark, or a red one with a cross."""
    colour, glyph = _ICONS[kind]
    return _ICON.format(colour=colour, glyph=glyph)


def _frame(call: Call, summary: Summary) -> Frame:
    runs = lock_holder(lock_file(call.site.paths, "akjobd")) != 0
    down = () if runs else (("akjobd does not run: nothing starts, and this is what the ledger has", "/system"),)
    return Frame(
        host=socket.gethostname(),
        root=str(call.site.paths.root),
        version=__version__,
        now=f"{to_datetime(call.now_us):%H:%M:%S} UTC",
        pages=_PAGES,
        css=static_url("akjob.css"),
        js=static_url("akjob.js"),
        events=static_url("akjob-events.js"),
        icon=_icon("bad" if summary.trouble or down else "warning" if summary.attention else "fine"),
        is_down=bool(down),
        broken=summary.broken,
        trouble=summary.trouble,
        attention=(*down, *summary.attention),
    )


@cache
def static_files() -> dict[str, tuple[bytes, str]]:
    """Return the style sheet and the scripts by name, read once: no request ever names a path."""
    folder = files("akjob.web") / "static"
    return {name: ((folder / name).read_bytes(), kind) for name, kind in _STATIC.items()}


@cache
def static_url(name: str) -> str:
    """Return where a file is, with its hash: it may be kept for ever."""
    return f"/static/{name}?{hashlib.sha256(static_files()[name][0]).hexdigest()[:12]}"


def _iso(instant_us: int) -> str:
    return to_datetime(instant_us).isoformat(timespec="microseconds")[:26] + "Z"


def _instant(text: str) -> int:
    """Return an instant that git wrote, with the offset of its author."""
    return round(datetime.fromisoformat(text).timestamp() * SECOND)


def _local(instant_us: int, zone: str) -> str:
    moment = to_datetime(instant_us).astimezone(get_zone(zone))
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"
