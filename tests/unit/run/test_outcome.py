"""What a run's end says: its state, and the sentence that `history` shows."""

import json
import signal
from typing import Any, cast

import pytest

from akjob.run import outcome
from akjob.run.order import Order
from akjob.run.outcome import OutcomeRecorder

KILLED, TERMINATED, CPU = signal.SIGKILL, signal.SIGTERM, signal.SIGXCPU


def exited(code: int) -> int:
    """Return the wait status of a process that exited."""
    return code << 8


def order(**keys: Any) -> Order:
    """Return as much of an order as an end needs."""
    return cast(
        "Order",
        {"run": "r1", "job": "j", "slot_us": 7, "attempt": 1, "code": ("command", ["x"]), "success_codes": [0], **keys},
    )


def end_of(known: OutcomeRecorder, oom_kills: int | None = None, **keys: Any) -> dict[str, Any]:
    """Return the end of a run of which this is known."""
    return dict(known.end(order(**keys), oom_kills))


def known(**attributes: Any) -> OutcomeRecorder:
    """Return an outcome with these attributes."""
    found = OutcomeRecorder()
    for name, value in attributes.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("status", "oom_kills", "exit_code", "number", "reason"),
    [
        (exited(3), None, 3, None, "exit code 3"),
        (TERMINATED, None, None, 15, "killed by signal 15"),
        (
            KILLED,
            None,
            None,
            9,
            "killed by SIGKILL, not by akjob: by hand, or by the kernel's OOM killer (see its log)",
        ),
        (KILLED, 0, None, 9, "killed by SIGKILL, not by akjob"),
        (KILLED, 2, None, 9, "killed by SIGKILL by the OOM killer: over resources.memory"),
        (CPU, None, None, 24, "killed by SIGXCPU: it used more CPU time than resources.cpu allows"),
    ],
)
def test_a_failure_says_what_happened(
    status: int, oom_kills: int | None, exit_code: int | None, number: int | None, reason: str
) -> None:
    """Exit code or signal, and whose signal it was as far as that is known."""
    end = end_of(known(status=status), oom_kills)
    assert (end["state"], end["exit_code"], end["signal"], end["reason"]) == ("failed", exit_code, number, reason)


def test_a_success_has_no_reason() -> None:
    """Nothing is to be said of it."""
    end = end_of(known(status=exited(0), pid=12, started_us=5, ended_us=9))
    assert (end["state"], end["reason"], end["pid"], end["started_us"], end["ended_us"]) == (
        "succeeded",
        None,
        12,
        5,
        9,
    )


@pytest.mark.parametrize(
    ("code", "exit_code", "state"),
    [
        (("command", ["x"]), 75, "succeeded"),
        (("command", ["x"]), 1, "failed"),
        (("callable", "a:b"), 75, "failed"),
        (("dill", "f", "0", "3.11"), 0, "succeeded"),
    ],
)
def test_success_codes_are_for_commands(code: tuple[Any, ...], exit_code: int, state: str) -> None:
    """Python code succeeds with 0 alone."""
    assert end_of(known(status=exited(exit_code)), code=code, success_codes=[0, 75])["state"] == state


def test_the_error_of_the_code_is_the_reason() -> None:
    """An exception says more than the exit code that it leads to."""
    end = end_of(known(status=exited(1), error="ValueError: no such region"))
    assert (end["reason"], end["error"]) == ("ValueError: no such region", "ValueError: no such region")


def test_a_step_that_was_refused_fails_the_run_whatever_its_code() -> None:
    """The job's own code never began."""
    end = end_of(known(status=exited(0), refused="cwd /nowhere: No such file or directory"))
    assert (end["state"], end["reason"]) == ("failed", "cwd /nowhere: No such file or directory")


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("timed_out", TERMINATED, "over"),
        ("timed_out", KILLED, "over; it did not end in time and was killed"),
        ("cancelled", KILLED, "over; it did not end in time and was killed"),
        ("cancelled", exited(0), "over"),
        ("recalled", KILLED, "over"),
    ],
)
def test_what_was_decided_stands(state: str, status: int, reason: str) -> None:
    """A run that was told to end has that state, whatever its exit; that it had to be killed is said."""
    end = end_of(known(status=status, decided=state, reason="over", error="KeyboardInterrupt"))
    assert (end["state"], end["reason"]) == (state, reason)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["sleep[7]"], "left 1 process behind, ended: sleep[7]"),
        (["a[1]", "b[2]"], "left 2 processes behind, ended: a[1], b[2]"),
        (list("abcdef"), "left 6 processes behind, ended: a, b, c, d, e, ..."),
    ],
)
def test_what_was_left_behind_is_named(names: list[str], said: str) -> None:
    """Also with a success, and behind a failure's own reason."""
    assert end_of(known(status=exited(0), leftovers=names))["reason"] == said
    assert end_of(known(status=exited(2), leftovers=names))["reason"] == f"exit code 2; {said}"


def test_a_run_that_was_ended_left_nothing_behind() -> None:
    """All of it was told to end, not the job's first process alone."""
    assert (
        end_of(known(status=TERMINATED, decided="cancelled", reason="by ada", leftovers=["a[1]"]))["reason"] == "by ada"
    )


def test_output_that_was_not_kept_is_said() -> None:
    """In any state."""
    said = "7 bytes of output beyond output_limit were not kept"
    assert end_of(known(status=exited(0), dropped=7))["reason"] == said
    assert end_of(known(status=exited(1), dropped=7))["reason"] == f"exit code 1; {said}"


def test_a_job_that_was_never_forked_has_no_exit() -> None:
    """Neither a code nor a signal, nor a pid."""
    end = end_of(known(decided="failed", reason="the job's process could not be forked: no memory"))
    assert (end["state"], end["exit_code"], end["signal"], end["pid"]) == ("failed", None, None, None)


def test_the_end_is_json() -> None:
    """The same that a JSON library would write, be a reason ever so odd."""
    end = end_of(known(status=exited(1), error='quote " backslash \\ ü \n \udce4', user_s=0.25, max_rss_kib=4))
    assert json.loads(outcome.json(end)) == end
    assert (end["user_cpu_s"], end["max_rss_bytes"]) == (0.25, 4096)


@pytest.mark.parametrize(
    ("state", "level"),
    [("succeeded", "info"), ("failed", "error"), ("timed_out", "error"), ("cancelled", "warning")],
)
def test_the_level_of_an_end(state: str, level: str) -> None:
    """Failures are errors; what a person did is a warning."""
    assert outcome.level_of(state) == level


def test_the_fields_of_the_log_line() -> None:
    """A clock that was set back gives no negative duration; dropped bytes are there only if there are any."""
    end = end_of(known(status=exited(0)))
    assert outcome.finished(end, -0.5, 0)["duration_s"] == 0.0
    assert outcome.finished(end, None, 0)["duration_s"] is None
    assert "dropped_bytes" not in outcome.finished(end, 1.0, 0)
    assert outcome.finished(end, 1.0, 3)["dropped_bytes"] == 3


def test_a_timeout_is_said_in_seconds() -> None:
    """As short as it can be written."""
    assert outcome.still_running(1_500_000) == "still running after its timeout of 1.5 s"
    assert outcome.still_running(3_600_000_000) == "still running after its timeout of 3600 s"
