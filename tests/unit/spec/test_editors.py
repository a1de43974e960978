"""The language servers that editors have for TOML, by their command lines, over files with the ``#:schema`` line."""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from akjob.spec import parse_job
from tests.unit.spec.test_golden import FILES, GOLDEN
from tests.unit.spec.test_schema import beyond

ROOT = Path(__file__).parents[3]
LINE = "#:schema ../etc/job.schema.json\n"
NO_NETWORK = {f"{name}_proxy": "http://127.0.0.1:9" for name in ("http", "https", "all")}
TOOLS = {"tombi": ["lint", "--offline"], "taplo": ["check"]}

# As many keys, tables and kinds of values as fit into one valid job.
LARGE = """\
description = "x"
enabled = false
tags = ["a", "b"]
callable = "a.b:c"
args = [1, "x", 2026-01-01, { a = [1.5] }]
kwargs = { k = true, d = { e = 09:30:00 } }

[schedule]
timezone = "+05:30"
at = [2026-01-01T09:30:00, 2026-01-01T09:30:00Z]
every = "1h30m"
anchor = 2026-01-01T00:00:00
again_after = "PT90M"
daily = [09:30:00, 10:30:00]
weekly = [{ days = ["mon", "thursday"], at = 09:30:00 }, { days = ["sun"], at = [01:00:00], timezone = "UTC" }]
monthly = { days = [1, -1, "first mon", "last sun"], at = 09:30:00 }
cron = ["*/5 * * * *", "@daily"]
on_start = true
on_boot = false
jitter = "30s"

[limits]
hours = { from = 22:00:00, until = 06:00:00 }
weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
month_days = [1, 2, 3, 4, 5, 6, 7, -1]
months = [1, "feb"]
dates = { first = 2026-01-01, last = 2026-12-31 }
except_dates = [2026-12-24]
runs = 3
when_done = "delete"

[run]
timeout = "5m"
stop_signal = "SIGINT"
kill_after = "5s"
overlap = "queue"
lock = "x"
missed = "all"
missed_within = "1d"
retry = { attempts = 3, delay = "30s", factor = 2.0, max_delay = "1h" }
success_codes = [0, 3]
user = "nobody"
group = "nogroup"
umask = "0027"
nice = 5
cwd = "x"
env = { A = "1", B = { file = "/run/secrets/x" } }
env_file = "x.env"
resources = { memory = "512MiB", cpu = "5m", open_files = 64, file_size = "1GB", processes = 8 }
setup = ["django:setup"]
lead = "5s"
output_limit = "1MiB"
"""


@pytest.fixture(params=sorted(TOOLS))
def tool(request: pytest.FixtureRequest) -> list[str]:
    """Return a tool's command that checks the files named after it; skip where the tool cannot be had."""
    name: str = request.param
    found = shutil.which(name, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is not installed: PyPI may have no wheel of it for this machine")
    return [found, *TOOLS[name]]


@pytest.fixture
def jobs_d(tmp_path: Path) -> Path:
    """Return the ``jobs.d`` of a root that has the schema where ``akjob init`` puts it."""
    (tmp_path / "etc").mkdir()
    shutil.copy(ROOT / "etc" / "job.schema.json", tmp_path / "etc")
    folder = tmp_path / "jobs.d"
    folder.mkdir()
    return folder


def check(tool: list[str], *files: Path) -> tuple[int, str]:
    """Run a tool without a network and without anybody's configuration; return its exit code and what it said."""
    done = subprocess.run(
        [*tool, *files],
        cwd=files[0].parent,
        env={"HOME": str(files[0].parent), "NO_COLOR": "1", **NO_NETWORK},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_valid_jobs_pass(tool: list[str], jobs_d: Path) -> None:
    """Those that come with akjob, and one that has nearly every key."""
    files = [*(ROOT / "jobs.d").glob("*.toml"), ROOT / "akjob" / "data" / "hello.toml"]
    texts = {f"{path.stem}.toml": path.read_text() for path in files}
    assert all(text.startswith(LINE) for text in texts.values())
    texts["large.toml"] = LINE + LARGE
    assert [str(one) for one in parse_job("large", "large.toml", LARGE).problems if one.severity == "error"] == []
    for name, text in texts.items():
        (jobs_d / name).write_text(text)
    code, said = check(tool, *sorted(jobs_d.glob("*.toml")))
    assert (code, said if code else "") == (0, "")


def test_a_wrong_key_is_reported_where_it_stands(tool: list[str], jobs_d: Path) -> None:
    """Also in a table of a table; the schema is found from a folder below, too."""
    deeper = jobs_d / "reports"
    deeper.mkdir()
    files = {
        jobs_d / "a.toml": (f'{LINE}command = "x"\n[schedule]\nevry = "1h"\n', "evry", 4),
        jobs_d / "b.toml": (f'{LINE}command = "x"\n\n[run]\nretry = {{ attempts = 3, dely = "30s" }}\n', "dely", 5),
        deeper / "c.toml": (f'{LINE.replace("../", "../../")}comand = "x"\n', "comand", 2),
    }
    for file, (text, key, line) in files.items():
        file.write_text(text)
        code, said = check(tool, file)
        assert code != 0, said
        assert key in said
        assert f"{file.name}:{line}:" in said


def test_what_the_schema_refuses_is_marked(tool: list[str], jobs_d: Path) -> None:
    """Every golden file with a mistake that a schema can know of."""
    files = [jobs_d / path.name for path in FILES if not beyond(path) and not path.stem.startswith("toml-")]
    for file in files:
        file.write_text(LINE + (GOLDEN / file.name).read_text())
    code, said = check(tool, *files)
    assert code != 0
    assert [file.name for file in files if not re.search(rf"\b{re.escape(file.name)}:", said)] == []
    assert len(files) > 30
