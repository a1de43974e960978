"""``akjob diff``: what a change of ``jobs.d/`` means."""

import click

from akjob import diff
from akjob.cli.common import examples, find_paths, now_us, say
from akjob.jobset.git import merge_base

_RENDERERS = {"text": diff.render_text, "json": diff.render_json, "markdown": diff.render_markdown}
_EXAMPLES = examples(
    "akjob diff                                what the work tree changes against HEAD",
    "akjob diff main                           … against the branch main",
    "akjob diff main HEAD --format markdown    a comment for a pull request",
    "akjob diff main...topic                   what topic changes since it left main",
)


@click.command(name="diff", epilog=_EXAMPLES)
@click.argument("revisions", metavar="[REV [REV]]", nargs=-1)
@click.option("--format", "form", type=click.Choice(list(_RENDERERS)), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one JSON object a change.")
def command(revisions: tuple[str, ...], form: str, *, as_json: bool) -> None:
    """Show what a change of jobs.d/ means: jobs added, removed, renamed; resolved keys, old and new; the next slots.

    REV is a commit, a branch or a tag; A..B is two of them, A...B is B and the last commit that it has in common with
    A. Without the second it is the work tree, without the first HEAD. Exits with 1 when something of the newer side
    would be refused, also when it was before.
    """
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
    say(_RENDERERS["json" if as_json else form](difference))
    if difference.is_wrong:
        raise SystemExit(1)
