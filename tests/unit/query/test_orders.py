"""The orders of the jobs: right after every change, and decided again only for what changed."""

from pathlib import Path

import pytest

from akjob.config import Config
from akjob.instants import HOUR, MINUTE, SECOND
from akjob.ledger import Transition, Writes
from akjob.query import live as live_module
from akjob.query.jobs import JobView, Snapshot
from akjob.query.live import Live
from akjob.query.orders import By
from akjob.query.sight import JobFilter, Sight
from akjob.query.visibility import Principal
from tests.unit.cli.root import NOW_US, Root

ALL = Principal(name="x", scope="admin")
EVERY = {"a": "1h", "b": "1m", "c": "1d", "d": "1h"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """Make four jobs whose akjobd runs: what changes is named by transitions."""
    monkeypatch.setattr(live_module, "lock_holder", lambda _file: 1)
    root = Root(tmp_path)
    for number, (name, every) in enumerate(EVERY.items()):
        tags = 'tags = ["db"]\nowner = "The Data Team"\n' if name in "ab" else ""
        spec = root.job(f"f/{name}", f'command = "true"\n{tags}[schedule]\nevery = "{every}"\n')
        assert spec is not None
        state = "failed" if name == "c" else "succeeded"
        root.loaded(spec, last_state=state, last_run=f"r{number}", last_ended_us=NOW_US - number * HOUR)
        took_us = (4 - number) * MINUTE
        start_us = NOW_US - 2 * HOUR
        root.run(f"r{number}", spec.name, -120, state=state, started_us=start_us, ended_us=start_us + took_us)
    return root


def found(sight: Sight, by: By | None = None, *, backwards: bool = False, **wanted: object) -> str:
    """Return the last letters of the jobs that are wanted, in an order."""
    names = sight.find(JobFilter(**wanted), by, backwards=backwards)  # type: ignore[arg-type] # as each test says
    return "".join(name[-1] for name in names)


def test_each_order(root: Root) -> None:
    """What is equal stands by name; each can be turned round."""
    sight = Live(root.paths, Config()).sight(ALL, NOW_US + 1)
    assert found(sight) == "abcd"
    assert found(sight, "state") == "cabd"
    assert found(sight, "schedule") == "badc"
    assert found(sight, "next") == "badc"
    assert found(sight, "last") == "abcd"
    assert found(sight, "took") == "abcd"
    assert found(sight, "last", backwards=True) == found(sight, None, backwards=True) == "dcba"


def test_words_are_found_by_what_is_kept(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags, owners, times, states and parts of names: no job is looked at for any of them."""
    live = Live(root.paths, Config())
    for by in ("next", "last"):
        live.sight(ALL, NOW_US + 1).find(JobFilter(), by)
    sight, looks = live.sight(ALL, NOW_US + 1), looks_of(monkeypatch)
    assert found(sight, tags=("db",)) == found(sight, owner="data") == "ab"
    assert found(sight, next_within_us=HOUR) == "abd"
    assert found(sight, ended_within_us=HOUR + SECOND) == "ab"
    assert found(sight, ended_before_us=2 * HOUR) == "cd"
    assert found(sight, shown=frozenset({"failed"})) == found(sight, part="F/C") == "c"
    assert found(sight, "last", tags=("db",), part="b") == "b"
    assert found(sight, folder="f") == "abcd"
    assert found(sight, folder="g") == ""
    assert looks == []


def looks_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which jobs are looked at from now on."""
    looks: list[str] = []
    look = Snapshot.job

    def noted(snapshot: Snapshot, name: str) -> JobView:
        looks.append(name[-1])
        return look(snapshot, name)

    monkeypatch.setattr(Snapshot, "job", noted)
    return looks


def test_only_what_changed_is_placed_again(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of one job costs a look at it; time that passes costs one at the jobs whose slot has come."""
    live = Live(root.paths, Config())
    assert found(live.sight(ALL, NOW_US + 1), "next") == "badc"
    assert found(live.sight(ALL, NOW_US + 1), "last") == "abcd"
    looks = looks_of(monkeypatch)
    assert found(live.sight(ALL, NOW_US + 2), "next") == "badc"
    assert looks == []
    assert found(live.sight(ALL, NOW_US + MINUTE + 1), "next") == "badc"
    assert looks == ["b"]
    looks.clear()
    row = root.run("r9", "f/d", 1, state="running")
    root.ledger(
        Writes(
            jobs=[],
            transitions=[Transition(at_us=NOW_US, kind="run", to_state="running", job="f/d", run=row.id)],
        )
    )
    assert found(live.sight(ALL, NOW_US + MINUTE + 2), "last") == "abcd"
    assert set(looks) == {"d"}


def test_a_new_look_at_the_folder_keeps_what_did_not_change(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is looked at again every half minute; where nothing differs no job is placed again."""
    live = Live(root.paths, Config())
    assert found(live.sight(ALL, NOW_US + 1), "last") == "abcd"
    looks = looks_of(monkeypatch)
    assert found(live.sight(ALL, NOW_US + 31 * SECOND), "last") == "abcd"
    assert looks == []
    spec = root.job("f/e", 'command = "true"\n')
    assert spec is not None
    assert found(live.sight(ALL, NOW_US + 62 * SECOND), "last") == "abcde"


def test_a_part_of_the_jobs_is_all_there_is_for_a_glob(root: Root) -> None:
    """In every order, and in the counts."""
    root.job("g/x", 'command = "true"\n')
    live = Live(root.paths, Config())
    sight = live.sight(Principal(name="x", scope="read", jobs="g/*"), NOW_US)
    assert found(sight) == found(sight, "next") == found(sight, "took") == "x"
    assert sight.tally().states.total() == 1
    assert sight.names() == ["g/x"]
