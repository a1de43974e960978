"""akjob-notify as a process: a real ledger in front of it, real servers behind it."""

import hashlib
import hmac
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from akjob.config import Paths
from akjob.instants import MINUTE, SECOND
from akjob.ledger import Detail, JobRow, RunRow, Store, Transition, Writes, open_reader, open_store
from akjob.notify.outbox import Outbox
from akjob.processes import lock_holder
from akjob.spec import load_definition
from tests.roots import read_so_far
from tests.servers import MailServer, WebServer, mail_server, web_server
from tests.support import until

pytestmark = pytest.mark.process


def now_us() -> int:
    """Read the clock that the program reads too."""
    return time.time_ns() // 1000


class Root:
    """A root whose ledger the test writes, as akjobd would, and whose akjob-notify is a process of the test."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        for folder in (self.paths.etc, self.paths.var, self.paths.run_dir, self.paths.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self.store: Store = open_store(self.paths.ledger_url)
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, text: str) -> None:
        """Write etc/akjob.toml."""
        self.paths.config_file.write_text(text)

    def job(self, name: str, notify: str = 'channels = ["ops"]', text: str = "") -> None:
        """Load a job, as akjobd would."""
        definition = f'command = ["true"]\n{text}\n[notify]\n{notify}\n'
        spec = load_definition(name, f"jobs.d/{name}.toml", definition)
        row = JobRow(
            job=name,
            watermark_us=0,
            first_loaded_us=0,
            last_loaded_us=0,
            file=spec.file,
            definition_sha256=spec.sha256,
            definition=spec.definition,
        )
        change = Transition(at_us=now_us(), kind="job", to_state="loaded", job=name)
        self.store.commit(Writes(loaded=[row], transitions=[change]))

    def ends(self, *jobs: str, state: str = "failed", commit: str | None = None, **detail: Any) -> list[str]:
        """End a run of each job in one commit; return the runs."""
        rows, changes = [], []
        for job in jobs:
            number, at_us = next(self._numbers), now_us()
            row = RunRow(
                id=f"{number:016d}",
                job=job,
                slot_us=number * SECOND,
                slot_last_us=number * SECOND,
                queued_us=at_us,
                started_us=at_us,
                ended_us=at_us,
                state=state,  # type: ignore[arg-type]
                exit_code=detail.get("exit_code", 1),
                error=detail.get("error"),
                git_commit=commit,
            )
            rows.append(row)
            changes.append(
                Transition(
                    at_us=at_us,
                    kind="run",
                    from_state="running",
                    to_state=state,  # type: ignore[arg-type]
                    job=job,
                    run=row.id,
                    slot_us=row.slot_us,
                    attempt=1,
                    detail=Detail(**detail),
                )
            )
        self.store.commit(Writes(claims=rows, transitions=changes))
        return [row.id for row in rows]

    def start(self) -> None:
        """Start akjob-notify, and wait until it has read what there is."""
        code = "from akjob.notify.program import main; main()"
        environment = {**os.environ, "AKJOB_ROOT": str(self.paths.root)}
        self._process = subprocess.Popen([sys.executable, "-c", code], cwd=self.paths.root, env=environment)
        until(lambda: self.seq() is not None)

    def seq(self) -> int | None:
        """Return how far the program has read."""
        return read_so_far(self.paths)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End akjob-notify."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()
        self._process = None

    def hurry(self) -> None:
        """Let what waits for its time be due now: ten seconds of gathering, the pause before the next try."""
        outbox = Outbox(self.paths.notify_db)
        try:
            with outbox.commit():
                outbox._connection.execute("UPDATE deliveries SET due_at = '2000-01-01T00:00:00.000000Z'")
        finally:
            outbox.close()
        self.store.commit(Writes(transitions=[Transition(at_us=now_us(), kind="job", to_state="changed", job="x")]))

    def messages(self) -> list[dict[str, Any]]:
        """Return what `akjob notify list --json` prints."""
        outbox = Outbox(self.paths.notify_db)
        try:
            return [one.as_json() for one in outbox.deliveries(1000)]
        finally:
            outbox.close()

    def close(self) -> None:
        """End everything."""
        if self._process is not None:
            self.stop(signal.SIGKILL)
        self.store.close()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """Return a root of its own."""
    made = Root(tmp_path)
    yield made
    made.close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """Return a mail server."""
    with mail_server() as server:
        yield server


@pytest.fixture
def hook() -> Iterator[WebServer]:
    """Return an HTTP server."""
    with web_server() as server:
        yield server


def mail_channel(mail: MailServer, more: str = "") -> str:
    """Return the settings of the channel ``ops``."""
    return (
        f'[channels.ops]\nsmtp = {{ url = "smtp://127.0.0.1:{mail.port}" }}\n'
        f'from = "akjob@example.org"\nto = ["ops@example.org"]\n{more}\n'
    )


def gathered(root: Root, count: int) -> None:
    """Wait until so many jobs are in the messages that are being gathered, then let them go out."""
    until(lambda: sum(len(one["jobs"]) for one in root.messages() if one["state"] == "pending") >= count)
    root.hurry()


def test_two_hundred_failures_since_one_commit_are_one_mail(root: Root, mail: MailServer) -> None:
    """All of them are named, with the commit that they have in common; the subject fits."""
    root.configure(mail_channel(mail))
    jobs = [f"reports/job-{number:03d}" for number in range(200)]
    for job in jobs:
        root.job(job)
    root.ends(*jobs, state="succeeded", commit="a" * 40)
    root.start()
    root.ends(*jobs, commit="b" * 40, exit_code=1)
    gathered(root, 200)
    until(lambda: mail.mails)
    (one,) = mail.mails
    text = one.get_content()
    assert all(job in text for job in jobs)
    assert "200 jobs: since commit bbbbbbbbbbbb" in text
    assert one["Subject"].endswith("200 jobs: failed")
    assert len(one["Subject"]) <= 78
    assert one["To"] == "ops@example.org"


def test_a_mail_says_what_one_asks_at_night(root: Root, mail: MailServer) -> None:
    """Job, state, error, attempt, the last success, owner, runbook, and the command to look further."""
    root.configure(mail_channel(mail))
    root.job("nightly", text='owner = "the data team"\nrunbook = "https://example.org/nightly"')
    root.start()
    (run,) = root.ends("nightly", error="KeyError: 'emea'", exit_code=1)
    gathered(root, 1)
    until(lambda: mail.mails)
    text = mail.mails[0].get_content()
    assert mail.mails[0]["Subject"].endswith("nightly failed: KeyError: 'emea'")
    for part in ("failed, exit code 1", "KeyError: 'emea'", "the data team", "https://example.org/nightly", run):
        assert part in text, text
    assert "akjob notify ack 1" in text


def test_recovery_stands_in_the_thread_of_its_failure(root: Root, mail: MailServer) -> None:
    """The second mail of an incident refers to the first by its Message-ID."""
    root.configure(mail_channel(mail))
    root.job("a")
    root.start()
    root.ends("a")
    gathered(root, 1)
    until(lambda: len(mail.mails) == 1)
    root.ends("a", state="succeeded")
    gathered(root, 1)
    until(lambda: len(mail.mails) == 2)
    first, second = mail.mails
    assert second["References"] == first["Message-ID"]
    assert "References" not in first
    assert "a recovered: after 1 failure" in second["Subject"]


def test_after_three_means_three(root: Root, mail: MailServer) -> None:
    """Two failures are not worth a message; retries are not failures."""
    root.configure(mail_channel(mail))
    root.job("a", notify='channels = ["ops"]\nafter = 3')
    root.start()
    root.ends("a")
    root.ends("a", retried=True)
    root.ends("a")
    assert until(lambda: root.seq() or 0) > 0
    last = root.ends("a")
    gathered(root, 1)
    until(lambda: mail.mails)
    assert f"akjob logs {last[0]}" in mail.mails[0].get_content()
    assert "in a row       3" in mail.mails[0].get_content()
    assert len(root.messages()) == 1


def test_a_webhook_is_signed_and_follows_no_redirect(root: Root, hook: WebServer) -> None:
    """The signature is that of time and body; a redirect is an answer that was not wanted."""
    (root.paths.root / "hook").write_text("s3cret\n")
    root.configure(
        f'[channels.ops]\nwebhook = {{ url = "{hook.url}/in", secret = {{ file = "hook" }} }}\nmax_an_hour = 9\n'
    )
    root.job("a")
    root.start()
    hook.answer = lambda _request: 302
    root.ends("a", exit_code=7)
    gathered(root, 1)
    until(lambda: root.messages()[0]["attempts"] == 1)
    assert root.messages()[0]["error"].startswith("the server answers 302")
    hook.answer = lambda _request: 204
    root.hurry()
    until(lambda: root.messages()[0]["state"] == "sent")
    first, second = hook.requests
    assert (first.path, second.path) == ("/in", "/in")
    assert first.headers["Akjob-Delivery"] == second.headers["Akjob-Delivery"] == root.messages()[0]["id"]
    at, signature = second.headers["Akjob-Signature"].removeprefix("t=").split(",v1=")
    expected = hmac.new(b"s3cret", f"{at}.".encode() + second.body, hashlib.sha256).hexdigest()
    assert signature == expected
    body = second.json()
    assert set(body) == {"id", "kind", "incident", "at", "text", "subject", "host", "root", "jobs"}
    assert set(body["jobs"][0]) == {
        "job", "run", "slot", "state", "reason", "exit_code", "error", "attempt", "failures", "last_success",
        "git_commit", "owner", "runbook", "url", "output",
    }  # fmt: skip
    assert (body["kind"], body["incident"], body["jobs"][0]["exit_code"]) == ("failed", 1, 7)


def test_a_command_gets_the_message_on_its_standard_input(root: Root) -> None:
    """And its exit code counts."""
    script = root.paths.root / "page.sh"
    script.write_text('#!/bin/sh\ncat > got.json\n[ -e fine ] || { echo "no line" >&2; exit 3; }\n')
    script.chmod(0o755)
    root.configure(f'[channels.ops]\ncommand = ["{script}"]\n')
    root.job("a")
    root.start()
    root.ends("a")
    gathered(root, 1)
    until(lambda: root.messages()[0]["attempts"] == 1)
    assert root.messages()[0]["error"] == f"{script} exited with 3: no line"
    (root.paths.root / "fine").touch()
    root.hurry()
    until(lambda: root.messages()[0]["state"] == "sent")
    assert json.loads((root.paths.root / "got.json").read_text())["jobs"][0]["job"] == "a"


def test_a_channel_that_takes_nothing_has_its_fallback_told(root: Root, mail: MailServer, hook: WebServer) -> None:
    """After two tries the other channel has the message too; the first one is still tried."""
    pager = f'fallback = "pager"\n[channels.pager]\nwebhook = {{ url = "{hook.url}" }}'
    root.configure(mail_channel(mail, pager))
    root.job("a")
    root.start()
    mail.refuse = True
    root.ends("a")
    gathered(root, 1)
    until(lambda: root.messages()[0]["attempts"] == 1)
    assert "451" in root.messages()[0]["error"]
    root.hurry()
    until(lambda: hook.requests)
    assert hook.requests[0].json()["jobs"][0]["job"] == "a"
    mail.refuse = False
    root.hurry()
    until(lambda: mail.mails)


def test_a_channel_that_hangs_holds_up_no_other(root: Root, mail: MailServer) -> None:
    """The mail arrives while the other channel's program sleeps."""
    root.configure(mail_channel(mail, '[channels.slow]\ncommand = ["sleep", "1000"]'))
    root.job("a", notify='channels = ["slow", "ops"]')
    root.start()
    root.ends("a")
    gathered(root, 2)
    until(lambda: mail.mails)
    states = {one["channel"]: one["state"] for one in root.messages()}
    assert states["slow"] == "pending"
    root.stop()
    until(lambda: not sleeping())


