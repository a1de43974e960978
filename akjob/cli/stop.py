"""``akjob stop``: end runs."""

import click

from akjob.cli.choosing import choose, confirm, for_each, is_pattern, jobs_arguments
from akjob.cli.common import examples, find_paths
from akjob.cli.control import ask, job_name
from akjob.control.requests import StopRuns
from akjob.query.names import user_name

_EXAMPLES = examples("akjob stop reports/nightly", "akjob stop 01m85ajwkd1sc8zp", "akjob stop 'etl/*' --yes")


@click.command(name="stop", epilog=_EXAMPLES)
@jobs_arguments
def command(names: tuple[str, ...], tags: tuple[str, ...], *, yes: bool) -> None:
    """End a run, all runs of jobs, or a backfill: the stop signal first, SIGKILL after kill_after.

    JOB may be the beginning of a run's or a backfill's id, too. The runs become cancelled; of a backfill the run under
    way ends by itself.
    """
    paths = find_paths()
    if tags or any(map(is_pattern, names)) or not names:
        targets = choose(paths, names, tags, yes=yes, what="stop all runs of")
    else:
        targets = list(dict.fromkeys(job_name(paths, name) for name in names))
        confirm(targets, yes=yes, what="stop all runs of")

    def stop(target: str) -> None:
        stopped = ask(paths, StopRuns(target=target, by=user_name())).stopped
        for run in stopped:
            click.echo(f"stopping {run}")
        if not stopped:
            click.echo(f"No run of {target} is under way.", err=True)

    for_each(targets, stop)
