"""Every line that akjobd and the shims put on the log stream is what docs/reference/events.md says, field by field."""

import pytest

from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until
from tests.unit.log.schema import problems

CODE = """
import logging, warnings

def talk():
    import akjob, structlog
    akjob.current_run().progress(1, 2, "half")
    logging.getLogger("talk").error("no %s", "luck", extra={"left": 3})
    structlog.get_logger().info("structured", run="not mine", value={"a": [1, None]})
    warnings.warn("careful")
    print("plain")
    raise ValueError("told")
"""


@pytest.fixture
def place(place: Place) -> Place:
    """Yield a root in which akjobd and the collector run."""
    (place.root / "code_of_test.py").write_text(CODE)
    return place


def test_every_line_is_as_documented(place: Place) -> None:
    """Jobs that fail, are tried again, time out, are skipped, broken and removed: no line that is not documented."""
    place.job("talk", 'callable = "code_of_test:talk"\n[run]\nretry = { attempts = 2 }\n')
    place.job("flood", 'command = "head -c 100000 /dev/zero"\n[run]\noutput_limit = "1KB"\n')
    place.job("slow", 'command = "sleep 30"\n[schedule]\nevery = "1s"\n[run]\noverlap = "queue"\ntimeout = "3s"\n')
    place.job("limited", 'command = "true"\n[run]\nresources = { memory = "1GiB" }\n')
    until(lambda: all(place.known(name) for name in ("talk", "flood", "slow", "limited")))
    for name in ("talk", "flood", "limited"):
        place.wait(place.run(name))
    until(lambda: place.sql("SELECT 1 FROM runs WHERE job = 'slow' AND state = 'timed_out'"), 30.0)
    place.job("slow", "command = 'true'\nevry = 1\n")
    until(lambda: place.status()["broken"])
    (place.root / "jobs.d" / "slow.toml").unlink()
    until(lambda: not place.status()["broken"])
    place.ask("drain", kill=True)
    seen = list(lines(place.paths))
    assert [(line["event"], found) for line in seen if (found := problems(line))] == []
    events = {line["event"] for line in seen}
    assert {
        "daemon.started",
        "jobs.loaded",
        "job.added",
        "job.broken",
        "job.removed",
        "run.started",
        "run.output",
    } < events
    assert {"run.finished", "run.progress", "run.retrying", "run.skipped", "run.output_limit", "run.warning"} < events
