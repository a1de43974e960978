"""The routes of the pages."""

from akjob.web.pages import home
from akjob.web.routes import Route

ROUTES = (Route(method="GET", path="/", handler=home.show_home, needs="read"),)
