"""The application: every route there is, behind the gate."""

from akjob.web import login, metrics, nodes
from akjob.web.api import table as api
from akjob.web.gate import Application
from akjob.web.pages import table as pages
from akjob.web.pages.rendering import render_problem
from akjob.web.routes import Route, RouteTable
from akjob.web.site import Site

_LOGIN = (
    Route(method="GET", path="/login", handler=login.log_in, needs="nothing"),
    Route(method="POST", path="/logout", handler=login.log_out, needs="login"),
    Route(method="GET", path="/healthz", handler=login.healthy, needs="nothing"),
    Route(method="GET", path="/readyz", handler=login.ready, needs="nothing"),
)

ROUTES = (*_LOGIN, *metrics.ROUTES, *api.ROUTES, *pages.ROUTES, *nodes.ROUTES)


def build_app(site: Site) -> Application:
    """Return the ASGI application of a site."""
    return Application(site, RouteTable(ROUTES), render_problem)
