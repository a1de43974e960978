"""The commands that ask akjobd for something: what they ask, what they say, what they exit with."""

import os
import pty
import select
import subprocess
import sys
from datetime import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob.cli.run import parse_arguments
from akjob.control.client import Client
from akjob.control.requests import (
    Answer,
    Done,
    Drain,
    PauseJob,
    Refused,
    Request,
    ResetJob,
    ResumeJob,
    RunClaimed,
    RunEnded,
    RunJob,
    RunsStopped,
    StopRuns,
    WaitForRun,
)
from akjob.errors import AkjobError
from akjob.program import listen
from akjob.query.names import user_name
from akjob.query.runs import ReportedEnd, exit_code
from tests.unit.cli.root import Root, output

DONE = Done()


def ended(**fields: Any) -> RunEnded:
    """Return the answer that a run has ended."""
    return RunEnded(row={"id": "r1", "exit_code": None, "signal": None, "reason": None, **fields})


SOURCE = Path(__file__).parents[3]


# -- pause, resume, reset, stop


def test_pause_sends_an_instant(root: Root) -> None:
    """A duration counts from now, a time without offset is the machine's; who and why go along."""
    with root.akjobd(lambda _: DONE) as asked:
        result = root.akjob("pause", "tick", "--until", "2h", "--reason", "moving")
        root.akjob("pause", "jobs.d/sub/tick.toml", "--until", "2026-03-30")
        root.akjob("pause", "tick")
    assert result.output == "tick is paused until 2026-03-28 14:00:00 +00:00.\n"
    by = user_name()
    assert asked == [
        PauseJob(job="tick", until="2026-03-28T14:00:00.000000Z", reason="moving", by=by),
        PauseJob(job="sub/tick", until="2026-03-30T00:00:00.000000Z", by=by),
        PauseJob(job="tick", by=by),
    ]


def test_pause_refuses_what_is_over_and_what_is_no_time(root: Root) -> None:
    """Nothing is asked then."""
    with root.akjobd(lambda _: DONE) as asked:
        assert root.akjob("pause", "tick", "--until", "2026-03-28").exit_code == 2
        assert root.akjob("pause", "tick", "--until", "soon").exit_code == 2
    assert not asked


@pytest.mark.parametrize(("name", "request_of"), [("resume", ResumeJob), ("reset", ResetJob)])
def test_resume_and_reset(root: Root, name: str, request_of: type[ResumeJob] | type[ResetJob]) -> None:
    """They name the job, and who asks."""
    with root.akjobd(lambda _: DONE) as asked:
        assert root.akjob(name, "tick").exit_code == 0
    assert asked == [request_of(job="tick", by=user_name())]


@pytest.mark.parametrize("name", ["resume", "reset", "pause", "stop"])
def test_a_name_that_looks_like_a_file_s_is_asked_for_itself(root: Root, name: str) -> None:
    """Where there is a job of exactly this name, or one of its runs, nothing of another job is touched."""
    for job in ("a", "b", "c"):
        root.job(job, 'command = "true"\n')
    root.job("a.toml", 'command = "true"\n')
    root.run("r1", "c.toml", 0, state="running")
    with root.akjobd(lambda one: RunsStopped(stopped=()) if isinstance(one, StopRuns) else DONE) as asked:
        for wanted in ("a.toml", "b.toml", "c.toml", str(root.paths.jobs_d / "b.toml"), "nowhere.toml"):
            assert root.akjob(name, wanted).exit_code == 0
    asked_for = [getattr(one, "target" if name == "stop" else "job") for one in asked]
    assert asked_for == ["a.toml", "b", "c.toml", "b", "nowhere"]


def test_stop_names_what_it_stops(root: Root) -> None:
    """The runs that are being ended; it is not a failure if there are none."""
    tick = StopRuns(target="tick", by=user_name())
    with root.akjobd(lambda one: RunsStopped(stopped=("r1", "r2") if one == tick else ())) as asked:
        assert root.akjob("stop", "tick").stdout == "stopping r1\nstopping r2\n"
        nothing = root.akjob("stop", "other")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "No run of other is under way.\n")
    assert asked[0] == tick


@pytest.mark.parametrize("arguments", [["pause", "x"], ["resume", "x"], ["reset", "x"], ["stop", "x"], ["run", "x"]])
def test_without_akjobd_they_exit_with_3(root: Root, arguments: list[str]) -> None:
    """And say how it is started."""
    result = root.akjob(*arguments)
    assert result.exit_code == 3
    assert "akjob up" in result.stderr


