"""The gate: every route, each credential. A route that is added is in these tests by itself."""

from typing import get_args

import pytest

from akjob.config.web import Address, ProxyConfig, WebConfig
from akjob.query.visibility import Scope
from akjob.web.app import ROUTES
from akjob.web.routes import Route
from tests.unit.cli.root import Root
from tests.unit.web.asked import CLOSED, PUBLIC, WRITING, asked, label, status
from tests.unit.web.serving import Served, served

ALLOWED: dict[str, set[str]] = {
    "login": {"read", "operate", "admin", "metrics"},
    "read": {"read", "operate", "admin"},
    "operate": {"operate", "admin"},
    "admin": {"admin"},
    "metrics": {"metrics", "admin"},
}


@pytest.mark.parametrize("route", CLOSED, ids=label)
def test_without_a_credential_every_route_is_closed(site: Served, route: Route) -> None:
    """401, whatever it is, and how to log in."""
    with asked(site.nobody(), route) as answer:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json() if answer.read()[:1] == b"{" else True


def test_only_four_routes_are_open() -> None:
    """Logging in, and whether the program is there; a fifth has to be written here, too."""
    assert {route.path for route in PUBLIC} <= {"/login", "/healthz", "/readyz"} | STATIC


STATIC = {route.path for route in PUBLIC if route.path.startswith("/static/")}


@pytest.mark.parametrize("route", CLOSED, ids=label)
def test_each_scope_may_do_what_it_says(site: Served, route: Route) -> None:
    """403 for what a scope does not grant; anything else but 401 and 403 for what it does."""
    found = {scope: status(site.token(scope), route) for scope in get_args(Scope)}
    assert {scope for scope, answer in found.items() if answer != 403} == ALLOWED[route.needs]
    assert 401 not in found.values()


def test_a_route_that_says_nothing_of_its_needs_is_for_admins() -> None:
    """Required by default is the type's default."""
    route = Route(method="GET", path="/x", handler=ROUTES[0].handler)
    assert [scope for scope in get_args(Scope) if route.grants(scope)] == ["admin"]


def test_what_is_not_in_the_table_is_not_there(site: Served) -> None:
    """Without a credential 401, so that nobody learns what there is; with one 404, or 405 with the methods."""
    assert site.nobody().get("/api/v1/configs").status_code == 401
    client = site.token("admin")
    assert client.get("/api/v1/configs").status_code == 404
    assert client.get("/api/v1/status/").status_code == 404
    answer = client.delete("/api/v1/status")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/healthz", "/x/healthz", "/api/v1/status?/healthz", "/api/v1/status#/login", "//"])
def test_no_text_in_a_url_opens_a_route(site: Served, path: str) -> None:
    """The route that is matched decides; what a path ends with does not."""
    answer = site.nobody().get(path)
    assert answer.status_code == (200 if path == "/healthz" else 401)


@pytest.mark.parametrize("route", ROUTES, ids=label)
def test_a_name_that_is_not_known_is_misdirected(site: Served, route: Route) -> None:
    """DNS rebinding ends here, for open routes and for those with a credential alike."""
    client = site.token("admin")
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1:80:80", "[::1", ""):
        assert status(client, route, headers={"Host": host}) == 421, host


def test_the_names_that_are_known(root: Root) -> None:
    """Those of listen, of public_url and hosts; with and without a port."""
    web = WebConfig(
        listen=(Address("127.0.0.1", 8470),), public_url="https://akjob.example.org", hosts=("jobs.example.org:8443",)
    )
    with served(root, web) as site:
        names = ["127.0.0.1", "localhost:9999", "[::1]:8470", "akjob.example.org", "AKJOB.example.org:443"]
        for host in [*names, "jobs.example.org", "jobs.example.org:1"]:
            assert site.nobody().get("/healthz", headers={"Host": host}).status_code == 200, host


@pytest.mark.parametrize("route", WRITING, ids=label)
def test_a_write_from_another_site_is_refused(site: Served, route: Route) -> None:
    """By Sec-Fetch-Site where a browser sends it, else by Origin; with a session and without a cookie's help."""
    browser = site.browser()
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": site.url},
        {"Sec-Fetch-Site": "none,same-origin"},
    ):
        assert status(browser, route, headers=headers) == 403, headers
    del browser.headers["Sec-Fetch-Site"]
    for origin in ("http://evil.example", "null", f"{site.url}.evil.example", "http://127.0.0.1", "file://", ""):
        assert status(browser, route, headers={"Origin": origin}) == 403, origin
    assert status(browser, route) == 403
    assert status(site.token("admin"), route, headers={"Sec-Fetch-Site": "cross-site"}) == 403


@pytest.mark.parametrize("route", WRITING, ids=label)
def test_a_write_from_here_is_taken(site: Served, route: Route) -> None:
    """From a page of this site, typed by a person, or sent by a program with a token."""
    assert status(site.token("admin"), route) != 403
    for headers in ({"Origin": site.url}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        browser = site.browser()
        del browser.headers["Sec-Fetch-Site"]
        assert status(browser, route, headers=headers) != 403, headers


@pytest.mark.parametrize("route", ROUTES, ids=label)
def test_every_answer_is_hardened(site: Served, route: Route) -> None:
    """No frame, no foreign script, no sniffing, no shared copy; in answers that are errors, too."""
    for client in (site.nobody(), site.token("admin")):
        with asked(client, route) as answer:
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "require-trusted-types-for 'script'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"]
            assert "server" not in answer.headers
            assert "access-control-allow-origin" not in answer.headers


def test_the_nonce_is_another_one_each_time(site: Served) -> None:
    """A nonce that can be foreseen is none."""
    client = site.browser()
    policies = {client.get("/").headers["content-security-policy"] for _ in range(3)}
    assert len(policies) == 3


class TestProxy:
    """A proxy in front: its word counts where it is trusted, and for the roles in the settings alone."""

    HEADERS = {"Remote-User": "ada", "Remote-Groups": "staff, ops"}  # noqa: RUF012 - never changed

    def settings(self, *sources: str) -> WebConfig:
        """Return settings that trust a proxy in some places."""
        return WebConfig(
            proxy=ProxyConfig(sources=sources, user_header="Remote-User", groups_header="Remote-Groups"),
            roles={"group:ops": "operate", "user:root": "admin", "group:staff": "read"},
        )

    def test_the_highest_role_counts(self, root: Root) -> None:
        """Of the user's and of all groups."""
        with served(root, self.settings("127.0.0.0/8")) as site:
            client = site.nobody()
            assert client.get("/api/v1/jobs", headers=self.HEADERS).status_code == 200
            same = {**self.HEADERS, "Sec-Fetch-Site": "same-origin"}
            assert client.post("/api/v1/runs", json={"job": "x"}, headers=same).status_code == 404
            assert client.get("/metrics", headers=self.HEADERS).status_code == 403

    def test_without_a_role_nothing(self, root: Root) -> None:
        """403 for whom the settings do not name, 401 where the proxy names nobody."""
        with served(root, self.settings("127.0.0.1/32")) as site:
            assert site.nobody().get("/api/v1/jobs", headers={"Remote-User": "eve"}).status_code == 403
            assert site.nobody().get("/api/v1/jobs").status_code == 401

    @pytest.mark.parametrize("sources", [("10.0.0.0/8",), ("unix",), ("::1/128",)])
    def test_elsewhere_the_headers_are_nothing(self, root: Root, sources: tuple[str, ...]) -> None:
        """Anybody can send them."""
        with served(root, self.settings(*sources)) as site:
            assert site.nobody().get("/api/v1/jobs", headers=self.HEADERS).status_code == 401
