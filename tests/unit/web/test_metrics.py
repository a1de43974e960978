"""/metrics and /metrics/jobs."""

from typing import NoReturn

import pytest
from prometheus_client.parser import text_string_to_metric_families

from akjob.errors import UnreachableError
from akjob.query.jobs import JobView, Snapshot
from akjob.web import asking
from tests.unit.web.serving import Served

HOURLY = 'command = ["true"]\n[schedule]\nevery = "1h"\n'


def names(text: str) -> set[str]:
    """Return the jobs that have series."""
    families = text_string_to_metric_families(text)
    return {
        sample.labels["job_name"] for family in families for sample in family.samples if "job_name" in sample.labels
    }


def test_the_metrics_need_a_credential_for_them(site: Served) -> None:
    """Not open, and nothing for a token that may read jobs; one for metrics may read nothing else."""
    assert site.nobody().get("/metrics").status_code == 401
    assert site.token("read").get("/metrics").status_code == 403
    client = site.token("metrics")
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "akjob_up 0.0" in answer.text.splitlines()
    assert client.get("/api/v1/jobs").status_code == 403


def test_a_token_s_jobs_limit_the_series(site: Served) -> None:
    """What its glob hides has no series; the query selects from the rest."""
    for name in ("a", "reports/b", "reports/c"):
        site.root.job(name, HOURLY)
    all_jobs = site.token("metrics")
    assert names(all_jobs.get("/metrics/jobs").text) == {"a", "reports/b", "reports/c"}
    assert names(all_jobs.get("/metrics/jobs", params={"match": "reports/*"}).text) == {"reports/b", "reports/c"}
    limited = site.token("metrics", jobs="reports/b")
    assert names(limited.get("/metrics/jobs").text) == {"reports/b"}
    assert names(limited.get("/metrics/jobs", params={"match": "a"}).text) == set()


def test_the_series_of_jobs_cost_what_is_shown(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Akjobd is not asked, which may be busy, and no job is looked at that has no series."""
    for name in ("a", "reports/b", "reports/c"):
        site.root.job(name, HOURLY)
    client = site.token("metrics")
    assert client.get("/metrics/jobs").status_code == 200
    asked, looks = list[object](), list[str]()
    look = Snapshot.job

    def noted(snapshot: Snapshot, name: str) -> JobView:
        looks.append(name)
        return look(snapshot, name)

    def ask(*given: object) -> NoReturn:
        asked.append(given)
        raise UnreachableError("akjobd does not answer")

    monkeypatch.setattr(Snapshot, "job", noted)
    monkeypatch.setattr(asking, "ask", ask)
    assert names(client.get("/metrics/jobs", params={"match": "reports/*"}).text) == {"reports/b", "reports/c"}
    assert (asked, looks) == ([], ["reports/b", "reports/c"])
    assert client.get("/metrics").status_code == 200
    assert len(asked) == 1
