"""What akjob costs, held as counts: what each program imports, what an idle stretch and a reload do, what a run writes.

Times belong to the benchmarks; counts are the same on every machine, so that a test can hold them.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from akjob.ledger import open_store
from tests.roots import Place
from tests.support import until

HOME = Path(__file__).parents[2]
JOBS = 1_000
IDLE_S = 4.0
PROGRAMS = ("akjobd", "zygote", "akjob-collector")
RUNS = 5

# What a fork of the zygote costs is decided by what it has imported: whoever adds to this list has measured it
# (python -m benchmarks burst memory).
ZYGOTE = {
    "__future__",
    "_collections_abc",
    "_ctypes",
    "_json",
    "_sitebuiltins",
    "_socket",
    "_stat",
    "akjob",
    "akjob.code",
    "akjob.code.fresh",
    "akjob.code.load",
    "akjob.log",
    "akjob.log.job",
    "akjob.log.job.channel",
    "akjob.log.job.current",
    "akjob.log.job.hooks",
    "akjob.log.line",
    "akjob.log.line.encode",
    "akjob.log.line.head",
    "akjob.log.line.output",
    "akjob.log.line.sender",
    "akjob.log.line.wrap",
    "akjob.run",
    "akjob.run.child",
    "akjob.run.execute",
    "akjob.run.failpoint",
    "akjob.run.folder",
    "akjob.run.gate",
    "akjob.run.linux",
    "akjob.run.order_socket",
    "akjob.run.outcome",
    "akjob.run.pipes",
    "akjob.run.python",
    "akjob.run.shim",
    "akjob.run.talk",
    "akjob.run.tree",
    "akjob.run.wakeup",
    "akjob.run.warmup",
    "akjob.run.zygote",
    "atexit",
    "binascii",
    "errno",
    "fcntl",
    "gc",
    "genericpath",
    "os",
    "os.path",
    "posixpath",
    "resource",
    "select",
    "site",
    "stat",
    "types",
}

NOT_IN_AKJOBD = {
    "asyncio",
    "click",
    "concurrent.futures",
    "akjob.ledger.memory",
    "dill",
    "importlib.resources",
    "multiprocessing",
    "rich",
    "ssl",
    "tomlkit",
    "unittest",
}
NOT_IN_COLLECTOR = NOT_IN_AKJOBD | {"logging", "sqlite3", "structlog", "watchdog"}
# Before they have read their settings: one that has nothing to do stays as small as that.
NOT_IN_NOTIFY = NOT_IN_AKJOBD | {"apprise", "email", "http.client", "logging", "smtplib", "structlog", "watchdog"}
NOT_IN_NODE = NOT_IN_NOTIFY | {"procrastinate", "psycopg", "sqlite3"}
NOT_IN_WEB = NOT_IN_NODE - {"asyncio", "concurrent.futures", "importlib.resources", "logging", "sqlite3", "ssl"}

# Counts what a program asks of SQLite, one statement a line. Python loads it by this name when it starts.
COUNTING = """\
import os, sqlite3

if "AKJOB_ROOT" in os.environ:
    connect = sqlite3.connect

    def counted(*arguments, **named):
        connection = connect(*arguments, **named)
        file = open(os.path.join(os.environ["AKJOB_ROOT"], "statements"), "a", buffering=1)
        connection.set_trace_callback(lambda text: file.write(text.replace("\\n", " ") + "\\n"))
        return connection

    sqlite3.connect = counted
"""

# Counts how often a loop waits in its selector, one byte each time. To count its sleeps would count the waits for the
# interpreter's lock too, of which a slow machine has more.
COUNTING_TURNS = (
    COUNTING
    + """
import selectors

select = selectors.EpollSelector.select
turns = {}

def turned(*arguments):
    pid = os.getpid()
    if pid not in turns:
        turns[pid] = open(os.path.join(os.environ["AKJOB_ROOT"], f"turns.{pid}"), "ab", buffering=0)
    turns[pid].write(b".")
    return select(*arguments)

if "AKJOB_ROOT" in os.environ:
    selectors.EpollSelector.select = turned
"""
)


@pytest.fixture
def place(root: Path) -> Iterator[Place]:
    """Yield a root that counts akjobd's statements and in which nothing runs yet."""
    (root / "sitecustomize.py").write_text(COUNTING)
    here = Place(root, PYTHONPATH=str(root))
    yield here
    here.stop()


@pytest.fixture
def many(place: Place) -> Place:
    """Return a root with a thousand settled definitions, akjobd at rest."""
    define_many(place)
    place.start()
    return place


