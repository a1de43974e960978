"""/metrics and /metrics/jobs."""

from prometheus_client.parser import text_string_to_metric_families

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