@pytest.mark.parametrize("arguments", [["pause", "tick"], ["stop", "tick"], ["status"], ["run", "tick"]])
def test_an_akjobd_that_hangs_is_not_waited_for(
    root: Root, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """It has some seconds for an answer; then it is as if it were down, and the message says what to look at."""
    monkeypatch.setattr("akjob.control.client.ANSWER_S", 0.05)
    listener = listen(root.paths.control_socket)
    try:
        result = root.akjob(*arguments)
    finally:
        listener.close()
    assert result.exit_code == 3
    assert f"akjobd of {root.paths.root} does not answer\n  it hangs" in result.stderr


@pytest.mark.parametrize(("request_", "said"), [(WaitForRun(run="r1"), ended()), (Drain(), DONE)])
def test_what_takes_its_time_is_waited_for(
    root: Root, monkeypatch: pytest.MonkeyPatch, request_: Request[Any], said: Answer
) -> None:
    """The end of a run, and of all of them, has no time limit."""
    monkeypatch.setattr("akjob.control.client.ANSWER_S", 0.05)

    def answer(_: Request[Any]) -> Answer:
        select.select([], [], [], 0.2)
        return said

    with root.akjobd(answer), Client(root.paths) as client:
        assert client.call(request_) == said


def test_what_akjobd_refuses_is_passed_on(root: Root) -> None:
    """Its message, its hint and its exit code."""
    with root.akjobd(lambda _: Refused(message="there is no job x", hint="y?", kind="usage")):
        result = root.akjob("resume", "x")
    assert (result.exit_code, result.stderr) == (2, "akjob: there is no job x\n  y?\n")


# -- run


def finished(run: str, seq: int, **fields: Any) -> dict[str, Any]:
    """Return the last line of a run."""
    line = {**output(run, seq, ""), "event": "run.finished", "state": "succeeded", "duration_s": 1.5, **fields}
    return {key: value for key, value in line.items() if key not in ("line", "stream")}


def play(root: Root, *arguments: str, end: dict[str, Any], lines: list[dict[str, Any]]) -> Any:
    """Run ``akjob run tick``, with an akjobd whose run prints ``lines`` and ends as ``end`` says."""

    def answer(asked: Request[Any]) -> Answer:
        if isinstance(asked, RunJob):
            root.log(*lines)
            return RunClaimed(run="r1")
        return ended(**end)

    with root.akjobd(answer):
        return root.akjob("run", "tick", *arguments)


def test_run_prints_what_the_run_prints(root: Root) -> None:
    """Standard output to standard output, standard error to standard error, and nothing else on the former."""
    lines = [
        output("r1", 1, "one"),
        output("r1", 2, "warned", stream="stderr"),
        output("other", 1, "of another run"),
        output("r1", 3, "no end", eol=False),
        {**output("r1", 4, ""), "event": "said", "source": "job", "n": 5},
        finished("r1", 5),
    ]
    result = play(root, end={"state": "succeeded", "exit_code": 0}, lines=lines)
    assert result.exit_code == 0
    assert result.stdout == "one\nno end"
    first, warned, said, last = result.stderr.splitlines()
    assert (first, warned, last) == ("run r1", "warned", "succeeded in 1.5 s")
    assert said.startswith("2026-03-28 12:00:00.000 tick info said")


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ({"state": "succeeded", "exit_code": 0}, 0, "succeeded in 1.5 s"),
        ({"state": "succeeded", "exit_code": 3}, 0, "succeeded in 1.5 s"),
        ({"state": "failed", "exit_code": 3}, 3, "failed in 1.5 s: exit code 3\n"),
        ({"state": "failed", "exit_code": 3, "reason": "exit code 3"}, 3, "failed in 1.5 s: exit code 3\n"),
        ({"state": "failed", "signal": 11}, 139, "failed in 1.5 s: signal 11\n"),
        (
            {"state": "timed_out", "signal": 15, "reason": "timeout of 1h"},
            143,
            "timed_out in 1.5 s: timeout of 1h; signal 15",
        ),
        ({"state": "cancelled", "exit_code": 0, "reason": "stopped by ann"}, 1, "cancelled in 1.5 s: stopped by ann"),
        ({"state": "lost"}, 1, "lost in 1.5 s\n"),
        ({"state": "skipped", "reason": "it still runs"}, 1, "skipped in 1.5 s: it still runs"),
    ],
)
def test_run_exits_as_the_run_did(root: Root, end: dict[str, Any], code: int, said: str) -> None:
    """0 when it succeeded, else its non-zero exit code, 128 + signal, or 1."""
    result = play(root, end=end, lines=[finished("r1", 1)])
    assert result.exit_code == code
    assert said in result.stderr
    assert exit_code(msgspec.convert(end, ReportedEnd)) == code


