"""``akjob validate``: everything that is wrong in job files, in one go."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from akjob.cli.common import colours, examples, find_paths, given_root, now_us, say, working_folder
from akjob.cli.text import paint
from akjob.config import Paths, find_root
from akjob.errors import AkjobError, Problem
from akjob.query.text import plural
from akjob.validate import render_github, render_json, render_sarif, render_text, validate

if TYPE_CHECKING:
    from rich.progress import Progress

_FORMATS = ("text", "json", "github", "sarif")
_MANY = 500  # of so many files a person wants to see that it goes on
_COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}
_HEAD = re.compile(r"(.*?:\d+:\d+: )(error|warning|info)(\[.*)", re.DOTALL)
_EXAMPLES = examples(
    "akjob validate                       the whole root",
    "akjob validate jobs.d/reports new.toml",
    "akjob validate --strict --format github",
    "akjob validate --json | jq -r 'select(.severity == \"error\") | .file'",
)


@click.command(name="validate", epilog=_EXAMPLES)
@click.argument("targets", metavar="[PATH]...", nargs=-1)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one JSON object a problem.")
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
def command(targets: tuple[str, ...], form: str, *, as_json: bool, strict: bool) -> None:
    """Find all problems of all job files, or of the files and folders given, which need no root.

    Besides what akjobd itself finds: callables that do not exist, arguments that do not fit, dill files that do not
    match, schedules that never fire, and more. None of the job's code is run. Exits with 1 when there is an error.
    """
    paths = find_paths() if not targets else _root_if_any()
    with _Bar() as bar:
        problems = validate(paths, targets, now_us=now_us(), progress=bar.show)
    base = paths.root if paths is not None and not targets else Path()
    say(_rendered("json" if as_json else form, problems, base))
    counts = Counter(problem.severity for problem in problems)
    if form == "text" and not as_json:
        click.echo(_summary(counts, problems), err=True)
    if counts["error"] or (strict and counts["warning"]):
        raise SystemExit(1)


def _root_if_any() -> Paths | None:
    """Return the root that is named or that this folder is in. Raises AkjobError if the named one is not a root."""
    try:
        return Paths(find_root(given_root(), os.environ, working_folder()))
    except AkjobError:
        if given_root() is not None:
            raise
        return None


def _rendered(form: str, problems: Sequence[Problem], base: Path) -> Iterable[str]:
    if form == "json":
        return render_json(problems)
    if form == "github":
        return render_github(problems)
    if form == "sarif":
        from akjob.spec.codes import CODES

        return [render_sarif(problems, CODES)]
    lines = render_text(problems, base)
    return map(_tinted, lines) if colours() else lines


def _tinted(line: str) -> str:
    match = _HEAD.fullmatch(line)
    if match is None:
        return line
    return match[1] + paint(match[2], _COLOURS[match[2]], on=True) + match[3]


def _summary(counts: Counter[Any], problems: Sequence[Problem]) -> str:
    if not problems:
        return "No problems."
    said = [plural(counts[kind], kind) for kind in ("error", "warning", "info") if counts[kind]]
    return f"{', '.join(said)} in {plural(len({problem.file for problem in problems}), 'file')}"


class _Bar:
    """A progress bar on a terminal, for many files. It has no thread, for the validation forks."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._wanted = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int) -> None:
        """Show how far it is."""
        if not self._wanted or total < _MANY:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._bar.add_task("validating", total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, refresh=True)
