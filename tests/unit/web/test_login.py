"""Logging in and out: codes, sessions, tokens."""

from akjob.instants import DAY, MINUTE
from akjob.web.credentials import cookie_name
from tests.unit.web.serving import Served


def test_a_code_opens_one_session(site: Served) -> None:
    """The first GET of the URL sets the cookie and leads to the page; the second is 401."""
    code = site.store.create_code("ada", site.clock.now_us)
    client = site.nobody()
    answer = client.get("/login", params={"code": code})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{cookie_name(site.root.paths)}=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert client.get("/").status_code == 200
    assert site.nobody().get("/login", params={"code": code}).status_code == 401


def test_a_code_is_good_for_ten_minutes(site: Served) -> None:
    """An old URL opens nothing."""
    code = site.store.create_code("ada", site.clock.now_us)
    site.clock.now_us += 10 * MINUTE
    assert site.nobody().get("/login", params={"code": code}).status_code == 401


def test_a_preview_of_the_url_does_not_use_it_up(site: Served) -> None:
    """Chat programs send HEAD to what is pasted into them."""
    code = site.store.create_code("ada", site.clock.now_us)
    answer = site.nobody().head("/login", params={"code": code})
    assert "set-cookie" not in answer.headers
    assert site.nobody().get("/login", params={"code": code}).status_code == 303


def test_log_out_ends_the_session_on_this_side(site: Served) -> None:
    """The cookie of a session that was ended is of no use to whoever has a copy."""
    client = site.browser()
    cookies = dict(client.cookies)
    answer = client.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    copy = site.nobody()
    copy.cookies.update(cookies)
    assert copy.get("/").status_code == 401


def test_a_session_ends_by_itself(site: Served) -> None:
    """A week after the login, used or not."""
    client = site.browser()
    site.clock.now_us += 7 * DAY - 1
    assert client.get("/").status_code == 200
    site.clock.now_us += 1
    assert client.get("/").status_code == 401


def test_a_person_without_a_session_gets_a_page_and_a_program_a_problem(site: Served) -> None:
    """Both are 401."""
    page = site.nobody().get("/", headers={"Accept": "text/html"})
    assert page.status_code == 401
    assert "akjob web" in page.text
    problem = site.nobody().get("/api/v1/status")
    assert (problem.status_code, problem.headers["content-type"]) == (401, "application/problem+json")
    assert problem.json()["code"] == "no-credential"


def test_a_token_that_was_revoked_or_has_expired_is_none(site: Served) -> None:
    """Neither gets an answer."""
    client = site.token(name="short")
    assert client.get("/api/v1/status").status_code == 200
    site.store.revoke_token("short")
    assert client.get("/api/v1/status").status_code == 401
    made = site.store.create_token("brief", "read", None, site.clock.now_us + DAY, site.clock.now_us)
    bearer = {"Authorization": f"Bearer {made.token}"}
    assert site.nobody().get("/api/v1/status", headers=bearer).status_code == 200
    site.clock.now_us += DAY
    assert site.nobody().get("/api/v1/status", headers=bearer).status_code == 401


def test_a_bad_token_is_not_made_good_by_a_session(site: Served) -> None:
    """What is sent as a token counts as one."""
    client = site.browser()
    assert client.get("/api/v1/status", headers={"Authorization": "Bearer akj_no"}).status_code == 401


def test_no_secret_is_in_the_database(site: Served) -> None:
    """Codes, sessions and tokens are there as hashes."""
    code = site.store.create_code("ada", site.clock.now_us)
    client = site.browser()
    token = site.store.create_token("x", "read", None, None, site.clock.now_us).token
    data = b"".join(file.read_bytes() for file in site.root.paths.var.glob("web.db*"))
    assert b"sessions" in data
    for secret in (code, token, *dict(client.cookies).values()):
        assert secret.encode() not in data


def test_the_database_is_for_its_owner_alone(site: Served) -> None:
    """Mode 0600, the files beside it too."""
    modes = {file.stat().st_mode & 0o777 for file in site.root.paths.var.glob("web.db*")}
    assert modes == {0o600}