def define_many(place: Place) -> None:
    """Write a thousand definitions that are as old as most files of a repository."""
    old = time.time_ns() - 60 * 1_000_000_000  # of a younger file the content is read twice, to be sure
    for number in range(JOBS):
        path = place.root / "jobs.d" / f"job{number}.toml"
        path.write_text(f'description = "{"x" * 400}"\ncommand = ["true"]\n[schedule]\nevery = "300d"\n')
        os.utime(path, ns=(old, old))


def imported(*arguments: str) -> set[str]:
    """Return the modules that a Python with these arguments has, beyond those that it has by itself."""
    *options, code = arguments
    show = "import json, sys; print(json.dumps(sorted(sys.modules)))"

    def modules(text: str) -> set[str]:
        done = subprocess.run([sys.executable, *options, "-c", text], capture_output=True, check=True, cwd=HOME)
        return set(json.loads(done.stdout.splitlines()[-1]))

    return modules(f"{code}\n{show}") - modules(show)


def settle(place: Place, calm_s: float = 0.5) -> list[int]:
    """Wait until no thread of the three programs has woken for a while; return the programs' pids."""
    return calm([place.pid(name) for name in PROGRAMS], calm_s)


def calm(pids: list[int], calm_s: float) -> list[int]:
    """Wait until no thread of these processes has woken for a while, asking nothing of them; return them."""
    last = (time.monotonic(), -1)

    def asleep() -> bool:
        nonlocal last
        count = switches(pids)
        if count != last[1]:
            last = (time.monotonic(), count)
        return time.monotonic() - last[0] > calm_s

    until(asleep)
    return pids


def switches(pids: list[int]) -> int:
    """Return how often the threads of processes have gone to sleep to wait for something."""
    return sum(count for pid in pids for count in switches_of_threads(pid).values())


def switches_of_threads(pid: int) -> dict[str, int]:
    """Return how often each thread of a process has gone to sleep, by its id."""
    counts = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        counts[task.name] = sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))
    return counts


