"""``akjob up``: supervisord with etc/supervisord.conf, in the foreground or as a daemon, until akjobd answers."""

import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any

import click
import msgspec

from akjob.cli import complain, supervision
from akjob.cli.common import find_paths, now_us, settings, working_folder
from akjob.cli.down import end
from akjob.cli.draining import Signals
from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import GetStatus
from akjob.errors import AkjobError, UnreachableError
from akjob.instants import to_text
from akjob.processes import die_with_parent
from akjob.query.text import plural

_READY_WITHIN_S = 30.0
_PAGE_WITHIN_S = 3.0
_ASK_EVERY_S = 0.05
_LAST_LINES = 5
_MOST_JOBS_SHOWN = 40  # of more, the list would push everything else off the screen, and take longer than the start


@click.command(name="up")
@click.option("-d", "--detach", is_flag=True, help="Give the terminal back once akjobd answers.")
def command(*, detach: bool) -> None:
    """Start supervisord with etc/supervisord.conf, and so akjobd and the collector.

    In the foreground, Ctrl-C ends them as `akjob down` does: running jobs are waited for; once more, and they are
    ended. SIGTERM and SIGHUP stop akjob at once and leave running jobs to the next `akjob up`.
    """
    paths = find_paths()
    supervision.prepare(paths)
    number = supervision.pid(paths)
    if number is not None:
        _already(paths, number, detach=detach)
    elif detach:
        _detached(paths)
    else:
        _foreground(paths)


def _already(paths: Paths, number: int, *, detach: bool) -> None:
    status = _status(paths)
    if status is not None and status.get("draining"):
        own = [run for run in status["running"] if run["shim_pid"] is not None]  # not those of other nodes
        message = f"akjob is going down in {paths.root}: `akjob down` waits for {plural(len(own), 'run')}"
        raise AkjobError(message, hint=f"{_typed(paths, 'up')} when that has ended, or end the wait first")
    message = f"akjob is up in {paths.root} already: supervisord has pid {number}"
    if not detach:
        raise AkjobError(message, hint=f"{_typed(paths, 'status')}   what it does\n{_typed(paths, 'down')}     ends it")
    click.echo(f"{message}.")


def _detached(paths: Paths) -> None:
    """Let supervisord become a daemon: it reports what is wrong before it does, on standard error."""
    argv = supervision.command(paths, foreground=False)
    started = subprocess.run(
        argv, env=supervision.environment(os.environ), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    number = supervision.pid(paths)
    if started.returncode and number is None:  # else another `akjob up` was quicker, and all is as it was to be
        said = (started.stderr + started.stdout).decode(errors="replace").strip()
        message = f"supervisord did not start (exit code {started.returncode}): {said}"
        raise AkjobError(message, hint=f"See {paths.etc}/supervisord.conf and {paths.log_dir}/supervisord.log")
    if number is None:
        message = "supervisord ended as soon as it had started"
        raise AkjobError(message, hint=f"See {paths.log_dir}/supervisord.log")
    watched = os.pidfd_open(number)
    try:
        status = _ready(paths, watched, None)
    finally:
        os.close(watched)
    if status is None:
        raise _silent(paths, number)
    _report(paths, status, "stop it; waits for running jobs")


def _foreground(paths: Paths) -> None:
    """Keep supervisord as a child, in a session of its own: the terminal's Ctrl-C is for this process alone."""
    with Signals() as signals:
        child = subprocess.Popen(
            supervision.command(paths, foreground=True),
            env=supervision.environment(os.environ),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=partial(_with_us, os.getpid()),  # noqa: PLW1509 - there are no threads here
        )
        watched = os.pidfd_open(child.pid)
        try:
            _watch(paths, signals, child, watched)
        finally:
            if child.poll() is None:
                child.terminate()
            child.wait()
            os.close(watched)


@contextmanager
def _following(paths: Paths, since: str) -> Iterator[None]:
    """Show the log as it comes, as ``akjob logs -f`` does, beside this process, which waits for signals."""
    sys.stdout.flush()
    argv = [sys.executable, "-P", "-c", "from akjob.cli import main; main()", "logs", "-f", "--since", since]
    environment = os.environ | {"AKJOB_ROOT": str(paths.root)}
    follower = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(_with_us, os.getpid()),  # noqa: PLW1509 - there are no threads here
    )
    try:
        yield
    finally:
        follower.terminate()
        follower.wait()


def _with_us(parent: int) -> None:
    """Let a child stop when this process dies, however: what was started in the foreground does not stay behind."""
    die_with_parent(signal.SIGTERM, parent)


