"""The metrics: every name there is, with the values that ledger, folder and akjobd have."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from msgspec import Struct
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from akjob import metrics
from akjob.config import Config, load_config
from akjob.control.requests import StatusIs
from akjob.control.status import JobCounts, LoadedRevision, Status
from akjob.instants import DAY, HOUR, SECOND, from_text
from akjob.ledger import Writes, open_reader, open_store
from akjob.metrics.intervals import Intervals, gap_around
from akjob.notify.outbox import Outbox
from akjob.query.jobs import JobSetView, load
from akjob.spec import load_definition
from tests.unit.cli.root import NOW, NOW_US, Root
from tests.unit.ledger.samples import life, moved

HOURLY = 'command = ["true"]\n[schedule]\nevery = "1h"\n'
GLOBAL = {
    "akjob_build_info", "akjob_up", "akjob_jobs", "akjob_revision_info", "akjob_accounted_until_timestamp_seconds",
    "akjob_slots", "akjob_runs", "akjob_runs_running", "akjob_runs_queued", "akjob_start_lateness_seconds",
    "akjob_ledger_bytes", "akjob_log_bytes", "akjob_notifications", "akjob_notifications_pending",
}  # fmt: skip
OF_A_JOB = {
    "akjob_job_info", "akjob_job_next_slot_timestamp_seconds", "akjob_job_last_success_timestamp_seconds",
    "akjob_job_last_failure_timestamp_seconds", "akjob_job_last_duration_seconds", "akjob_job_last_peak_memory_bytes",
    "akjob_job_consecutive_failures", "akjob_job_paused", "akjob_job_broken", "akjob_job_running",
    "akjob_job_expected_interval_seconds", "akjob_job_slots", "akjob_job_run_seconds",
}  # fmt: skip
STATUS = StatusIs(
    status=Status(
        root="/r",
        programs={},
        jobs=JobCounts(loaded=2, broken=0),
        revision=LoadedRevision(git_commit="c0ffee", git_dirty=True),
        broken=(),
        running=(),
        accounted_until="2026-03-28T11:59:59.500000Z",
        queued={"lock": 2},
    )
)


class Text(Struct):
    """What was printed: the families' names, and the samples by name and labels."""

    families: set[str]
    samples: dict[tuple[str, ...], float]

    @classmethod
    def read(cls, text: str) -> "Text":
        """Read it as Prometheus' own parser does."""
        families = list(text_string_to_metric_families(text))
        samples = {(one.name, *map(str, one.labels.values())): one.value for got in families for one in got.samples}
        return cls({family.name for family in families}, samples)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """Return a root, as it is on 28 March 2026, at noon."""
    with time_machine.travel(NOW, tick=False):
        yield Root(tmp_path)


def printed(root: Root, *options: str) -> Text:
    """Return what ``akjob metrics`` prints."""
    result = root.akjob("metrics", *options)
    assert result.exit_code == 0, result.output
    return Text.read(result.stdout)


def filled(root: Root) -> Root:
    """Give the root two jobs, with runs."""
    for name, text in (("a", 'owner = "ann"\ntags = ["x", "y"]\n' + HOURLY), ("reports/b", HOURLY)):
        spec = root.job(name, text)
        assert spec is not None
        root.loaded(spec)
    ends = [
        *life("1", at=NOW_US - 2 * HOUR, max_rss_bytes=1 << 20),
        *life("2", "failed", at=NOW_US - HOUR, exit_code=3),
        moved("3", None, "missed", job="reports/b", count=4),
    ]
    root.ledger(Writes(transitions=ends))
    return root


def test_every_name_is_there(root: Root) -> None:
    """The names of the documentation and no others; without --jobs none of a job."""
    filled(root)
    with root.akjobd(lambda _asked: STATUS):
        assert printed(root).families == GLOBAL
        assert printed(root, "--jobs").families == GLOBAL | OF_A_JOB


def test_what_akjobd_says(root: Root) -> None:
    """It is up, what waits for what, up to when all slots have a row, and the commit."""
    filled(root)
    with root.akjobd(lambda _asked: STATUS):
        samples = printed(root).samples
    assert samples["akjob_up",] == 1
    assert samples["akjob_accounted_until_timestamp_seconds",] == NOW_US / 1e6 - 0.5
    assert samples["akjob_revision_info", "c0ffee", "true"] == 1
    assert {what: samples["akjob_runs_queued", what] for what in ("lock", "pool", "max_running", "overlap")} == {
        "lock": 2, "pool": 0, "max_running": 0, "overlap": 0,
    }  # fmt: skip


