"""The ancestor's example under a real akjob, from the script to the log; and a pickle that must never be loaded."""

import hashlib
import subprocess
import sys

from akjob.instants import HOUR, from_text
from akjob.ledger import open_reader
from tests.support import until
from tests.system.conftest import Site

EXAMPLE = """\
from akjob.models import Job, JobCallable
from datetime import timedelta
myjob_code = JobCallable(print, "Hello", "World")
myjob = Job()
myjob.job_code_object = myjob_code
myjob.name = "Print Hello World"
myjob.run_every = timedelta(hours=2)
myjob.save()
"""
COUNTER = """\
from datetime import timedelta
from akjob.models import Job

class Counter:
    def __init__(self):
        self.count = 0

    def run(self, ownjob):
        self.count += 1
        print("count", self.count)
        if self.count == 2:
            ownjob.deleteme = True
        ownjob.save()

job = Job(name="counter", job_code_object=Counter(), run_every=timedelta(hours=2))
job.save()
"""
EVIL = b"cposix\nsystem\n(S'touch owned'\ntR."
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def python(site: Site, script: str) -> None:
    """Run a script in the root, as a person does who has pasted it into a file."""
    file = site.root / "example.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, file], cwd=site.root, env=site.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_ancestors_example(site: Site) -> None:
    """Pasted into a file and run, it gives a job that is due in two hours, and whose output is in ``akjob logs``."""
    site.up()
    python(site, EXAMPLE)
    until(lambda: "print-hello-world" in open_reader(site.paths.ledger_url).jobs())
    (shown,) = site.json("show", "print-hello-world")
    assert shown["next"]
    assert shown["definition"]["schedule"]["again_after"] == "2h"
    assert site.akjob("run", "print-hello-world").stdout.count("Hello World") == 1
    assert "Hello World" in site.akjob("logs", "print-hello-world").stdout
    (row,) = site.json("history", "print-hello-world")
    assert (row["state"], row["trigger"]) == ("succeeded", "manual")
    (job,) = site.json("list")
    assert from_text(job["next"]) == from_text(row["ended_at"]) + 2 * HOUR  # counted from the last end
    assert site.akjob("validate").returncode == 0


def test_a_job_that_keeps_count_and_deletes_itself(site: Site) -> None:
    """``ownjob.save()`` in a run is what the next run starts from; ``deleteme`` takes the job away after the second."""
    site.up()
    python(site, COUNTER)
    until(lambda: "counter" in open_reader(site.paths.ledger_url).jobs())
    assert "count 1" in site.akjob("run", "counter").stdout
    assert "count 2" in site.akjob("run", "counter").stdout
    until(lambda: not (site.root / "jobs.d" / "counter.toml").exists())
    until(lambda: site.json("list") == [])
    assert site.states("counter") == ["succeeded", "succeeded"]


def test_a_malicious_pickle(site: Site) -> None:
    """Described by ``inspect`` and ``validate``, refused by its hash in a run; what it would do is never done."""
    dill = site.root / "jobs.d" / "evil.dill"
    dill.write_bytes(EVIL)
    reviewed = hashlib.sha256(b"what was reviewed").hexdigest()
    site.job("evil", f'dill = {{ file = "evil.dill", sha256 = "{reviewed}", python = "{VERSION}" }}\n')
    inspected = site.akjob("inspect", "jobs.d/evil.dill", check=False)
    assert inspected.returncode == 1
    assert "DANGEROUS  calls os.system('touch owned')" in inspected.stdout
    validated = site.akjob("validate", check=False)
    assert validated.returncode == 1
    assert "evil.toml:1:" in validated.stdout
    site.up()
    ran = site.akjob("run", "evil", check=False)
    assert ran.returncode == 1
    (row,) = site.json("history", "evil")
    assert row["state"] == "failed"
    assert hashlib.sha256(EVIL).hexdigest()[:8] in str(row["reason"]) + str(row["error"])
    assert not list(site.root.rglob("owned"))


def test_a_malicious_pickle_whose_hash_is_right(site: Site) -> None:
    """``validate`` still says what loading it would do: a hash only says that it is the file that was named."""
    (site.root / "jobs.d" / "evil.dill").write_bytes(EVIL)
    right = hashlib.sha256(EVIL).hexdigest()
    site.job("evil", f'dill = {{ file = "evil.dill", sha256 = "{right}", python = "{VERSION}" }}\n')
    validated = site.akjob("validate", check=False)
    assert validated.returncode == 1
    assert "os.system" in validated.stdout
    assert not list(site.root.rglob("owned"))
