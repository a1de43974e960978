"""``akjob backfill`` and ``akjob backfills``: what is asked of akjobd, and what is shown of the ledger."""

import json

from akjob.control.requests import BackfillBegun, BeginBackfill
from akjob.instants import from_text
from akjob.ledger import Writes, open_store
from akjob.ledger.model import BackfillRow
from akjob.query.names import user_name
from tests.unit.cli.root import Root

SLOTS = tuple(f"2026-03-0{day}T10:00:00.000000Z" for day in (3, 2, 1))
RANGE = ("--from", "2026-03-01", "--until", "2026-03-04")


def test_a_backfill_is_asked_for_and_answered_at_once(root: Root) -> None:
    """The options go along with who asks; the answer has the id, how many slots, the first and the last."""
    with root.akjobd(lambda _: BackfillBegun(id="b1", job="tick", slots=SLOTS)) as asked:
        told = root.akjob("backfill", "tick", *RANGE, "--only", "failed", "--parallel", "2", "--newest-first")
        as_json = root.akjob("backfill", "tick", *RANGE, "--json")
    assert told.output == "Backfill b1 of tick: 3 slots. `akjob backfills` shows how far it is.\n"
    assert json.loads(as_json.output) == {"id": "b1", "job": "tick", "slots": 3, "first": SLOTS[2], "last": SLOTS[0]}
    begin, until = "2026-03-01T00:00:00.000000Z", "2026-03-04T00:00:00.000000Z"
    by = user_name()
    assert asked == [
        BeginBackfill(job="tick", begin=begin, until=until, only="failed", parallel=2, newest_first=True, by=by),
        BeginBackfill(job="tick", begin=begin, until=until, by=by),
    ]


def test_times_without_an_offset_are_in_the_zone_of_the_job(root: Root) -> None:
    """A day of the job, not one of the machine."""
    root.job("tick", 'command = "x"\n[schedule]\ntimezone = "Asia/Tokyo"\ndaily = 00:30:00\n')
    with root.akjobd(lambda _: BackfillBegun(id="b1", job="tick", slots=SLOTS)) as asked:
        root.akjob("backfill", "tick", *RANGE)
    (one,) = asked
    assert isinstance(one, BeginBackfill)
    assert (one.begin, one.until) == ("2026-02-28T15:00:00.000000Z", "2026-03-03T15:00:00.000000Z")


def test_a_dry_run_shows_the_slots(root: Root) -> None:
    """All of them in JSON, the first ones for people."""
    with root.akjobd(lambda _: BackfillBegun(job="tick", slots=SLOTS * 10)) as asked:
        told = root.akjob("backfill", "tick", *RANGE, "--dry-run")
        as_json = root.akjob("backfill", "tick", *RANGE, "--dry-run", "--json")
    assert told.output.splitlines()[:2] == ["tick: 30 slots", "  2026-03-03 10:00:00 +00:00"]
    assert told.output.splitlines()[-1] == "  and 10 more"
    assert json.loads(as_json.output) == {"job": "tick", "slots": list(SLOTS * 10)}
    assert all(isinstance(one, BeginBackfill) and one.dry_run for one in asked)


def test_a_range_that_is_none_is_wrong_usage(root: Root) -> None:
    """Nothing is asked then."""
    with root.akjobd(lambda _: BackfillBegun(job="tick", slots=())) as asked:
        result = root.akjob("backfill", "tick", "--from", "2026-03-04", "--until", "2026-03-01")
    assert (result.exit_code, asked) == (2, [])
    assert "--until is not after --from" in result.stderr


def test_backfills_are_listed_without_akjobd(root: Root) -> None:
    """Newest first, with how far each is; none is said in words."""
    assert root.akjob("backfills").output.startswith("There are no backfills.")
    begin, until = from_text("2026-03-01T00:00:00Z"), from_text("2026-03-04T00:00:00Z")
    one = BackfillRow(
        id="b1", job="tick", at_us=until, from_us=begin, until_us=until, by="ann", slots=(1, 2, 3), position=2, done=1
    )
    store = open_store(root.paths.ledger_url)
    store.commit(Writes(new_backfills=[one]))
    store.close()
    (found,) = [json.loads(line) for line in root.akjob("backfills", "--json").output.splitlines()]
    assert found == {
        "id": "b1", "job": "tick", "from": "2026-03-01T00:00:00.000000Z", "until": "2026-03-04T00:00:00.000000Z",
        "slots": 3, "done": 1, "failed": 0, "running": 1, "state": "running", "by": "ann",
    }  # fmt: skip
    assert "b1  tick  2026-03-01" in root.akjob("backfills").output