def test_what_the_ledger_counts(root: Root) -> None:
    """Slots, runs and lateness since the ledger was made; the histogram's buckets are cumulative."""
    samples = printed(filled(root)).samples
    assert {outcome: samples["akjob_slots_total", outcome] for outcome in ("ran", "skipped", "missed")} == {
        "ran": 2, "skipped": 0, "missed": 4,
    }  # fmt: skip
    assert samples["akjob_runs_total", "failed", "schedule"] == 1
    assert samples["akjob_start_lateness_seconds_bucket", "0.0025"] == 0
    assert samples["akjob_start_lateness_seconds_bucket", "0.005"] == 2
    assert samples["akjob_start_lateness_seconds_bucket", "+Inf"] == 2
    assert samples["akjob_start_lateness_seconds_count",] == 2
    assert samples["akjob_start_lateness_seconds_sum",] == pytest.approx(0.008)
    assert samples["akjob_ledger_bytes",] >= root.paths.db.stat().st_size > 0


def test_messages(root: Root) -> None:
    """What each channel was sent, what it never took, and what waits."""
    outbox = Outbox(root.paths.notify_db)
    for _ in range(3):
        outbox.post("ops", "failed", ["a"], {}, NOW_US)
    sent, dead, _waits = outbox.due(NOW_US)
    outbox.sent(sent, NOW_US)
    outbox.failed(dead, "no such host", NOW_US, for_good=True)
    outbox.close()
    samples = printed(root).samples
    assert samples["akjob_notifications_total", "ops", "sent"] == 1
    assert samples["akjob_notifications_total", "ops", "dead"] == 1
    assert samples["akjob_notifications_pending",] == 1


def page() -> str:
    """Return what the page of the metrics says of each, without OpenTelemetry's names for some of them."""
    text = (Path(__file__).parents[3] / "docs" / "reference" / "metrics.md").read_text()
    return text.partition("\n## OpenTelemetry\n")[0]


def test_every_name_has_a_line_in_the_documentation() -> None:
    """And the documentation has no other name."""
    assert set(re.findall(r"^\| `(akjob_\w+)", page(), re.MULTILINE)) == {
        {
            "akjob_slots": "akjob_slots_total",
            "akjob_runs": "akjob_runs_total",
            "akjob_notifications": "akjob_notifications_total",
            "akjob_job_slots": "akjob_job_slots_total",
        }.get(name, name)
        for name in GLOBAL | OF_A_JOB
    }