def test_the_summary_is_a_line_of_its_own(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind an unfinished line, where both are on a terminal."""
    monkeypatch.setattr("akjob.cli.common.on_terminal", lambda _stream: True)
    lines = [output("r1", 1, "10 %", eol=False), finished("r1", 2)]
    result = play(root, end={"state": "succeeded", "exit_code": 0}, lines=lines)
    assert "10 %\nsucceeded" in result.output


@pytest.mark.parametrize("together", [True, False])
def test_the_summary_is_a_line_of_its_own_in_a_file_too(root: Root, tmp_path: Path, together: bool) -> None:
    """Where both streams go to one file; where they do not, the output's file gets what the run has written."""
    lines = [output("r1", 1, "abc", eol=False), finished("r1", 2)]

    def answer(asked: Request[Any]) -> Answer:
        if isinstance(asked, RunJob):
            root.log(*lines)
            return RunClaimed(run="r1")
        return ended(state="succeeded", exit_code=0)

    argv = [sys.executable, "-c", "from akjob.cli import main; main()", "--root", str(root.paths.root), "run", "tick"]
    with root.akjobd(answer), (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        subprocess.run(argv, stdout=out, stderr=out if together else err, check=True)
    written = (tmp_path / "out").read_text()
    assert written.endswith("abc\nsucceeded in 1.5 s\n") if together else written == "abc"


def test_a_run_that_left_something_behind_says_so(root: Root) -> None:
    """Although it succeeded."""
    end = {"state": "succeeded", "exit_code": 0, "reason": "left 1 process behind, ended: sleep[7]"}
    result = play(root, end=end, lines=[finished("r1", 1)])
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        0,
        "succeeded in 1.5 s: left 1 process behind, ended: sleep[7]",
    )


def test_run_asks_with_arguments(root: Root) -> None:
    """Texts and TOML values; what JSON cannot carry goes as TOML."""

    def answer(asked: Request[Any]) -> Answer:
        if isinstance(asked, RunJob):
            return RunClaimed(run="r1")
        root.log(finished("r1", 1))
        return ended(state="succeeded", exit_code=0)

    with root.akjobd(answer) as asked:
        root.akjob("run", "tick", "--arg", "a=x=y", "--arg", "b:=[1, 2026-03-29]", "--arg", "c:=inf", "--arg", "d=")
    sent = {"a": "x=y", "b": [1, {"$toml": "2026-03-29"}], "c": {"$toml": "inf"}, "d": ""}
    assert asked == [RunJob(job="tick", args=sent, by=user_name()), WaitForRun(run="r1")]


def test_arguments() -> None:
    """Any TOML value; of a key given twice the last one counts."""
    assert parse_arguments(("a:=true", "a:=09:30:00", "b:={x = 1}")) == {"a": time(9, 30), "b": {"x": 1}}
    for wrong in ("a", "=x", ":=1", "a:=x", "a:=1\nb = 2"):
        with pytest.raises(AkjobError, match="--arg") as caught:
            parse_arguments((wrong,))
        assert caught.value.exit_code == 2
        assert caught.value.hint


def test_what_is_no_text_is_not_asked(root: Root) -> None:
    """Bytes that are not UTF-8 are wrong usage, wherever they stand."""
    with root.akjobd(lambda _: DONE) as asked:
        for arguments in (
            ["run", "tick", "--arg", "a=\udcff"],
            ["pause", "tick", "--reason", "\udcff"],
            ["stop", "\udcff"],
        ):
            result = root.akjob(*arguments)
            assert result.exit_code == 2, result.output
            assert "is not UTF-8" in result.stderr
    assert not asked


def test_run_goes_on_following_when_akjobd_goes_away(root: Root) -> None:
    """A restart of akjobd costs a follower nothing: the log says how the run ended."""
    calls: list[Request[Any]] = []

    def answer(asked: Request[Any]) -> Answer | None:
        calls.append(asked)
        if isinstance(asked, RunJob):
            return RunClaimed(run="r1")
        root.log(output("r1", 1, "after"), finished("r1", 2, state="failed", exit_code=4))
        return None

    with root.akjobd(answer):
        result = root.akjob("run", "tick")
    assert result.exit_code == 4
    assert result.stdout == "after\n"
    assert calls == [RunJob(job="tick", by=user_name()), WaitForRun(run="r1")]


def test_run_without_a_last_line_ends_by_the_ledger(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shim that was killed says no last word; the ledger has it."""
    monkeypatch.setattr("akjob.cli.run._LAST_LINES_S", 0.0)

    def answer(asked: Request[Any]) -> Answer | None:
        if isinstance(asked, RunJob):
            root.run("r1", "tick", 0, state="lost", reason="its shim was killed")
            return RunClaimed(run="r1")
        return None

    with root.akjobd(answer):
        result = root.akjob("run", "tick")
    assert result.exit_code == 1
    assert "lost: its shim was killed" in result.stderr


def test_run_waits_for_the_end_alone_where_the_log_goes_elsewhere(root: Root) -> None:
    """With `[log] to = "stdout"` there is nothing to follow: that is said at once, and the end is not waited past."""
    root.paths.etc.mkdir()
    root.paths.config_file.write_text('[log]\nto = "stdout"\n')
    result = play(root, end={"state": "failed", "exit_code": 4}, lines=[])
    assert result.exit_code == 4
    assert result.stdout == ""
    said = result.stderr.splitlines()
    assert said[:2] == ["run r1", "akjob: the log goes to the collector's standard output, so it cannot be shown here"]
    assert said[-1] == "failed: exit code 4"


def test_run_waits_for_the_end_when_akjobd_goes_away_and_the_log_is_elsewhere(root: Root) -> None:
    """The ledger has it; nobody says that the output is followed."""
    root.paths.etc.mkdir()
    root.paths.config_file.write_text('[log]\nto = "stdout"\n')

    def answer(asked: Request[Any]) -> Answer | None:
        if isinstance(asked, RunJob):
            root.run("r1", "tick", 0, state="failed", exit_code=4)
            return RunClaimed(run="r1")
        return None

    with root.akjobd(answer):
        result = root.akjob("run", "tick")
    assert result.exit_code == 4
    assert "followed" not in result.stderr
    assert "Its end is waited for" in result.stderr


def test_ctrl_c_lets_go(root: Root) -> None:
    """The run goes on, and it is said how it is followed and ended; nothing is asked but run and wait."""
    held: list[Any] = []

    def answer(asked: Request[Any]) -> Answer | None:
        if isinstance(asked, RunJob):
            root.log(output("r1", 1, "begun"))
            return RunClaimed(run="r1")
        process.send_signal(2)
        held.append(process.wait(20))
        return None

    with root.akjobd(answer):
        arguments = ["--root", str(root.paths.root), "run", "tick"]
        process = start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with process:
            _, said = process.communicate(timeout=30)
    assert held == [130]
    assert b"akjob logs -f r1" in said
    assert b"akjob stop r1" in said


def start(arguments: list[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Start akjob in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "xterm", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    return subprocess.Popen(
        [sys.executable, "-c", "from akjob.cli import main; main()", *arguments], env=environment, **options
    )


def on_a_terminal(root: Root, *lines: dict[str, Any]) -> str:
    """Return what a terminal gets of `akjob run` while the run says ``lines`` and succeeds."""

    def answer(asked: Request[Any]) -> Answer:
        if isinstance(asked, RunJob):
            root.log(*lines)
            return RunClaimed(run="r1")
        return ended(state="succeeded", exit_code=0)

    terminal, side = pty.openpty()
    seen = b""
    with (
        root.akjobd(answer),
        start(["--root", str(root.paths.root), "run", "tick"], stdout=side, stderr=side) as process,
    ):
        os.close(side)
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other side is closed: the process has ended
                break
            seen += piece
            if not piece:
                break
        assert process.wait(20) == 0, seen.decode()
    os.close(terminal)
    return seen.decode()


def progress(seq: int, **fields: Any) -> dict[str, Any]:
    """Return a line that tells how far the run is."""
    line = {**output("r1", seq, ""), "event": "run.progress", "source": "job", **fields}
    return {key: value for key, value in line.items() if key not in ("line", "stream")}


def test_a_terminal_gets_colours_and_a_bar(root: Root) -> None:
    """Standard error in red, progress as a bar; the output's own lines stay what they are."""
    lines = [
        output("r1", 1, "plain"),
        output("r1", 2, "alarm", stream="stderr"),
        {**output("r1", 3, ""), "event": "run.progress", "done": 1, "total": 4, "message": "loading"},
        output("r1", 4, "between"),
        finished("r1", 5),
    ]

    text = on_a_terminal(root, *lines)
    assert "plain\r\n" in text
    assert "\x1b[31malarm\x1b[0m" in text
    assert "loading" in text
    assert "25 %" in text
    assert "between" in text


def test_progress_may_say_anything(root: Root) -> None:
    """What a job calls its progress is a text, not markup; numbers that mean nothing move no bar, and break nothing."""
    odd: list[Any] = [None, "a", "Infinity", "NaN", -1, 10**400, 1e308, 5e-324, 0, True, [], {}]
    values = [{"done": done, "total": total} for done in odd for total in odd]
    said: list[dict[str, Any]] = [
        {"message": "[red]hello[/nope]"},
        {"message": "two\nlines\x1b[2J"},
        {"done": 1, "total": 2, "message": 7},
    ]
    lines = [progress(seq, **fields) for seq, fields in enumerate([*values, *said, {"done": 3, "total": 4}], 1)]
    text = on_a_terminal(root, *lines, finished("r1", 1000))
    assert "\x1b[2J" not in text
    assert " 75 %" in text


def test_progress_without_a_total_is_no_share_of_anything(root: Root) -> None:
    """`progress(3)` is three of nobody knows how many, also after a total was told."""
    text = on_a_terminal(root, progress(1, done=1, total=2), progress(2, done=3), finished("r1", 3))
    assert " 3 " in text
    assert "3 %" not in text


def test_a_bar_leaves_the_lines_as_they_are(root: Root) -> None:
    """No line is followed by an empty one; what has no end yet gets none from the bar."""
    lines = [
        progress(1, done=1, total=4),
        output("r1", 2, "one"),
        output("r1", 3, "two"),
        output("r1", 4, "begun, ", eol=False),
        output("r1", 5, "ended"),
        {**output("r1", 6, "", base64="/3g="), "line": ""},
        output("r1", 7, "no end", eol=False),
        finished("r1", 8),
    ]
    text = on_a_terminal(root, *lines)
    for line in ("one", "two", "begun, ended", "\N{REPLACEMENT CHARACTER}x"):
        assert f"{line}\r\n" in text
        assert f"{line}\r\n\r\n" not in text
    assert "no end\r\n\x1b[32msucceeded" in text


def test_progress_on_a_pipe_is_not_shown(root: Root) -> None:
    """A log file is not a place for a bar."""
    progress = {**output("r1", 1, ""), "event": "run.progress", "done": 1, "total": 4}
    result = play(root, end={"state": "succeeded"}, lines=[progress, finished("r1", 2)])
    assert result.stdout == ""
    assert "%" not in result.stderr


def test_run_here_takes_the_file_as_it_is(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without akjobd; a broken file is refused, for its last good version is not what one wants to try."""
    called: list[Any] = []

    def run_locally(spec: Any, paths: Any, config: Any, kwargs: Any) -> int:
        called.append((spec.name, paths.root, config.timezone, kwargs))
        return 7

    monkeypatch.setattr("akjob.cli.local_run.run_locally", run_locally)
    root.job("tick", 'command = "true"\n')
    root.job("bad", "command = 1\n")
    root.job("call", 'callable = "builtins:print"\n')
    assert root.akjob("run", "tick", "--here").exit_code == 7
    assert root.akjob("run", "call", "--here", "--arg", "a:=1").exit_code == 7
    expected = [("tick", root.paths.root, "UTC", {}), ("call", root.paths.root, "UTC", {"a": 1})]
    assert called == expected
    refused = root.akjob("run", "tick", "--here", "--arg", "a:=1")
    assert (refused.exit_code, called) == (1, expected)
    assert "tick runs a command, which takes no --arg\n  put the value into the command" in refused.stderr
    bad = root.akjob("run", "bad", "--here")
    assert bad.exit_code == 1
    assert "bad is broken: jobs.d/bad.toml:1:" in bad.stderr