def _watch(paths: Paths, signals: Signals, child: "subprocess.Popen[bytes]", watched: int) -> None:
    """Report the start; then wait for the end of supervisord or for a signal, and act on it."""
    began = to_text(now_us())
    status = _ready(paths, watched, signals)
    if status is not None:
        _report(paths, status, "stop it, as Ctrl-C does here; running jobs are waited for")
    elif child.poll() is None and not (signals.interrupts or signals.ends):
        silent = _silent(paths, child.pid)
        complain(silent.message, silent.hint)
    with _following(paths, began):
        while not (signals.interrupts or signals.ends):
            if signals.wait(watched):
                _ended(paths, child)
                return
    if signals.ends:
        click.echo("Stopping; running jobs go on.")
        return
    click.echo("Ending: no more runs are started.")
    drained = end(paths, signals, kill=False)
    if not signals.ends:
        click.echo("akjob is down." if drained else "akjob is down; runs that were left go on.")


def _ended(paths: Paths, child: "subprocess.Popen[bytes]") -> None:
    """Supervisord went without being asked by us: `akjob down` elsewhere, or a failure."""
    code = child.wait()
    if code:
        message = f"supervisord ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
        raise AkjobError(message, hint=f"See {paths.log_dir}/supervisord.log")
    click.echo("akjob is down.")


def _ready(paths: Paths, watched: int, signals: Signals | None) -> dict[str, Any] | None:
    """Ask akjobd until it has loaded the jobs; None where it does not in time, supervisord ended, or a signal came."""
    deadline = monotonic() + _READY_WITHIN_S
    while monotonic() < deadline:
        status = _status(paths)
        if status is not None and status["revision"]["loaded_at"] is not None:
            return status
        ended = (
            signals.wait(watched, timeout_s=_ASK_EVERY_S)
            if signals is not None
            else select.select([watched], [], [], _ASK_EVERY_S)[0]
        )
        if ended or (signals is not None and (signals.interrupts or signals.ends)):
            return None
    return None


def _status(paths: Paths) -> dict[str, Any] | None:
    try:
        with Client(paths) as client:
            found: dict[str, Any] = msgspec.to_builtins(client.call(GetStatus()).status)
    except AkjobError:
        return None
    return found


def _silent(paths: Paths, number: int) -> AkjobError:
    """Return what to say of an akjobd that does not answer, with the last that it said itself."""
    message = f"supervisord is up (pid {number}), but akjobd does not answer after {_READY_WITHIN_S:.0f} s"
    hint = f"{_tail(paths.log_dir / 'akjobd.out')}\nSee {paths.log_dir}/akjobd.out".strip()
    return UnreachableError(message, hint=hint)


def _report(paths: Paths, status: dict[str, Any], how_it_ends: str) -> None:
    """Print what is up: the job set, what is broken, the jobs if they are few, the page, and what to type next."""
    jobs = status["jobs"]
    broken = "none broken" if not jobs["broken"] else f"{jobs['broken']} broken"
    click.echo(f"akjob is up in {paths.root}: {plural(jobs['loaded'], 'job')}, {broken}.")
    places = (f"{one['file']}:{one['line']}:{one['column']}: {one['message']}" for one in status["broken"])
    for place in dict.fromkeys(places):  # a mistake in defaults is that of many jobs
        complain(place)
    click.echo()
    is_short = jobs["loaded"] + jobs["broken"] <= _MOST_JOBS_SHOWN
    if is_short:
        click.get_current_context().invoke(import_module("akjob.cli.list").command)
        click.echo()
    _show_page(paths)
    typed = {} if is_short else {_typed(paths, "list"): "the jobs, when each is due and how it ended last"}
    typed |= {
        _typed(paths, "status"): "what runs now, what is broken",
        _typed(paths, "history"): "what ran, was skipped or was missed",
        _typed(paths, "logs -f"): "every line, as it comes",
        _typed(paths, "down"): how_it_ends,
    }
    width = max(map(len, typed))
    for words, what in typed.items():
        click.echo(f"  {words:<{width}}  {what}")
    click.echo()


def _show_page(paths: Paths) -> None:
    """Print the URL that logs a browser in to the page; say what keeps akjob-web from serving, if anything does."""
    from akjob.cli.web import new_login_url, warn
    from akjob.control import presence

    config = settings(paths)
    if not config.web.enabled:
        return
    deadline = monotonic() + _PAGE_WITHIN_S
    while presence.read(paths) is None and monotonic() < deadline:
        select.select([], [], [], _ASK_EVERY_S)
    click.echo(new_login_url(paths, config))
    click.echo()
    warn(paths)


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])
    except OSError:
        return ""


def _typed(paths: Paths, words: str) -> str:
    """Return a command as the person at this terminal would have to type it."""
    ours = os.path.abspath(sys.argv[0])
    program = "akjob" if shutil.which("akjob") == ours else os.path.relpath(ours, working_folder())
    elsewhere = paths.root not in ((here := working_folder()), *here.parents)
    root = f" --root {shlex.quote(str(paths.root))}" if elsewhere else ""
    return f"{program} {words}{root}"
