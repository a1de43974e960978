"""``akjob metrics``: what Prometheus reads, without a web program."""

from pathlib import Path

import click

from akjob.cli.common import examples, find_paths, now_us, settings
from akjob.cli.control import ask
from akjob.config import Paths
from akjob.control.requests import GetStatus
from akjob.control.status import Status
from akjob.errors import UnreachableError
from akjob.ledger import open_reader
from akjob.query.jobs import load
from akjob.spec.write import write_file


@click.command(
    name="metrics",
    epilog=examples(
        "akjob metrics",
        "akjob metrics --jobs | grep akjob_job_broken",
        "akjob metrics --jobs --textfile /var/lib/prometheus/node-exporter/akjob.prom",
    ),
)
@click.option("--jobs", "with_jobs", is_flag=True, help="Also the series of each job.")
@click.option("--tag", metavar="TAG", help="With --jobs: only jobs with this tag.")
@click.option("--match", metavar="GLOB", help="With --jobs: only jobs whose name fits; * does not cross /, ** does.")
@click.option(
    "--textfile", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file, replaced atomically."
)
def command(*, with_jobs: bool, tag: str | None, match: str | None, textfile: Path | None) -> None:
    """Print the metrics in Prometheus' text format, as akjob-web serves them at /metrics and /metrics/jobs.

    Works while akjobd is down: then akjob_up is 0. --textfile is for node_exporter's textfile collector.
    """
    text = _text(find_paths(), with_jobs=with_jobs, tag=tag, match=match)
    if textfile is None:
        click.echo(text, nl=False)
    else:
        write_file(textfile, text)


def _text(paths: Paths, *, with_jobs: bool, tag: str | None, match: str | None) -> str:
    from akjob import metrics

    reader = open_reader(paths.ledger_url)
    snapshot = load(paths, settings(paths), now_us(), reader)
    facts = metrics.gather(paths, snapshot, _status(paths), reader)
    text = metrics.render(facts)
    if with_jobs:
        text += metrics.render_jobs(snapshot, reader.job_counters(), metrics.Selection(tag=tag, match=match))
    return text.decode()


def _status(paths: Paths) -> Status | None:
    try:
        return ask(paths, GetStatus()).status
    except UnreachableError:
        return None
