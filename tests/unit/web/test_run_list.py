"""The page of all runs: what narrows it, what is counted, and the files of it."""

import csv
import io
import json

import pytest

from akjob.query.runs import Run
from tests.unit.cli.root import Root
from tests.unit.web.serving import Served


@pytest.fixture
def root(root: Root) -> Root:
    """Make three jobs with some runs of the last two days."""
    for name, tags in {"load": '["db"]', "report/sales": "[]", "tick": '["db"]'}.items():
        spec = root.job(name, f'command = "true"\ntags = {tags}\n')
        assert spec is not None
        root.loaded(spec)
    root.run("l1", "load", -10, state="failed", reason='=HYPERLINK("x")')
    root.run("l2", "load", -2000, state="failed")
    root.run("s1", "report/sales", -20, state="succeeded")
    root.run("t1", "tick", -30, state="missed")
    return root


def shown(site: Served, **query: str) -> list[str]:
    """Return the runs that the page shows."""
    text = site.browser().get("/runs", params=query).text
    return [one for one in ("l1", "l2", "s1", "t1") if f'href="/runs/{one}"' in text]


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ({}, ["l1", "l2", "s1", "t1"]),
        ({"job": "load"}, ["l1", "l2"]),
        ({"q": "sales"}, ["s1"]),
        ({"q": "tag:db"}, ["l1", "l2", "t1"]),
        ({"q": "tag:db", "state": "failed"}, ["l1", "l2"]),
        ({"q": "nothing"}, []),
        ({"since": "24h"}, ["l1", "s1", "t1"]),
        ({"since": "25m", "until": "15m"}, ["s1"]),
        ({"job": "load", "until": "24h"}, ["l2"]),
    ],
)
def test_what_narrows_the_runs(site: Served, query: dict[str, str], runs: list[str]) -> None:
    """Words about the jobs, a state, and the range of the slots, by how long ago or by the time."""
    assert shown(site, **query) == runs


def test_a_range_is_given_as_a_time_too(site: Served) -> None:
    """In UTC where no offset is given; what is none of them is said."""
    assert shown(site, since="2000-01-01", until="2001-01-01T05:00") == []
    assert shown(site, since="2000-01-01T00:00:00+02:00") == ["l1", "l2", "s1", "t1"]
    for wrong in ("yesterday", "6", "99999d", "2026-13-01"):
        assert site.browser().get("/runs", params={"since": wrong}).status_code == 422


def test_exceptions_are_counted(site: Served) -> None:
    """Exactly, by state, within the range; each count leads to its runs."""
    text = site.browser().get("/runs", params={"since": "24h"}).text
    assert '<a href="/runs?state=failed&amp;since=24h">failed <span class="n">1</span></a>' in text
    assert 'state=missed&amp;since=24h">missed <span class="n">1</span>' in text
    assert "timed_out" not in text.partition("Narrow to")[2].partition("</ul>")[0]
    assert "3 rows" in text


def test_nothing_is_counted_for_whoever_sees_a_part(site: Served) -> None:
    """A number of all jobs would tell of the hidden ones."""
    client = site.token("read", jobs="load")
    text = client.get("/runs", headers={"Accept": "text/html"}).text
    assert " rows" not in text
    assert "missed <span" not in text
    assert "2 rows" in client.get("/runs", params={"job": "load"}).text
    assert "tick" not in client.get("/runs", params={"as": "csv"}).text


def test_the_runs_as_a_file(site: Served) -> None:
    """CSV with a line of names, in which nothing is a formula; JSON lines with the keys of history."""
    client = site.browser()
    answer = client.get("/runs", params={"as": "csv", "job": "load"})
    assert "runs.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == ["l1", "l2"]
    assert list(rows[0]) == list(Run.__struct_fields__)
    assert rows[0]["reason"] == '\'=HYPERLINK("x")'
    lines = client.get("/runs", params={"as": "jsonl", "q": "sales"}).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["s1"]


def test_a_link_keeps_what_is_chosen(site: Served) -> None:
    """The URL is the state: a chip changes one thing."""
    text = site.browser().get("/runs", params={"job": "load", "state": "failed", "since": "7d"}).text
    assert 'href="/runs?state=failed&amp;since=7d" aria-current="true">only \u201cload\u201d' in text
    assert 'href="/runs?job=load&amp;state=failed&amp;since=1h">last hour' in text


def test_a_cluster_says_where_each_ran(site: Served, root: Root) -> None:
    """A column for the node, where there is one."""
    assert ">Node</th>" not in site.browser().get("/runs").text
    root.run("n1", "tick", -1, state="succeeded", node="east-2")
    text = site.browser().get("/runs").text
    assert ">Node</th>" in text
    assert '<td class="small">east-2</td>' in text
