"""`lead`: a run is prepared ahead of its slot, starts at the slot, and until then nothing of it has happened."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from akjob.instants import from_text, to_text
from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until

SECOND = 1_000_000
JOB = 'callable = "{module}:main"\n{more}[schedule]\nat = {slot}Z\n[run]\nlead = "{lead}"\n'


def module(place: Place, name: str = "slow_of_test", seconds: float = 0.0) -> str:
    """Write a module that says when it is imported, takes its time for it, and says when it is called."""
    (place.root / f"{name}.py").write_text(
        "import os, time\n"
        f"time.sleep({seconds})\n"
        f"open('imported', 'a').write('{name} ' + str(os.getpid()) + chr(10))\n"
        "def main(word='first'): open('called', 'a').write(word + ' ' + str(time.time()) + chr(10))\n"
    )
    return name


def prepare(place: Place, module: str, *, ahead_s: int, lead: str, more: str = "") -> int:
    """Write the job with a slot so many seconds ahead; return the slot."""
    slot = (time.time_ns() // 1000 // SECOND + ahead_s) * SECOND
    place.job("led", JOB.format(module=module, more=more, slot=to_text(slot)[:19], lead=lead))
    return slot


def said(place: Place, name: str) -> list[str]:
    """Return the lines of one of the files that the module writes."""
    path = place.root / name
    return path.read_text().splitlines() if path.exists() else []


def gated(place: Place) -> dict[str, Any]:
    """Wait until the code is imported and the run waits for its slot; return its row."""
    until(lambda: said(place, "imported"))
    (row,) = place.sql("SELECT * FROM runs")
    assert row["state"] == "queued"
    assert place.status()["running"] == []
    return row


def final(place: Place) -> dict[str, Any]:
    """Return the one row, once the run has ended."""
    until(lambda: place.sql("SELECT 1 FROM runs WHERE state NOT IN ('queued', 'running')"), 60.0)
    (row,) = place.sql("SELECT * FROM runs")
    return row


def test_the_import_is_over_at_the_slot(place: Place) -> None:
    """An import of a second is done ahead; the code is called at the slot and not before, in the importing process."""
    slot = prepare(place, module(place, seconds=1.0), ahead_s=6, lead="5s")
    assert from_text(gated(place)["slot"]) == slot
    row = final(place)
    assert row["state"] == "succeeded", place.said()
    assert from_text(row["started_at"]) - slot >= 0
    assert [line.split()[1] for line in said(place, "imported")] == [str(row["pid"])]
    (called,) = said(place, "called")
    assert float(called.split()[1]) * 1e6 >= slot
    assert not [line for line in lines(place.paths, run=row["id"]) if line["event"] == "run.lead_short"]


def test_an_exit_of_the_module_comes_on_the_slot(place: Place) -> None:
    """A module that ends with ``sys.exit`` is a run that starts on its slot and ends there."""
    (place.root / "leaves.py").write_text("open('imported', 'a').write('leaves')\nraise SystemExit\n")
    slot = prepare(place, "leaves", ahead_s=4, lead="3s")
    gated(place)
    row = final(place)
    assert row["state"] == "succeeded"
    assert from_text(row["started_at"]) >= slot


def test_a_lead_that_is_too_short_is_told(place: Place) -> None:
    """The log says by how much the import was late."""
    prepare(place, module(place, seconds=1.5), ahead_s=4, lead="1s")
    row = final(place)
    assert row["state"] == "succeeded"
    (short,) = until(lambda: [one for one in lines(place.paths, run=row["id"]) if one["event"] == "run.lead_short"])
    assert short["lead_s"] == 1
    assert short["late_s"] > 0
    assert short["level"] == "warning"


def test_an_edit_before_the_slot_prepares_it_anew(place: Place) -> None:
    """The same run, under the same claim, imports and does what the new version says; the old one has done nothing."""
    name = module(place)
    slot = prepare(place, name, ahead_s=8, lead="7s")
    before = gated(place)
    place.job("led", JOB.format(module=name, more='args = ["second"]\n', slot=to_text(slot)[:19], lead="7s"))
    until(lambda: len(said(place, "imported")) == 2)
    row = final(place)
    assert (row["id"], row["state"], row["attempt"]) == (before["id"], "succeeded", 1), place.said()
    assert row["definition_sha256"] != before["definition_sha256"]
    assert [line.split()[0] for line in said(place, "called")] == ["second"]
    numbers = [line["seq"] for line in lines(place.paths, run=row["id"]) if "seq" in line]
    assert len(numbers) == len(set(numbers))
    until(lambda: not place.folders())


def test_an_edit_and_a_dead_zygote(place: Place) -> None:
    """The order that follows one that was called back may be lost with the zygote: it goes out again."""
    name = module(place)
    slot = prepare(place, name, ahead_s=8, lead="7s")
    before = gated(place)
    place.kill("zygote", signal.SIGSTOP)
    place.job("led", JOB.format(module=name, more='args = ["second"]\n', slot=to_text(slot)[:19], lead="7s"))
    until(lambda: place.sql("SELECT 1 FROM runs WHERE definition_sha256 != ?", before["definition_sha256"]))
    place.kill("zygote")
    row = final(place)
    assert (row["id"], row["state"], row["attempt"]) == (before["id"], "succeeded", 1), (row, place.said())
    assert [line.split()[0] for line in said(place, "called")] == ["second"]


@pytest.mark.parametrize("how", ["pause", "disable", "delete"])
def test_what_takes_the_slot_away_ends_it_as_skipped(place: Place, how: str) -> None:
    """Pause, disable and delete before the slot: the run is skipped, and its code was never called."""
    name = module(place)
    slot = prepare(place, name, ahead_s=20, lead="19s")
    before = gated(place)
    shim = int(Path("/proc", said(place, "imported")[0].split()[1], "stat").read_text().rpartition(")")[2].split()[1])
    if how == "pause":
        place.ask("pause", job="led", until=None, reason="not now", by="ada")
    elif how == "disable":
        place.job("led", JOB.format(module=name, more="enabled = false\n", slot=to_text(slot)[:19], lead="19s"))
    else:
        (place.root / "jobs.d" / "led.toml").unlink()
    row = final(place)
    assert (row["id"], row["state"]) == (before["id"], "skipped"), place.said()
    assert {"pause": "paused by ada", "disable": "disabled", "delete": "removed"}[how] in row["reason"]
    until(lambda: not Path(f"/proc/{shim}").exists())
    assert said(place, "called") == []
    until(lambda: not place.folders())


def end(place: Place) -> None:
    """Kill akjobd; nobody starts another one."""
    place._stopping = True
    place.kill("akjobd")
    for keeper in place._keepers:
        keeper.join(20)
    place._stopping = False


def test_the_slot_comes_without_akjobd(root: Path) -> None:
    """A shim whose akjobd is dead opens the gate by itself; the next akjobd reads in what came of it."""
    place = Place(root)
    place.start("akjob-collector")
    akjobd = Place(root)
    try:
        akjobd.start("akjobd")
        slot = prepare(akjobd, module(akjobd), ahead_s=4, lead="3s")
        gated(akjobd)
        end(akjobd)
        until(lambda: said(akjobd, "called"))
        (row,) = akjobd.sql("SELECT state FROM runs")
        assert row["state"] == "queued"
        until((akjobd.paths.runs / os.listdir(akjobd.paths.runs)[0] / "end.json").exists)
        akjobd.start("akjobd")
        row = final(akjobd)
        assert row["state"] == "succeeded"
        assert from_text(row["started_at"]) >= slot == from_text(row["slot"])
        assert len(said(akjobd, "called")) == 1
    finally:
        akjobd.stop()
        place.stop()


def test_a_start_is_told_before_what_the_job_prints(place: Place) -> None:
    """Its shim does not listen while a job begins; it hears of the start first, whatever wakes it."""
    slot = (time.time_ns() // 1000 // SECOND + 3) * SECOND
    slots = ", ".join(f"{to_text(slot + number * SECOND)[:19]}Z" for number in range(4))
    place.job("quick", f'command = ["/bin/echo", "here"]\n[schedule]\nat = [{slots}]\n[run]\nlead = "2s"\n')
    until(lambda: len(place.sql("SELECT 1 FROM runs WHERE state = 'succeeded'")) == 4, 60.0)
    for row in place.sql("SELECT * FROM runs"):
        told = [line["event"] for line in lines(place.paths, run=row["id"])]
        assert told == ["run.started", "run.output", "run.finished"]
        assert from_text(row["started_at"]) >= from_text(row["slot"])
