"""``akjob down``: akjobd starts no more runs, the running jobs end, supervisord and its programs stop."""

import click

from akjob.cli import orphans
from akjob.cli.common import find_paths
from akjob.cli.draining import Signals, draining
from akjob.cli.supervision import pid, shut_down
from akjob.config import Paths
from akjob.errors import AkjobError
from akjob.query.orphans import runs


def end(paths: Paths, signals: Signals, *, kill: bool) -> bool:
    """Wait for the running jobs, or end them with ``kill``; then stop supervisord and wait until it is gone.

    Returns False when runs may still go on. Raises AkjobError when supervisord does not end.
    """
    with draining(paths, signals, kill=kill) as drained:
        if signals.ends and not drained:
            return False
        shut_down(paths)
        return drained


@click.command(name="down")
@click.option("--kill", is_flag=True, help="End the running jobs: SIGTERM, then SIGKILL.")
def command(*, kill: bool) -> None:
    """Stop akjobd, the collector and supervisord.

    It waits for running jobs and lists them; Ctrl-C ends them, as --kill does at once. Slots that come due
    meanwhile are accounted for at the next start, as each job's `missed` says.
    """
    paths = find_paths()
    with Signals() as signals:
        up = pid(paths) is not None
        drained = up and end(paths, signals, kill=kill)
        if up and signals.ends:
            message = "the wait was cut short by a signal; akjobd still waits for its runs"
            raise AkjobError(message, hint="`akjob down` waits again, `akjob down --kill` ends them.")
        alone = [] if drained else orphans.end(paths, signals, "akjob down --kill") if kill else runs(paths)
    state = "is down" if up else f"is not up in {paths.root}"
    if alone:
        names = ", ".join(f"{run.job} {run.run}" for run in alone)
        message = f"akjob {state}, but runs of it go on: {names}"
        hint = "`akjob down --kill` ends them; `akjob up` takes them over, and `akjob down` then waits for them."
        raise AkjobError(message, hint=hint)
    click.echo(f"akjob {state}.")
