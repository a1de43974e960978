"""What a message knows of a job: from a ledger, a folder and a log of its own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob.config import Config, Paths, load_config
from akjob.config.notify import Channel
from akjob.instants import HOUR, from_text, to_text
from akjob.ledger import JobRow, RunRow, Store, Writes, open_reader, open_store
from akjob.notify.facts import JobFacts
from akjob.notify.gathering import paces_of
from akjob.notify.model import Note
from akjob.notify.text import Origin, text
from akjob.spec import load_definition

AT = from_text("2026-03-02T09:30:00Z")


class Root:
    """A root with jobs whose runs the test writes."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        for folder in (self.paths.etc, self.paths.log_dir, self.paths.jobs_d / "reports"):
            folder.mkdir(parents=True)
        self.store: Store = open_store(self.paths.ledger_url)

    def job(self, name: str, text: str = "") -> None:
        """Load a job, as akjobd would."""
        spec = load_definition(name, f"jobs.d/{name}.toml", f'command = ["true"]\n{text}\n')
        row = JobRow(
            job=name,
            watermark_us=0,
            first_loaded_us=0,
            last_loaded_us=0,
            file=spec.file,
            definition_sha256=spec.sha256,
            definition=spec.definition,
        )
        self.store.commit(Writes(loaded=[row]))

    def run(self, run: str, job: str, at_us: int, state: Any, **values: Any) -> None:
        """Write the row of a run that ended."""
        times: Any = dict.fromkeys(("slot_us", "slot_last_us", "queued_us", "started_us", "ended_us"), at_us)
        self.store.commit(Writes(claims=[RunRow(id=run, job=job, state=state, **times, **values)]))

    def log(self, run: str, *lines: dict[str, Any]) -> None:
        """Write lines of a run's output."""
        base = {"timestamp": to_text(AT), "level": "info", "event": "run.output", "source": "run", "run": run}
        with (self.paths.log_dir / "akjob.jsonl").open("ab") as file:
            for seq, line in enumerate(lines, 1):
                file.write(msgspec.json.encode({**base, "job": "a", "seq": seq, "stream": "stdout", **line}) + b"\n")

    @property
    def facts(self) -> JobFacts:
        """Return the facts by the settings as they are now."""
        config, problems = load_config(self.paths.config_file)
        assert problems == []
        return JobFacts(self.paths, config, open_reader(self.paths.ledger_url))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """Return a root of its own."""
    made = Root(tmp_path)
    yield made
    made.store.close()


def note(job: str, run: str) -> Note:
    """Return the note of a failed run."""
    return Note(kind="failed", at_us=AT, job=job, run=run, slot_us=AT)


def test_jobs_below_a_defaults_file_that_changed_have_it_in_common(root: Root) -> None:
    """Their definitions are others than at the last success, and the nearest such file was written since."""
    defaults = root.paths.jobs_d / "reports" / "_defaults.toml"
    defaults.touch()
    root.job("reports/a")
    root.run("1", "reports/a", AT - HOUR, "succeeded", definition_sha256="x")
    root.run("2", "reports/a", AT, "failed", definition_sha256="y", error="KeyError: 1")
    for written_us, expected in ((AT - 2 * HOUR, ()), (AT - 1000, ("since jobs.d/reports/_defaults.toml changed",))):
        os.utime(defaults, ns=(written_us * 1000, written_us * 1000))
        report = root.facts.report(note("reports/a", "2"))
        assert report.common == (*expected, "KeyError: 1")
        assert report.changed == ("the definition",)


def test_files_that_were_not_committed_are_named_beside_the_commit(root: Root) -> None:
    """The commit alone would name files that it does not have."""
    root.job("a")
    root.run("1", "a", AT - HOUR, "succeeded", git_commit="a" * 40, git_dirty=False)
    root.run("2", "a", AT, "failed", git_commit="a" * 40, git_dirty=True)
    report = root.facts.report(note("a", "2"))
    assert report.changed == ("the job's files, not committed",)
    assert f"  commit         {'a' * 40} with uncommitted changes\n" in text(
        Origin(host="b1", root="/srv"), [report], AT
    )
    root.run("3", "a", AT + 1, "failed", git_commit="b" * 40, git_dirty=True)
    report = root.facts.report(note("a", "3"))
    assert report.changed == ("the commit: aaaaaaaaaaaa to bbbbbbbbbbbb with uncommitted changes",)
    assert report.common[0] == "since commit bbbbbbbbbbbb with uncommitted changes"


def test_secrets_are_replaced_before_anything_is_cut(root: Root) -> None:
    """Those of the job's variables and of channels, over lines, and over the pieces of a very long line."""
    (root.paths.root / "token").write_text("s3cret-token\n")
    (root.paths.root / "key").write_text("-----BEGIN\nabcdef\n-----END\n")
    (root.paths.root / "a.env").write_text("PASSWORD=hunter2hunter2\n")
    root.paths.config_file.write_text(
        '[channels.ops]\nwebhook = { url = "https://example.org", secret = { file = "key" } }\n'
    )
    root.job("a", '[run]\nenv = { TOKEN = { file = "token" } }\nenv_file = "a.env"\n[notify]\nlines = 3')
    root.run("1", "a", AT, "failed", error="Denied: hunter2hunter2")
    root.log(
        "1",
        {"line": "-----BEGIN"},
        {"line": "abcdef"},
        {"line": "-----END"},
        {"line": "x" * 490 + "s3cret-", "eol": False},
        {"line": "token and more"},
        {"line": "no end", "eol": False},
        {"line": "Traceback", "stream": "stderr"},
    )
    report = root.facts.report(note("a", "1"))
    assert report.error == "Denied: ***"
    assert report.output == ("x" * 490 + "*** and mo…", "no end", "Traceback")
    assert not any("abcdef" in line for line in report.output)


def test_a_file_that_cannot_be_loaded_has_its_page_and_its_last_success(root: Root) -> None:
    """There is no run to link to: the job's page is what there is."""
    root.job("reports/a")
    root.run("1", "reports/a", AT - HOUR, "succeeded")
    report = root.facts.report(Note(kind="broken", at_us=AT, job="reports/a", message="jobs.d/reports/a.toml:1:1: no"))
    assert report.url == "http://127.0.0.1:8470/jobs/reports/a"
    assert report.last_success_us == AT - HOUR


def test_wrong_settings_are_not_fatal() -> None:
    """A zone that does not exist is UTC for quiet hours: the program that sends messages goes on."""
    config = Config(timezone="Mars/Base", channels={"ops": Channel(command=("true",))})
    assert paces_of(config)["ops"].timezone == "UTC"
