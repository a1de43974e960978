"""The one word for each job is kept, and changes with what happens and with the end of a pause."""

from pathlib import Path

import pytest

from akjob.config import Config
from akjob.instants import SECOND
from akjob.ledger import State, Transition, Writes
from akjob.query import live as live_module
from akjob.query.jobs import JobView, Snapshot
from akjob.query.live import Live
from akjob.query.sight import JobFilter
from akjob.query.visibility import Principal
from tests.unit.cli.root import NOW_US, Root

ALL = Principal(name="x", scope="admin")
END_US = NOW_US + 10 * SECOND
MINE = Principal(name="x", scope="read", jobs="mine/*")


def words(live: Live, now_us: int, principal: Principal = ALL) -> dict[str, int]:
    """Return how many jobs have which word."""
    return dict(live.sight(principal, now_us).tally().states)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """Make a root whose akjobd runs: what changes is named by transitions."""
    monkeypatch.setattr(live_module, "lock_holder", lambda _file: 1)
    root = Root(tmp_path)
    for name, values in {
        "mine/paused": {"paused_at_us": NOW_US, "paused_until_us": END_US, "pause_reason": "x"},
        "mine/failed": {"last_state": "failed", "last_run": "01m8", "last_ended_us": NOW_US},
        "new": {},
    }.items():
        spec = root.job(name, 'command = ["true"]\n')
        assert spec is not None
        root.loaded(spec, **values)
    root.job("broken", "command = 1\n")
    return root


def test_a_pause_that_ends_changes_the_word(root: Root) -> None:
    """Nothing in the ledger tells so; until then the words are kept."""
    live = Live(root.paths, Config())
    assert words(live, NOW_US) == {"paused": 1, "failed": 1, "broken": 1, "ready": 1}
    assert words(live, END_US - 1) == {"paused": 1, "failed": 1, "broken": 1, "ready": 1}
    assert words(live, END_US) == {"failed": 1, "broken": 1, "ready": 2}


def test_rows_that_are_read_again_are_held_once(root: Root) -> None:
    """A new look at the folder holds on to no string of the rows that it read, unless they say something else."""
    live = Live(root.paths, Config())
    before = live.snapshot(NOW_US).rows
    changed = root.job("new", 'command = ["true"]\n')
    assert changed is not None
    root.loaded(changed, runs_started=7)
    after = live.snapshot(NOW_US + 60 * SECOND).rows
    names = {id(name) for name in before}
    assert after["new"]["runs_started"] == 7
    for name, row in after.items():
        assert (row is before[name]) == (name != "new")
        assert id(name) == id(row["job"])
        assert name == "new" or id(name) in names


def test_a_principal_counts_what_it_may_know_of(root: Root) -> None:
    """The others are in no count, and are not found."""
    live = Live(root.paths, Config())
    assert words(live, NOW_US, MINE) == {"paused": 1, "failed": 1}
    wanted = JobFilter(shown=frozenset({"paused", "broken", "ready"}))
    assert list(live.sight(MINE, NOW_US).find(wanted)) == ["mine/paused"]


def test_a_transition_changes_the_words_of_its_job_alone(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that begins and ends: two looks at its job, none at the others."""
    live = Live(root.paths, Config())
    assert words(live, NOW_US)["ready"] == 1
    looks: list[str] = []
    look = Snapshot.job

    def noted(snapshot: Snapshot, name: str) -> JobView:
        looks.append(name)
        return look(snapshot, name)

    monkeypatch.setattr(Snapshot, "job", noted)
    row = root.run("01m9", "new", 0, state="running")
    root.ledger(Writes(transitions=[Transition(at_us=NOW_US, kind="run", to_state="running", job="new", run=row.id)]))
    assert words(live, NOW_US + 1) == {"paused": 1, "failed": 1, "broken": 1, "running": 1}
    assert set(looks) == {"new", "mine/paused"}  # a pause is looked at for its end


@pytest.mark.parametrize(("last", "word"), [("succeeded", "done"), ("failed", "failed"), ("missed", "missed")])
def test_a_job_that_is_done_shows_how_it_ended(root: Root, last: State, word: str) -> None:
    """It will not run again, so nothing else would tell of a failure at its end."""
    spec = root.job("once", 'command = "true"\n[schedule]\nevery = "1h"\n[limits]\nruns = 1\n')
    assert spec is not None
    root.loaded(spec, runs_started=1, last_state=last, last_run="01m8", last_ended_us=NOW_US)
    found = Live(root.paths, Config()).sight(ALL, NOW_US)
    assert list(found.find(JobFilter(part="once", shown=frozenset({word})))) == ["once"]
