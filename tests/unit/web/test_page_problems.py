"""What goes wrong on a page is a page for a person, and ``application/problem+json`` for a program."""

from html import escape
from typing import Any

import pytest

from akjob.control.requests import Request, RunClaimed, RunJob
from akjob.web.pages import rendering
from akjob.web.problems import MEDIA_TYPE
from tests.unit.cli.root import Root
from tests.unit.web.serving import Served

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
EVIL = "<script>alert(1)</script>"
UNKNOWN = {
    "a job": (f"/jobs/{EVIL}", f"'{EVIL}'", "unknown-job"),
    "a run": (f"/runs/{EVIL[:8]}", f"'{EVIL[:8]}'", "unknown-run"),
    "a file": (f"/static/{EVIL[:8]}", "there is no such file", "not-found"),
    "a page": ("/nowhere", "there is no such page", "not-found"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_there_is_said_on_a_page(site: Served, what: str) -> None:
    """404 with the frame and the sentence, in which the asked name is text and no markup."""
    path, said, _ = UNKNOWN[what]
    answer = site.browser().get(path, headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert escape(said).replace("&#x27;", "&#39;") in answer.text
    assert EVIL[:8] not in answer.text.partition("<main")[2]
    assert 'aria-label="Pages"' in answer.text


@pytest.mark.parametrize("what", UNKNOWN)
def test_a_program_gets_the_problem_as_json(site: Served, what: str) -> None:
    """The same problem, with its code, for whoever does not ask for HTML."""
    path, said, code = UNKNOWN[what]
    answer = site.browser().get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, MEDIA_TYPE)
    assert answer.json()["code"] == code
    assert said in answer.json()["detail"]


def test_the_api_answers_in_json_whoever_asks(site: Served) -> None:
    """A route of the API says what is wrong as its description has it."""
    answer = site.browser().get("/api/v1/jobs/none", headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (404, MEDIA_TYPE)


def test_the_page_of_a_problem_says_no_more_than_its_reader_may_know(root: Root, site: Served) -> None:
    """Another's job is as one that is not there, and a token for metrics sees no page."""
    root.job("theirs/canary", 'command = ["true"]\n')
    client = site.token("read", jobs="mine/**")
    found, absent = (client.get(f"/jobs/theirs/{name}", headers=BROWSER) for name in ("canary", "absent"))
    assert found.status_code == absent.status_code == 404
    nonces = [one.headers["content-security-policy"] for one in (found, absent)]
    assert nonces[0] != nonces[1]
    assert found.text.replace("canary", "absent") == absent.text
    assert site.token("metrics").get("/", headers=BROWSER).headers["content-type"] == MEDIA_TYPE


def test_a_page_says_so_when_the_ledger_cannot_be_read(root: Root, site: Served) -> None:
    """The browser gets a page with what to do, in the frame that is left."""
    root.paths.db.write_bytes(b"this is no ledger" * 1000)
    answer = site.browser().get("/", headers=BROWSER)
    assert answer.status_code >= 400
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "ledger" in answer.text


def test_every_page_says_that_akjobd_does_not_run(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown is what the ledger has, and nothing starts; while it runs nothing is said of it."""
    client = site.browser()
    assert "akjobd does not run" in client.get("/runs").text
    monkeypatch.setattr(rendering, "lock_holder", lambda _file: 1)
    assert "akjobd does not run" not in client.get("/runs").text


class TestForms:
    """A form that is sent twice does once what it says."""

    def sent(self, root: Root, site: Served, *forms: dict[str, str]) -> tuple[list[str], list[RunJob]]:
        """Send forms to run a job; return where each led to, and what akjobd was asked."""
        asked: list[RunJob] = []

        def answer(request: Request[Any]) -> RunClaimed | None:
            if not isinstance(request, RunJob):
                return None
            asked.append(request)
            return RunClaimed(run=f"01m85ajwkd{len(asked):06}")

        root.job("greet", 'callable = "builtins:print"\nkwargs = { sep = "-" }\n')
        client = site.browser()
        with root.akjobd(answer):
            found = [client.post("/do/run", data=form) for form in forms]
        assert {one.status_code for one in found} == {303}, [one.text for one in found]
        return [one.headers["location"] for one in found], asked

    def test_the_same_form_runs_the_job_once(self, root: Root, site: Served) -> None:
        """Both answers lead to the same run."""
        form = {"job": "greet", "key": "of-the-page", "arg:sep": '"+"'}
        where, asked = self.sent(root, site, form, form)
        assert where == ["/runs/01m85ajwkd000001"] * 2
        assert [one.args for one in asked] == [{"sep": "+"}]

    def test_other_arguments_from_the_same_page_are_another_run(self, root: Root, site: Served) -> None:
        """Back, another value, Run: that is not the run before."""
        form = {"job": "greet", "key": "of-the-page", "arg:sep": '"+"'}
        where, asked = self.sent(root, site, form, form | {"arg:sep": '"*"'}, form | {"reason": "again"})
        assert len(set(where)) == 3
        assert [(one.args, one.reason) for one in asked] == [
            ({"sep": "+"}, None),
            ({"sep": "*"}, None),
            ({"sep": "+"}, "again"),
        ]

    def test_a_form_without_a_key_is_taken_each_time(self, root: Root, site: Served) -> None:
        """Nothing tells that it was sent before."""
        where, _ = self.sent(root, site, {"job": "greet"}, {"job": "greet"})
        assert len(set(where)) == 2
