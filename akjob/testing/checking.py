"""A test item for each job file: it passes when ``akjob validate`` finds no error in the file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from akjob.config import Paths
from akjob.errors import AkjobError, Problem
from akjob.jobset.scan import has_original, is_job_path
from akjob.testing.clock import now_us
from akjob.testing.job import root_of
from akjob.validate import render_text, validate


def is_job_file(path: Path) -> bool:
    """Return True for a job file below the ``jobs.d`` of a root."""
    root = root_of(path)
    if root is None:
        return False
    jobs_d = Paths(root).jobs_d
    if has_original(str(path)) or not path.is_relative_to(jobs_d):
        return False
    return is_job_path(path.relative_to(jobs_d).as_posix())


class InvalidJobError(Exception):
    """A job file with errors."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(f"{len(problems)} errors")
        self.problems = problems


class JobFileCollector(pytest.File):
    """A job file. It has one item."""

    def collect(self) -> Iterator["JobItem"]:
        """Yield the item of the file."""
        yield JobItem.from_parent(self, name="akjob")


class JobItem(pytest.Item):
    """The check of one job file."""

    def runtest(self) -> None:
        """Raise what is wrong in the file; warnings are pytest's warnings."""
        problems = [one for one in _problems(self.config, self.path) if _is_of(one, self.path)]
        errors = [one for one in problems if one.severity == "error"]
        if errors:
            raise InvalidJobError(errors)
        for one in problems:
            if one.severity == "warning":
                self.warn(pytest.PytestWarning(str(one)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the errors as ``akjob validate`` prints them."""
        if isinstance(excinfo.value, InvalidJobError):
            return "\n".join(render_text(excinfo.value.problems, Path("/")))
        if isinstance(excinfo.value, AkjobError):
            return f"{excinfo.value.message}\n{excinfo.value.hint}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return where the item is in reports."""
        return self.path, 0, f"akjob: {self.parent.name if self.parent is not None else self.name}"


_FOUND = pytest.StashKey[dict[Path, list[Problem]]]()


def _problems(config: pytest.Config, path: Path) -> list[Problem]:
    """Return the problems of the root that a file lies in, found once a session: some are those of several files."""
    root = root_of(path)
    if root is None:
        return []
    found = config.stash.setdefault(_FOUND, {})
    if root not in found:
        found[root] = [_with_path(one, root) for one in validate(Paths(root), now_us=now_us())]
    return found[root]


def _with_path(problem: Problem, root: Path) -> Problem:
    from msgspec.structs import replace  # noqa: PLC0415 - only where there is a problem

    return replace(problem, file=str(root / problem.file))


def _is_of(problem: Problem, path: Path) -> bool:
    """Return True for a problem of the file, of a defaults file above it, or of the settings."""
    file = Path(problem.file)
    above = file.name == "_defaults.toml" and path.is_relative_to(file.parent)
    return above or file.name == "akjob.toml" or file == path
