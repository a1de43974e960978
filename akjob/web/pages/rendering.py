"""Templates: read once, escaped always, and given values alone."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from akjob.web.site import Call


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("akjob.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(call: Call, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page. ``nonce`` is what its scripts and styles carry."""
    text = _environment().get_template(template).render(nonce=call.nonce, principal=call.principal, **values)
    return Response(text, status, media_type="text/html")