def bytes_read(pid: int) -> int:
    """Return how much a process has read, from wherever: proc_pid_io(5), rchar."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def logged(place: Place, event: str) -> list[dict[str, object]]:
    """Return the lines of this event."""
    lines = [json.loads(line) for line in place.paths.log.read_bytes().splitlines()]
    return [line for line in lines if line["event"] == event]


def statements(place: Place) -> list[str]:
    """Return what was asked of the ledger up to now."""
    return (place.root / "statements").read_text().splitlines()


def test_what_the_zygote_has_imported() -> None:
    """Nothing beyond the list: every module more makes every fork dearer."""
    code = f"import sys; sys.path.insert(0, {str(HOME)!r}); from akjob.run import child, zygote"
    assert imported("-I", "-S", "-X", "utf8", code) - ZYGOTE == set()


def test_what_akjobd_has_imported() -> None:
    """No event loop but its own, nothing that draws tables or edits files."""
    assert imported("from akjob.akjobd import daemon") & NOT_IN_AKJOBD == set()


def test_what_the_collector_has_imported() -> None:
    """Neither the ledger's nor the watcher's libraries."""
    assert imported("from akjob.log.collector import program") & NOT_IN_COLLECTOR == set()


@pytest.mark.parametrize(
    ("program", "without"),
    [
        ("akjob.notify", NOT_IN_NOTIFY),
        ("akjob.remote", NOT_IN_NODE),
        ("akjob.web", NOT_IN_WEB | {"akjob.agenda", "jinja2", "starlette", "uvicorn"}),
    ],
)
def test_what_the_other_programs_have_imported(program: str, without: set[str]) -> None:
    """A program whose extra is missing, or that has nothing to do, has imported nothing for what it does not do."""
    assert imported(f"from {program} import program") & without == set()


def test_nobody_wakes_when_nothing_is_to_be_done(many: Place) -> None:
    """With a thousand definitions and none due, no thread of any program wakes: whoever polls, does sooner."""
    assert len(settle(many, IDLE_S)) == len(PROGRAMS)


def test_the_second_look_wakes_one_thread(many: Place) -> None:
    """Every 30 s a thread of akjobd looks at the folder, and the collector at its own files; everything else sleeps."""
    pids = settle(many, IDLE_S)
    before = [switches_of_threads(pid) for pid in pids]
    until(lambda: [switches_of_threads(pid) for pid in pids] != before, 45.0)
    calm(pids, IDLE_S)
    after = [switches_of_threads(pid) for pid in pids]
    woken = [[now[thread] - then[thread] for thread in now] for then, now in zip(before, after, strict=True)]
    akjobd, *others = [[times for times in threads if times] for threads in woken]
    assert len(akjobd) == 1
    assert akjobd[0] <= 3
    assert sorted(sum(times) for times in others) in ([0, 0], [0, 1])


def test_a_long_write_ahead_log_keeps_nobody_awake(place: Place) -> None:
    """SQLite keeps the file of a log that has once been long; that it is long is not a reason to look at it again."""
    for number in range(300):
        text = f'description = "{str(number) * 10_000}"\ncommand = ["true"]\n'
        (place.root / "jobs.d" / f"job{number}.toml").write_text(text)
    place.start()
    until(lambda: os.stat(f"{place.paths.db}-wal").st_size > 4 << 20)
    assert len(settle(place, IDLE_S)) == len(PROGRAMS)


def test_a_reload_reads_what_has_changed_and_no_more(many: Place) -> None:
    """One file among a thousand is edited: that one is read, half a megabyte is not."""
    pid = many.pid("akjobd")
    settle(many)
    before, looks = bytes_read(pid), len(logged(many, "jobs.loaded"))
    many.job("job7", 'command = ["false"]\n[schedule]\nevery = "300d"\n')
    until(lambda: len(logged(many, "jobs.loaded")) > looks)
    assert [line["job"] for line in logged(many, "job.changed")] == ["job7"]
    assert [line["files_read"] for line in logged(many, "jobs.loaded")[looks:]] == [1]
    assert bytes_read(pid) - before < 50_000


def test_a_look_is_not_a_busy_wait(place: Place) -> None:
    """While the folder is looked at, the loop sleeps: a look at a thousand files turns it a few times only."""
    (place.root / "sitecustomize.py").write_text(COUNTING_TURNS)
    define_many(place)
    place.start()
    pids = settle(place)
    turns = place.root / f"turns.{place.pid('akjobd')}"
    before = turns.stat().st_size
    place.ask("scan")
    calm(pids, 0.5)
    assert 0 < turns.stat().st_size - before <= 10


def test_statements_of_a_run(place: Place) -> None:
    """A run costs the ledger a bounded number of statements, its transitions and counters included."""
    place.job("quick", 'command = ["true"]\n')
    place.start()
    place.wait(place.run("quick"))
    counts = []
    for _ in range(RUNS):
        before = len(statements(place))
        place.wait(place.run("quick"))
        settle(place, 0.3)
        counts.append(len(statements(place)) - before)
    assert max(counts) <= 19, statements(place)[-max(counts) :]


def test_a_run_makes_no_file_where_one_can_be_had(place: Place) -> None:
    """A file system may take a tenth of a millisecond for each: the folder of a run before serves, and its file."""
    place.start()
    place.define(job='callable = "builtins:dict"\n')

    def inodes() -> set[int]:
        until(lambda: len(os.listdir(place.paths.folder_pool)) == 1 and not os.listdir(place.paths.runs))
        (pooled,) = place.paths.folder_pool.iterdir()
        return {pooled.stat().st_ino, *(file.stat().st_ino for file in pooled.iterdir())}

    place.wait(place.run("job"))
    first = inodes()
    place.wait(place.run("job"))
    assert inodes() == first
    assert len(first) == 1 + 1


def test_a_burst_is_few_transactions(place: Place) -> None:
    """A hundred jobs due at one instant are claimed in seven transactions; between them others are answered."""
    due = int(time.time()) + 4  # noqa: TID251 - a wall-clock instant is what a schedule takes
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due))
    for number in range(100):
        place.job(f"job{number}", f'command = ["true"]\n[schedule]\nat = {moment}\n')
    place.start()
    until(lambda: place.sql("SELECT count(*) AS n FROM runs WHERE state = 'succeeded'")[0]["n"] == 100, 30.0)
    said = statements(place)
    claims = [index for index, text in enumerate(said) if text.startswith("INSERT INTO runs")]
    assert len(claims) == 100
    assert said[claims[0] : claims[-1]].count("COMMIT") < 7


def test_pruning_bounds_the_write_ahead_log(place: Place) -> None:
    """However many rows are to go, the log is moved into the database meanwhile, and akjobd answers."""
    (place.root / "etc").mkdir(exist_ok=True)
    (place.root / "etc/akjob.toml").write_text('[ledger]\nkeep = "1d"\n')
    open_store(place.paths.ledger_url).close()
    with closing(sqlite3.connect(place.paths.db)) as connection, connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
            "INSERT INTO runs (id, job, slot, slot_last, trigger, state, queued_at, ended_at, host) "
            "SELECT printf('%016d', i), 'job' || i % 1000, t, t, 'schedule', 'failed', t, t, printf('%0300d', i) FROM "
            "(SELECT i, strftime('%Y-%m-%dT%H:%M:%S.000000Z', i, 'unixepoch') AS t FROM n)"
        )
    place.start()
    until(lambda: place.sql("SELECT count(*) AS n FROM runs")[0]["n"] == 0 and place.loaded(), 60.0)
    assert os.stat(f"{place.paths.db}-wal").st_size < 12 << 20
