"""``akjob diff``: what a change of ``jobs.d/`` means."""

import click

from akjob import diff
from akjob.cli.common import examples, find_paths, now_us, say
from akjob.jobset.git import merge_base
from akjob.ledger import open_reader
from akjob.query.plan import SAMPLES

_RENDERERS = {"text": diff.render_text, "json": diff.render_json, "markdown": diff.render_markdown}
_EXAMPLES = examples(
    "akjob diff                                what the work tree changes against HEAD",
    "akjob diff main                           … against the branch main",
    "akjob diff main HEAD --format markdown    a comment for a pull request",
    "akjob diff main --days 30 --fail-on lost  the slots of 30 days: none may be lost",
    "akjob diff main...topic                   what topic changes since it left main",
)


@click.command(name="diff", epilog=_EXAMPLES)
@click.argument("revisions", metavar="[REV [REV]]", nargs=-1)
@click.option("--format", "form", type=click.Choice(list(_RENDERERS)), default="text", show_default=True)
@click.option("--days", type=click.IntRange(1, 90), metavar="N", help="Also the slots of the next N days.")
@click.option(
    "--fail-on",
    type=click.Choice(["lost", "gained", "moved"]),
    multiple=True,
    help="Exit with 1 if there are such slots; needs --days. Repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one JSON object per change.")
def command(
    revisions: tuple[str, ...], form: str, days: int | None, fail_on: tuple[str, ...], *, as_json: bool
) -> None:
    """Show what a change of jobs.d/ means: jobs added, removed, renamed; resolved keys, old and new; the next slots.

    REV is a commit, a branch or a tag; A..B is two of them, A...B is B and the last commit that it has in common with
    A. Without the second it is the work tree, without the first HEAD. Exits with 1 when something of the newer side
    would be refused, also when it was before. With --days the slots that are gained, lost and moved are listed: a slot
    is moved when another one of the same day took its place.
    """
    if fail_on and days is None:
        raise click.UsageError("--fail-on needs --days: how many days to look ahead.")
    if len(revisions) > 2:  # noqa: PLR2004 - two sides
        raise click.UsageError("A comparison has two sides: give at most two revisions.")
    paths = find_paths()
    if len(revisions) == 1 and ".." in revisions[0]:
        dots = "..." if "..." in revisions[0] else ".."
        first, second = (one or "HEAD" for one in revisions[0].split(dots, 1))
        revisions = (merge_base(str(paths.root), first, second) if dots == "..." else first, second)
    now = now_us()
    old = diff.at_revision(paths, revisions[0] if revisions else "HEAD", now)
    new = diff.at_revision(paths, revisions[1], now) if len(revisions) > 1 else diff.of_work_tree(paths, now)
    difference = diff.compare(old, new, now)
    slots = None
    if days is not None:
        took = open_reader(paths.ledger_url).durations(sorted({*old.jobs, *new.jobs}), SAMPLES)
        slots = diff.slots_of(old, new, difference, now, days, took)
    say(_RENDERERS["json" if as_json else form](difference, slots))
    unwanted = slots is not None and any(getattr(one, kind) for one in slots.jobs for kind in fail_on)
    if difference.is_wrong or unwanted:
        raise SystemExit(1)