def sleeping() -> list[str]:
    """Return the processes of the channel that hangs."""
    found = subprocess.run(["pgrep", "-fx", "sleep 1000"], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_quiet_hours_are_one_mail_at_their_end(root: Root, mail: MailServer) -> None:
    """What fails within them is held however late it is; once they are over, it is one mail that names all."""
    hour = timedelta(hours=1)
    now = datetime.now(UTC)  # noqa: TID251 - the program's clock
    quiet = f"quiet = {{ from = {now - hour:%H:%M:%S}, until = {now + hour:%H:%M:%S} }}"
    root.configure(mail_channel(mail, quiet))
    root.job("a")
    root.job("b")
    root.start()
    root.ends("a")
    gathered(root, 1)
    until(lambda: root.messages()[0]["state"] == "held")
    root.ends("b")
    until(lambda: root.messages()[0]["jobs"] == ["a", "b"])
    assert [one["state"] for one in root.messages()] == ["held"]
    assert mail.mails == []
    root.configure(mail_channel(mail))  # without quiet hours: what was held is decided again
    until(lambda: mail.mails)
    (one,) = mail.mails
    assert one["Subject"].endswith("2 jobs: failed")
    assert len(root.messages()) == 1


def test_nothing_is_lost_or_told_twice_over_kills(root: Root, hook: WebServer) -> None:
    """100 failures while akjob-notify is killed again and again, and the server refuses every third message."""
    root.configure(f'[channels.ops]\nwebhook = {{ url = "{hook.url}" }}\nmax_an_hour = 1000\n')
    jobs = [f"job-{number:03d}" for number in range(100)]
    for job in jobs:
        root.job(job)
    root.start()
    count = itertools.count()
    hook.answer = lambda _request: 503 if next(count) % 3 == 0 else 200
    for number, job in enumerate(jobs):
        root.ends(job)
        if number % 20 == 10:
            root.stop(signal.SIGKILL)
            root.start()
        if number % 20 == 15:
            root.hurry()

    def all_told() -> bool:
        root.hurry()
        return all(one["state"] == "sent" for one in root.messages()) and len(told()) == len(jobs)

    def told() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for request in hook.requests:
            if request.headers["Akjob-Delivery"] in taken:
                for one in request.json()["jobs"]:
                    found.setdefault(one["job"], set()).add(request.headers["Akjob-Delivery"])
        return found

    taken = _Sent(root)
    until(all_told, deadline=60, step=0.5)
    assert {job: len(deliveries) for job, deliveries in told().items()} == dict.fromkeys(jobs, 1)


class _Sent:
    """The ids of the deliveries that were taken."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def __contains__(self, delivery: object) -> bool:
        return any(one["id"] == delivery and one["state"] == "sent" for one in self._root.messages())


def test_pings_tell_of_start_and_end(root: Root, hook: WebServer) -> None:
    """Healthchecks' way: /start, then the exit code, with the same rid; the body is for the end."""
    root.configure("")
    root.job("a", notify=f'ping = "{hook.url}/uuid"')
    root.start()
    root.store.commit(
        Writes(
            transitions=[
                Transition(at_us=now_us(), kind="run", to_state="running", job="a", run="r1", slot_us=MINUTE),
                Transition(
                    at_us=now_us(),
                    kind="run",
                    to_state="failed",
                    job="a",
                    run="r1",
                    slot_us=MINUTE,
                    detail=Detail(exit_code=3),
                ),
            ]
        )
    )
    until(lambda: len(hook.requests) == 2)
    start, end = (request.path for request in hook.requests)
    assert start.startswith("/uuid/start?rid=")
    assert end == start.replace("/start", "/3")


def test_a_program_without_channels_sleeps_and_wakes_up_for_the_first_one(root: Root, mail: MailServer) -> None:
    """It opens no outbox; a channel that is added is used without a restart."""
    root.configure("")
    code = "from akjob.notify.program import main; main()"
    environment = {**os.environ, "AKJOB_ROOT": str(root.paths.root)}
    root._process = subprocess.Popen([sys.executable, "-c", code], cwd=root.paths.root, env=environment)
    until((root.paths.run_dir / "notify.lock").exists)
    assert not root.paths.notify_db.exists()
    root.configure(mail_channel(mail))
    until(root.paths.notify_db.exists)
    until(lambda: root.seq() is not None)
    root.job("a")
    root.ends("a")
    gathered(root, 1)
    until(lambda: mail.mails)


def test_a_mistake_in_the_settings_costs_no_message(root: Root, mail: MailServer) -> None:
    """The settings before stay in force; a channel that is gone for a while is tried again."""
    root.configure(mail_channel(mail))
    root.job("a")
    root.start()
    root.configure("[channels.ops\n")
    root.ends("a")
    gathered(root, 1)
    until(lambda: mail.mails)
    root.configure("")
    root.ends("a", state="succeeded")
    gathered(root, 1)
    until(lambda: root.messages()[0]["attempts"] == 1)
    assert (root.messages()[0]["state"], root.messages()[0]["error"]) == ("pending", "there is no channel ops")
    root.configure(mail_channel(mail))

    def arrives() -> bool:
        root.hurry()  # again and again: a try before the new settings are taken over puts it off by another minute
        return len(mail.mails) == 2

    until(arrives, step=0.5)


def test_a_message_names_every_job_however_many(root: Root, hook: WebServer) -> None:
    """Those over the five hundred that are told in full are named too."""
    root.configure(f'[channels.ops]\nwebhook = {{ url = "{hook.url}" }}\n')
    jobs = [f"job-{number:03d}" for number in range(520)]
    for job in jobs:
        root.job(job)
    root.start()
    root.ends(*jobs)
    gathered(root, len(jobs))
    until(lambda: hook.requests, deadline=60)
    body = hook.requests[0].json()
    assert [one["job"] for one in body["jobs"]] == jobs
    assert body["incident"] is None


def test_a_program_that_has_nobody_to_tell_costs_next_to_nothing(root: Root) -> None:
    """At most 15 MB, and it is not woken up by what happens to jobs; the mention of a ping in a job file wakes it."""
    root.configure("")
    (root.paths.root / "jobs.d" / "reports").mkdir(parents=True)
    root.job("a")
    code = "from akjob.notify.program import main; main()"
    environment = {**os.environ, "AKJOB_ROOT": str(root.paths.root)}
    root._process = process = subprocess.Popen([sys.executable, "-c", code], cwd=root.paths.root, env=environment)
    proc = Path("/proc", str(process.pid))
    until(lambda: b"asleep" in (proc / "cmdline").read_bytes() and status(proc, "State").startswith("S"))
    until((root.paths.run_dir / "notify.lock").exists)
    assert int(status(proc, "VmRSS").split()[0]) <= 15_000
    before = until(lambda: fenced(root, proc))
    for _ in range(100):
        root.ends("a")
    assert fenced(root, proc)
    assert switches(proc) == before + 1
    lock = root.paths.run_dir / "notify.lock"
    assert lock_holder(lock) == process.pid
    shutil.rmtree(root.paths.run_dir)
    until(lambda: lock_holder(lock) == process.pid)
    until(lambda: b"asleep" in (proc / "cmdline").read_bytes() and status(proc, "State").startswith("S"))
    (root.paths.root / "jobs.d" / "reports" / "b.toml").write_text('command = ["true"]\n[notify]\nping = "http://h/"\n')
    until(lambda: root.seq() is not None)
    assert process.poll() is None


def test_a_program_that_has_told_all_sleeps(root: Root, hook: WebServer) -> None:
    """Its own reading of the ledger, or another program's, is not news."""
    root.configure(f'[channels.ops]\nwebhook = {{ url = "{hook.url}" }}\n')
    root.job("a")
    root.start()
    assert root._process is not None
    proc = Path("/proc", str(root._process.pid))
    seen: list[tuple[float, int]] = []

    def calm() -> bool:
        now = (time.monotonic(), switches(proc))
        seen[:] = [*seen, now] if seen and seen[-1][1] == now[1] else [now]
        return seen[-1][0] - seen[0][0] >= 1

    until(calm)
    before = switches(proc)
    for _ in range(20):
        assert open_reader(root.paths.ledger_url).last_seq()
    until(calm)
    assert switches(proc) <= before + 1  # the last look after the last commit


def status(proc: Path, name: str) -> str:
    """Return a line of proc_pid_status(5)."""
    lines = (proc / "status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def switches(proc: Path) -> int:
    """Return how often a process has waited."""
    return int(status(proc, "voluntary_ctxt_switches"))


def fenced(root: Root, proc: Path) -> int:
    """Have the process see a file that is not a reason to wake up; return its waits if that was one more, else 0."""
    before = switches(proc)
    (root.paths.root / "README").touch()
    (root.paths.root / "README").unlink()
    until(lambda: switches(proc) > before)
    return switches(proc) if switches(proc) == before + 1 else 0
