"""The page of one run: what became of it comes first, then what differs, then where its time went."""

import re

import pytest

from akjob.instants import MINUTE, SECOND
from akjob.web.pages.runs import ordinal
from akjob.web.pages.tracebacks import TracePart, trace_parts
from tests.unit.cli.root import NOW, NOW_US, Root, output
from tests.unit.web.serving import Served

RUN = "01m85ajwkd1sc8zp"


def frame(file: str, function: str, **more: object) -> dict[str, object]:
    """Return a frame as the log has it."""
    return {"file": file, "line": 3, "function": function, "source": f"{function}()", **more}


FAILURE = {
    "type": "KeyError",
    "message": "'emea'",
    "frames": [
        frame("/srv/jobs/report.py", "main"),
        frame("/srv/jobs/.venv/lib/python3.11/site-packages/pandas/core.py", "apply"),
        frame("/usr/lib/python3.11/functools.py", "wrapper"),
        frame("/srv/jobs/lib/sales.py", "sums"),
    ],
}


def test_frames_of_libraries_are_folded() -> None:
    """Those of the root's own code are open, in their order; type and message end it."""
    parts = trace_parts(FAILURE, "/srv/jobs")
    assert [part.folded for part in parts] == ["", "", "2 frames of libraries", "", ""]
    assert 'File "/srv/jobs/report.py", line 3, in main' in parts[1].text
    assert "pandas" in parts[2].text
    assert "functools" in parts[2].text
    assert parts[-1] == TracePart(text="KeyError: 'emea'")


def test_what_was_raised_before_is_folded() -> None:
    """Under its type; an exception without frames of its own code is shown whole."""
    before = {"type": "OSError", "message": "gone", "frames": [frame("/srv/jobs/a.py", "read")]}
    parts = trace_parts({**FAILURE, "cause": before}, "/srv/jobs")
    assert parts[0].folded == "What was raised before: OSError"
    assert "OSError: gone" in parts[0].text
    foreign = trace_parts({**FAILURE, "frames": [frame("/usr/lib/python3.11/json.py", "loads")]}, "/srv/jobs")
    assert [part.folded for part in foreign] == [""]
    assert "KeyError: 'emea'" in foreign[0].text


@pytest.mark.parametrize(
    ("number", "word"), [(2, "second"), (3, "third"), (11, "11th"), (12, "12th"), (21, "21st"), (33, "33rd")]
)
def test_a_number_in_a_row(number: int, word: str) -> None:
    """As it is said."""
    assert ordinal(number) == word


@pytest.fixture
def root(root: Root) -> Root:
    """Make a job that succeeded, then failed three times, and another one that failed with it."""
    for name in ("tick", "other", "keeper"):
        spec = root.job(name, 'command = ["true"]\n[schedule]\nevery = "5m"\n[run]\nlock = "db"\n')
        assert spec is not None
        root.loaded(spec)
    took = {"host": "here", "git_commit": "abc12345def"}
    ended = {minute: {"started_us": NOW_US + minute * MINUTE, "ended_us": NOW_US + minute * MINUTE + SECOND} for minute
             in (-30, -20, -15, -12)}  # fmt: skip
    root.run("01m80", "tick", -30, state="succeeded", **took, **ended[-30])
    root.run("01m81", "tick", -20, state="failed", exit_code=1, **took, **ended[-20])
    root.run("01m82", "tick", -15, state="failed", exit_code=1, **took, **ended[-15])
    root.run("01m83", "other", -12, state="failed", exit_code=2, **took, **ended[-12])
    slot_us = NOW_US - 10 * MINUTE
    root.run("01m84", "keeper", -11, state="succeeded", started_us=slot_us - MINUTE, ended_us=slot_us + 4 * SECOND)
    root.run(
        RUN, "tick", -10, state="failed", exit_code=1, error="KeyError: 'emea'", reason="KeyError: 'emea'", **took,
        started_us=slot_us + 5 * SECOND, ended_us=slot_us + 17 * SECOND,
    )  # fmt: skip
    failure = {**FAILURE, "frames": [frame(f"{root.paths.root}/report.py", "main"), *FAILURE["frames"][1:3]]}
    job = {"timestamp": NOW, "source": "job", "job": "tick", "run": RUN, "level": "error"}
    root.log(
        *(output(RUN, seq, f"line {seq}") for seq in range(1, 400)),
        {**job, "seq": 400, "event": "uncaught exception", "exception": failure},
        output(RUN, 401, '{"level":"info","msg":"rows read","rows":412,"table":"customers"}'),
        output(RUN, 402, "oops", stream="stderr"),
        *(output(RUN, seq, f"line {seq}") for seq in range(403, 700)),
    )
    return root


