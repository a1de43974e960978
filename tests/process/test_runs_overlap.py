"""Which of two runs of a job gives way, how many run at once, and what a restart keeps of those that wait."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from akjob.errors import AkjobError
from akjob.instants import to_text
from tests.roots import Place
from tests.support import until

# Says when it begins and when it ends, and takes until the test lets it go.
GATED = (
    "command = 'echo begin $AKJOB_RUN >> effects; while [ ! -e go ]; do sleep 0.05; done; "
    "echo end $AKJOB_RUN >> effects'\n"
)


def two_slots(place: Place, overlap: str) -> tuple[str, str]:
    """Write a job with two slots, a second apart; its first run is still there at the second slot."""
    now = time.time_ns() // 1_000_000_000
    first, second = (to_text((now + ahead) * 1_000_000) for ahead in (3, 4))
    place.job("two", f'{GATED}[schedule]\nat = [{first[:19]}Z, {second[:19]}Z]\n[run]\noverlap = "{overlap}"\n')
    until(lambda: len(rows(place)) == 2)
    return first, second


def rows(place: Place) -> list[dict[str, Any]]:
    """Return all rows, by slot."""
    return place.sql("SELECT * FROM runs ORDER BY slot, attempt")


def effects(place: Place) -> list[str]:
    """Return what the runs have said."""
    path = place.root / "effects"
    return path.read_text().splitlines() if path.exists() else []


def states(place: Place) -> list[str]:
    """Return the states of all rows, by slot, once all have ended."""

    def ended() -> list[str]:
        found = [row["state"] for row in rows(place)]
        return [] if {"queued", "running"} & set(found) else found

    return until(ended, 30.0)


def let_go(place: Place) -> None:
    """Let every run end."""
    (place.root / "go").touch()


def test_skip_passes_the_slot_over(place: Place) -> None:
    """The second slot's row says which run was in its way."""
    two_slots(place, "skip")
    until(lambda: rows(place)[1]["state"] == "skipped")
    let_go(place)
    assert states(place) == ["succeeded", "skipped"]
    first, second = rows(place)
    assert second["reason"] in (f"run {first['id']} still runs", f"run {first['id']} is about to start")
    assert effects(place) == [f"begin {first['id']}", f"end {first['id']}"]


def test_queue_lets_the_second_wait(place: Place) -> None:
    """It begins when the first has ended."""
    two_slots(place, "queue")
    until(lambda: rows(place)[0]["state"] == "running")
    assert rows(place)[1]["state"] == "queued"
    let_go(place)
    assert states(place) == ["succeeded", "succeeded"]
    first, second = (row["id"] for row in rows(place))
    assert effects(place) == [f"begin {first}", f"end {first}", f"begin {second}", f"end {second}"]


def test_replace_ends_the_first(place: Place) -> None:
    """The first is cancelled, with the slot that took its place; then the second begins."""
    _, slot = two_slots(place, "replace")
    until(lambda: len(effects(place)) == 2)
    let_go(place)
    assert states(place) == ["cancelled", "succeeded"]
    first, second = rows(place)
    assert first["reason"] == f"replaced by the slot {slot}"
    assert effects(place) == [f"begin {first['id']}", f"begin {second['id']}", f"end {second['id']}"]


def test_allow_lets_both_run(place: Place) -> None:
    """Both are there at once."""
    two_slots(place, "allow")
    until(lambda: len(effects(place)) == 2)
    until(lambda: len(place.status()["running"]) == 2)
    let_go(place)
    assert states(place) == ["succeeded", "succeeded"]
    assert [line.split()[0] for line in effects(place)[:2]] == ["begin", "begin"]


def test_a_busy_job_is_not_run_by_hand(place: Place) -> None:
    """The refusal names the run that is in the way, and what to do."""
    place.job("two", GATED)
    until(lambda: place.known("two"))
    run = place.run("two")
    until(lambda: effects(place))
    with pytest.raises(AkjobError, match=f"two is busy: run {run} still runs") as refused:
        place.run("two")
    assert "akjob stop two" in str(refused.value.hint)
    let_go(place)
    assert states(place) == ["succeeded"]


def test_max_running_is_a_bound_for_all_jobs(root: Path) -> None:
    """Never are more at once; whoever has the oldest slot is next, and all have their turn."""
    (root / "etc" / "akjob.toml").write_text("max_running = 2\n")
    place = Place(root)
    place.start()
    try:
        names = [f"n{number}" for number in range(6)]
        for name in names:
            place.job(
                name,
                "command = 'mkdir -p here; touch here/$AKJOB_RUN; ls here | wc -l >> counts; sleep 0.1; "
                "rm here/$AKJOB_RUN'\n",
            )
        until(lambda: all(place.known(name) for name in names))
        runs = [place.run(name) for name in names]
        assert states(place) == ["succeeded"] * 6
        counts = [int(line) for line in (root / "counts").read_text().split()]
        assert len(counts) == 6
        assert max(counts) <= 2
        order = [row["id"] for row in place.sql("SELECT id FROM runs ORDER BY started_at")]
        assert set(order[:2]) == set(runs[:2])  # which of two that start at once is first, nobody can say
        assert order[-1] in runs[-2:]
    finally:
        place.stop()


def test_a_restart_keeps_a_retry_that_waits(place: Place) -> None:
    """The next attempt is in the ledger: another akjobd starts it at its time, once."""
    place.job(
        "two",
        "command = 'echo $AKJOB_ATTEMPT >> effects; test $AKJOB_ATTEMPT = 2'\n"
        '[run]\nretry = { attempts = 3, delay = "2s" }\n',
    )
    until(lambda: place.known("two"))
    place.run("two")
    until(lambda: len(rows(place)) == 2)
    assert rows(place)[1]["state"] == "queued"
    place.kill("akjobd", signal.SIGKILL)
    until(place.loaded)
    assert states(place) == ["failed", "succeeded"]
    assert effects(place) == ["1", "2"]
    assert len({row["slot"] for row in rows(place)}) == 1
    until(lambda: not os.listdir(place.paths.runs))