def test_every_label_is_in_the_documentation(root: Root) -> None:
    """And the documentation names no other; a histogram's ``le`` is Prometheus' own."""
    rows = re.findall(r"^\| `(akjob_\w+)` \|(.*?)\|", page(), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    filled(root)
    with root.akjobd(lambda _asked: STATUS):
        text = root.akjob("metrics", "--jobs").stdout
    seen = set()
    for name, labels in re.findall(r"^(akjob_\w+)\{(.*)\} ", text, re.MULTILINE):
        known = name if name in documented else re.sub(r"_(bucket|sum|count|created)$", "", name)
        own = {"le", "job_name"} if known.startswith("akjob_job_") else {"le"}
        assert set(re.findall(r'(\w+)="', labels)) - own == documented[known], name
        seen.add(known)
    assert len(seen) > len("several")


def test_without_akjobd(root: Root) -> None:
    """akjob_up is 0, and what it would have had to account for begins at the first slot without a row."""
    for name in ("a", "late"):
        spec = root.job(name, HOURLY)
        assert spec is not None
        root.loaded(spec, watermark_us=NOW_US - (3 * HOUR if name == "late" else 0))
    samples = printed(root).samples
    assert samples["akjob_up",] == 0
    assert samples["akjob_accounted_until_timestamp_seconds",] == (NOW_US - 2 * HOUR) / 1e6


def test_jobs_by_status(root: Root) -> None:
    """A job that is broken but has a last good version is loaded, too."""
    for name, other in (("ready", {}), ("paused", {"paused_at_us": 1}), ("done", {"runs_started": 2})):
        text = HOURLY + ("[limits]\nruns = 2\n" if name == "done" else "")
        spec = root.job(name, text)
        assert spec is not None
        root.loaded(spec, **other)
    root.job("off", "enabled = false\n" + HOURLY)
    root.job("bad", "no = 1\n")
    samples = printed(root, "--jobs").samples
    assert {key[1]: value for key, value in samples.items() if key[0] == "akjob_jobs"} == {
        "loaded": 4, "broken": 1, "paused": 1, "disabled": 1, "done": 1,
    }  # fmt: skip
    assert samples["akjob_job_broken", "bad"] == 1
    assert samples["akjob_job_paused", "paused"] == 1


def test_a_job(root: Root) -> None:
    """Its label is job_name; what never happened has no series."""
    samples = printed(filled(root), "--jobs").samples
    assert samples["akjob_job_info", "a", "UTC", "x,y", "ann"] == 1
    assert samples["akjob_job_next_slot_timestamp_seconds", "a"] == (NOW_US + HOUR) / 1e6
    assert samples["akjob_job_last_success_timestamp_seconds", "a"] == (NOW_US - 2 * HOUR) / 1e6
    assert samples["akjob_job_last_failure_timestamp_seconds", "a"] == (NOW_US - HOUR) / 1e6
    assert samples["akjob_job_last_duration_seconds", "a"] == 2
    assert samples["akjob_job_consecutive_failures", "a"] == 1
    assert samples["akjob_job_expected_interval_seconds", "a"] == 3600
    assert samples["akjob_job_slots_total", "reports/b", "missed"] == 4
    assert (samples["akjob_job_run_seconds_sum", "a"], samples["akjob_job_run_seconds_count", "a"]) == (4, 2)
    assert ("akjob_job_last_success_timestamp_seconds", "reports/b") not in samples


def test_labels_are_escaped(root: Root) -> None:
    """A quotation mark or a backslash in an owner breaks no line."""
    root.job("a", 'owner = "a\\"b\\\\c\\nd"\n' + HOURLY)
    assert printed(root, "--jobs").samples["akjob_job_info", "a", "UTC", "", 'a"b\\c\nd'] == 1


@pytest.mark.parametrize(
    ("options", "jobs"),
    [
        ((), {"a", "reports/b", "reports/eu/c"}),
        (("--tag", "x"), {"a"}),
        (("--match", "reports/*"), {"reports/b"}),
        (("--match", "reports/**"), {"reports/b", "reports/eu/c"}),
        (("--match", "reports/**", "--tag", "x"), set()),
    ],
)
def test_which_jobs_have_series(root: Root, options: tuple[str, ...], jobs: set[str]) -> None:
    """Those with a tag, those whose name fits; ``*`` does not cross a slash."""
    filled(root).job("reports/eu/c", HOURLY)
    samples = printed(root, "--jobs", *options).samples
    assert {key[1] for key in samples if key[0] == "akjob_job_broken"} == jobs


def test_of_many_jobs_only_those_with_the_tag(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a bound a job has series if it has the tag ``metrics``, or if it is asked for."""
    monkeypatch.setattr("akjob.metrics.jobs.MANY", 1)
    filled(root).job("c", 'tags = ["metrics"]\n' + HOURLY)
    seen = {key[1] for key in printed(root, "--jobs").samples if key[0] == "akjob_job_broken"}
    asked = {key[1] for key in printed(root, "--jobs", "--match", "a").samples if key[0] == "akjob_job_broken"}
    assert (seen, asked) == ({"c"}, {"a"})


def test_a_text_file_is_replaced(root: Root, tmp_path: Path) -> None:
    """Nobody ever reads half of it, and nothing is printed."""
    file = tmp_path / "akjob.prom"
    file.write_text("old")
    old = file.stat().st_ino
    result = filled(root).akjob("metrics", "--textfile", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "akjob_up" in Text.read(file.read_text()).families
    assert file.stat().st_ino != old
    assert root.akjob("metrics", "--textfile", str(tmp_path / "no" / "x")).exit_code == 1


def test_counters_never_fall(root: Root) -> None:
    """Neither a new akjobd nor pruning takes anything off them."""
    filled(root)
    root.run("r", "a", -600, state="succeeded", ended_us=NOW_US - 600 * 60 * SECOND)
    before = printed(root, "--jobs").samples
    store = open_store(root.paths.ledger_url)
    while store.prune(HOUR, NOW_US + 400 * DAY, 10):
        pass
    store.close()
    assert open_reader(root.paths.ledger_url).history() == []
    after = printed(root, "--jobs").samples
    assert {key: value for key, value in after.items() if "_bytes" not in key[0]} == {
        key: value for key, value in before.items() if "_bytes" not in key[0]
    }


def test_a_thousand_jobs_cost_no_more_questions_than_one(root: Root) -> None:
    """The ledger is asked as often for many jobs as for few, and the text has below 300 lines."""
    filled(root)
    url = root.paths.ledger_url
    few = _statements(root)
    specs = [load_definition(f"many/j{n}", f"jobs.d/many/j{n}.toml", HOURLY) for n in range(1000)]
    ends = [one for spec in specs for one in life(spec.name, job=spec.name)]
    root.ledger(Writes(transitions=ends))
    folder = JobSetView(root.paths, config_of(root))
    small = folder.snapshot(NOW_US, open_reader(url))
    jobs = {**small.jobset.jobs, **{spec.name: spec for spec in specs}}
    snapshot = replace(small, jobset=replace(small.jobset, jobs=jobs))
    assert _statements(root) == few
    facts = metrics.gather(root.paths, snapshot, None, open_reader(url))
    assert metrics.render(facts).count(b"\n") < 300
    counters = open_reader(url).job_counters()
    text = Text.read(metrics.render_jobs(snapshot, counters, metrics.Selection()).decode())
    assert sum(key[0] == "akjob_job_broken" for key in text.samples) == 1002


def _statements(root: Root) -> int:
    """Count what the metrics ask of the ledger."""
    asked: list[str] = []
    connect = sqlite3.connect

    def traced(*values: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*values, **named)
        connection.set_trace_callback(asked.append)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        reader = open_reader(root.paths.ledger_url)
        facts = metrics.gather(root.paths, load(root.paths, config_of(root), NOW_US, reader), None, reader)
        metrics.render(facts)
    return len(asked)


# ---------------------------------------------------------------------- the gap around an instant

FRIDAY = from_text("2026-03-27T18:00:00Z")


@pytest.mark.parametrize(
    ("schedule", "at", "hours"),
    [
        ('every = "1h"', "2026-03-27T18:30:00Z", 1),
        ('cron = "*/5 9-17 * * 1-5"', "2026-03-27T18:00:00Z", 63 + 5 / 60),
        ('cron = "*/5 9-17 * * 1-5"', "2026-03-27T17:01:00Z", 5 / 60),
        ("weekly = { days = ['mon', 'thu'], at = 09:00:00 }", "2026-03-27T18:00:00Z", 96),
        ("weekly = { days = ['mon', 'thu'], at = 09:00:00 }", "2026-03-24T18:00:00Z", 72),
        ("daily = 02:30:00\ntimezone = 'Europe/Berlin'", "2026-03-29T00:00:00Z", 23.5),
        ("daily = 02:30:00\ntimezone = 'Europe/Berlin'", "2026-03-29T12:00:00Z", 23.5),
        ("at = 2026-03-28T00:00:00Z", "2026-03-27T18:00:00Z", None),
        ("again_after = '2h'", "2026-03-27T18:00:00Z", 2),
    ],
)
def test_the_expected_interval_is_that_of_the_exact_schedule(schedule: str, at: str, hours: float | None) -> None:
    """Over a weekend it is the weekend, over a night of the clocks' change what that night is."""
    spec = load_definition("a", "jobs.d/a.toml", f'command = ["true"]\n[schedule]\n{schedule}\n')
    gap = Intervals().gap_us(spec, from_text(at))
    assert gap == (None if hours is None else round(hours * HOUR))


def test_a_gap_is_computed_once_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the next slot comes, or the definition changes, the answer is kept."""
    computed: list[int] = []

    def counted(spec: Any, now_us: int) -> tuple[int, int] | None:
        computed.append(now_us)
        return gap_around(spec, now_us)

    monkeypatch.setattr("akjob.metrics.intervals.gap_around", counted)
    intervals, spec = Intervals(), load_definition("a", "jobs.d/a.toml", HOURLY)
    for minutes in (0, 10, 59, 60, 61):
        assert intervals.gap_us(spec, FRIDAY + minutes * 60 * SECOND) == HOUR
    assert computed == [FRIDAY, FRIDAY + HOUR]


def config_of(root: Root) -> Config:
    """Return the root's settings."""
    return load_config(root.paths.config_file)[0]