def shown(site: Served, run: str = RUN, **query: str) -> str:
    """Return the page."""
    return site.browser().get(f"/runs/{run}", params=query).text


def test_failure_comes_first(site: Served) -> None:
    """One sentence with the time, the error, which failure in a row it is, and the last success with its commit."""
    lead = re.findall(r'<p class="lead">(.+?)</p>', shown(site))[0]
    assert lead.startswith(
        "Failed 12 s after its start: KeyError: &#39;emea&#39;; exit code 1, third failure in a row, "
    )
    assert re.search(r"last success \S+ \S+ UTC on abc12345\.$", lead)


def test_what_it_has_in_common_with_others(site: Served) -> None:
    """How long it takes as a rule, how often it ended alike, and who failed with it."""
    text = shown(site)
    assert "12 s, 1 s as a rule" in text
    assert "▲ 12.0\u00d7" in text
    assert "2 of the 2 failures before it had exit code 1" in text
    assert '<span class="soft">same commit and host</span>' in text
    assert 'href="/runs/01m83"' in text


def test_what_is_hidden_is_no_likeness(site: Served) -> None:
    """Neither in the likeness nor among the waits."""
    text = site.token("read", jobs="tick").get(f"/runs/{RUN}", headers={"Accept": "text/html"}).text
    assert "no other job with the same commit or host" in text
    assert "other" not in re.sub("no other job|other definition", "", text)
    assert "keeper" not in text


def test_lateness_adds_up(site: Served) -> None:
    """What it waited for has its name, and a link to the run that had it."""
    text = shown(site)
    assert "Started 5 s after the slot: 4 s lock db: keeper + 1 s the start." in text
    assert '<a href="/runs/01m84">lock db: keeper</a>' in text
    assert 'x="23.53%" width="5.88%"' in text


def test_the_log_opens_at_the_first_error(site: Served) -> None:
    """With what was before it; the end is a link away, and JSON has its fields folded."""
    text = shown(site)
    assert 'data-at="L400"' in text
    assert '<li id="L300"' in text
    assert '<li id="L499"' in text
    assert '<li id="L500"' not in text
    assert '>info rows read <span class="fields">{&#34;level&#34;:&#34;info&#34;' in text
    assert 'id="traceback"' in text
    assert '<li id="L699"' in shown(site, **{"from": "600"})


def test_a_stop_counts_down(site: Served, root: Root) -> None:
    """When the signal was sent, and when SIGKILL comes; nothing of it once the run is over."""
    root.run("01m8run", "tick", -1, state="running", started_us=NOW_US - MINUTE)
    text = shown(site, "01m8run", stopped=NOW)
    assert "its stop signal was sent" in text
    assert ">in 10 s</time>" in text
    assert "its stop signal was sent" not in shown(site, stopped=NOW)
    assert site.browser().get("/runs/01m8run", params={"stopped": "x"}).status_code == 422


def test_a_run_of_an_older_definition_says_so(site: Served, root: Root) -> None:
    """To run it again is to run today's."""
    root.run("01m8old", "tick", -2, state="succeeded", definition_sha256="0" * 64)
    assert "with today&#39;s definition" in shown(site, "01m8old") or "with today's definition" in shown(
        site, "01m8old"
    )


def test_to_run_again_says_that_arguments_given_by_hand_are_not_kept(site: Served, root: Root) -> None:
    """Of a run by hand and of its retries, if they call a function; the form for arguments is a link away."""
    spec = root.job("greet", 'callable = "builtins:print"\n[schedule]\nevery = "5m"\n')
    assert spec is not None
    root.loaded(spec)
    root.run("01m8due", "greet", -10, state="succeeded", ended_us=NOW_US - 9 * MINUTE)
    root.run("01m8hand", "greet", -3, state="failed", trigger="manual")
    root.run("01m8then", "greet", -3, state="succeeded", trigger="retry", attempt=2)
    root.run("01m8tick", "tick", -2, state="succeeded", trigger="manual")
    form = 'any given by hand are not kept · <a href="/jobs/greet#arguments">'
    assert [form in shown(site, run) for run in ("01m8due", "01m8hand", "01m8then")] == [False, True, True]
    assert "are not kept" not in shown(site, "01m8tick")
    assert 'id="arguments"' in site.browser().get("/jobs/greet").text


