"""`akjob why`: the answer as JSON and as people read it."""

from tests.unit.cli.root import NOW, NOW_US, Root

BERLIN = 'command = "x"\n[schedule]\ntimezone = "Europe/Berlin"\ndaily = 02:30:00\n'
KEYS = ["job", "at", "slot", "verdict", "run", "reason", "because"]


def a_job(root: Root, text: str = BERLIN) -> None:
    """Write a job that akjobd loaded a week ago."""
    spec = root.job("tick", text)
    assert spec is not None
    week_us = 7 * 86_400_000_000
    root.loaded(spec, first_loaded_us=NOW_US - week_us, last_loaded_us=NOW_US - week_us)


def test_why_has_the_documented_keys(root: Root) -> None:
    """In their order; the reasons are objects of kind and message."""
    a_job(root)
    (found,) = root.json("why", "tick", "--at", "2026-03-29T03:00:00+02:00")
    assert list(found) == KEYS
    assert (found["job"], found["at"], found["slot"]) == (
        "tick",
        "2026-03-29T01:00:00.000000Z",
        "2026-03-29T01:00:00.000000Z",
    )
    assert (found["verdict"], found["run"], found["reason"]) == ("will_run", None, None)
    assert [list(one) for one in found["because"]] == [["kind", "message"]] * 2


def test_why_for_people(root: Root) -> None:
    """The verdict, the slot in the job's zone, and the reasons, a line each where it is not a terminal."""
    a_job(root)
    head, slot, *because = root.akjob("why", "tick", "--at", "2026-03-30T02:30:00").stdout.splitlines()
    assert head == "tick at 2026-03-30 02:30:00 +02:00: will run"
    assert slot == "  slot        2026-03-30 02:30:00 +02:00  in 1 d 12 h"
    assert len(because) == 1
    assert because[0].startswith("  because     schedule    due: every day at 02:30 Europe/Berlin")


def test_why_without_a_time_is_about_now(root: Root) -> None:
    """A run that is under way, else this instant."""
    a_job(root)
    (now,) = root.json("why", "tick")
    assert (now["at"], now["verdict"], now["slot"]) == (NOW, "no_slot", "2026-03-28T01:30:00.000000Z")
    root.run("r1", "tick", -5, state="running", started_us=NOW_US)
    (runs,) = root.json("why", "tick")
    assert (runs["verdict"], runs["run"], runs["slot"]) == ("running", "r1", "2026-03-28T11:55:00.000000Z")


def test_why_says_how_a_run_ended(root: Root) -> None:
    """The verdict stays `ran` for programs; people read that it failed."""
    a_job(root)
    for number, state, words in (
        (1, "succeeded", "ran"),
        (2, "failed", "ran, and failed"),
        (3, "lost", "ran, and was lost"),
    ):
        root.run(f"r{number}", "tick", -60 * number, state=state)
        (found,) = root.json("why", "tick", "--at", f"{number}h")
        assert (found["verdict"], found["run"]) == ("ran", f"r{number}")
        assert root.akjob("why", "tick", "--at", f"{number}h").stdout.splitlines()[0].endswith(f": {words}")


def test_a_time_of_day_alone_is_answered_with_its_date(root: Root) -> None:
    """What was typed is completed, in the job's zone."""
    a_job(root)
    said = root.akjob("why", "tick", "--at", "9:30").stderr
    assert said == "akjob: --at: '9:30' lacks its date\n  Write the date too, as in 2026-03-28T09:30.\n"


def test_why_of_what_is_not_there(root: Root) -> None:
    """Unknown jobs and times are wrong usage."""
    a_job(root)
    assert root.akjob("why", "nope").exit_code == 2
    assert root.akjob("why", "tick", "--at", "yesterday").exit_code == 2