def test_a_run_says_how_far_it_is(site: Served, root: Root) -> None:
    """Its newest report, as a bar where it said of how much; what holds no numbers is not a report."""
    root.run("01m8run", "tick", -1, state="running", started_us=NOW_US - MINUTE)
    report = {
        "timestamp": NOW,
        "source": "job",
        "job": "tick",
        "run": "01m8run",
        "level": "info",
        "event": "run.progress",
    }
    root.log(
        {**report, "seq": 1, "done": 1, "total": 412}, {**report, "seq": 2, "done": 103, "total": 412, "message": "<b>"}
    )
    text = shown(site, "01m8run")
    assert '<progress value="103" max="412"' in text
    assert "103 of 412: &lt;b&gt;" in text
    root.log({**report, "seq": 3, "done": 5000})
    assert "<span>5,000</span>" in shown(site, "01m8run")
    for seq, wrong in enumerate(("x", True, 1e300, -1, None), 4):
        root.log({**report, "seq": seq, "done": wrong, "total": 2})
        assert 'id="progress"' not in shown(site, "01m8run")


def test_lines_are_copied_as_plain_text(site: Served, root: Root) -> None:
    """From one number to another, also more than a page shows; without colours, and JSON as it was printed."""
    client = site.browser()
    assert client.get(f"/runs/{RUN}/lines?from=2&to=399").text.splitlines() == [f"line {seq}" for seq in range(2, 400)]
    assert client.get(f"/runs/{RUN}/lines?from=401&to=402").text.splitlines() == [
        '{"level":"info","msg":"rows read","rows":412,"table":"customers"}',
        "oops",
    ]
    root.run("01m8red", "tick", -1, state="succeeded")
    root.log(output("01m8red", 1, "\x1b[31mred\x1b[0m"))
    assert client.get("/runs/01m8red/lines?from=1&to=9").text == "red\n"
    assert client.get(f"/runs/{RUN}/lines?from=9&to=3").text == ""
    assert client.get(f"/runs/{RUN}/lines?from=x").status_code == 422
    assert site.token("read", jobs="other").get(f"/runs/{RUN}/lines?from=1&to=2").status_code == 404


def test_no_copy_is_without_an_end(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many lines at the most, and so many bytes."""
    client = site.browser()
    monkeypatch.setattr("akjob.web.pages.logs._MOST_COPIED", 3)
    assert client.get(f"/runs/{RUN}/lines?from=1&to=99").text == "line 1\nline 2\nline 3\n"
    monkeypatch.setattr("akjob.web.pages.logs._MOST_COPIED_BYTES", 7)
    assert client.get(f"/runs/{RUN}/lines?from=1&to=99").text == "line 1\nline 2\n"


def test_facts_say_the_slot_on_the_clock_of_the_job_and_the_other_attempts(site: Served, root: Root) -> None:
    """With UTC beside it; each attempt at the slot is a link; a signal has its name, the log its number of lines."""
    spec = root.job(
        "berlin",
        'command = "true"\n[schedule]\ntimezone = "Europe/Berlin"\ndaily = 13:00:00\n[run]\nretry = { attempts = 3 }\n',
    )
    assert spec is not None
    root.loaded(spec)
    root.run(
        "01m8one",
        "berlin",
        0,
        state="failed",
        signal=9,
        reason="killed by SIGKILL by the OOM killer: over resources.memory",
    )
    root.run("01m8two", "berlin", 0, state="succeeded", attempt=2, trigger="retry")
    root.log(output("01m8one", 7, "x", job="berlin"))
    text = shown(site, "01m8one")
    assert "<dd>2026-03-28 13:00:00 CET (2026-03-28 12:00:00 UTC)</dd>" in text
    assert '<dd>1 of 3; <a href="/runs/01m8two">attempt 2</a> succeeded</dd>' in text
    assert '<dd>2 of 3; <a href="/runs/01m8one">attempt 1</a> failed</dd>' in shown(site, "01m8two")
    assert "<dd>9 (SIGKILL)</dd>" in text
    assert "OOM killer" in re.findall(r'<p class="lead">(.+?)</p>', text)[0]
    assert "<dt>Lines of its log</dt><dd>7</dd>" in text
    assert "Attempt</dt>" not in shown(site)
