"""What is wrong in a file that jobs share (``_defaults.toml``, ``etc/akjob.toml``) comes up with each of them.

It is read once, in its place. Jobs may say it in different words, for what it meets in them differs.
"""

import os
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from akjob.config import DEFAULTS
from akjob.errors import Problem

Place = tuple[str, int, int, str, str]


def is_shared(file: str) -> bool:
    """Return whether a file is part of others."""
    return os.path.basename(file) == DEFAULTS or f"/{file}".endswith("/etc/akjob.toml")


def once(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield each problem, of those in one place of a shared file the first by its words."""
    first: dict[Place, Problem] = {}
    for problem in problems:
        if not is_shared(problem.file):
            yield problem
        elif _words(problem) < _words(first.setdefault(_place(problem), problem)):
            first[_place(problem)] = problem
    yield from first.values()


def counted(before: Iterable[Problem], of_jobs: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems of the files themselves and those of their jobs, with how many jobs a shared one costs."""
    known: list[Problem] = []
    jobs: dict[Place, int] = {}
    for problem in before:
        if is_shared(problem.file):
            known.append(problem)
        else:
            yield problem
    seen = set(known)
    for problem in of_jobs:
        if not is_shared(problem.file):
            yield problem
            continue
        seen.add(problem)
        jobs[_place(problem)] = jobs.get(_place(problem), 0) + 1
    for problem in once(seen):
        count = jobs.get(_place(problem), 0)
        yield problem if count == 0 else replace(problem, hint=_with_jobs(problem.hint, count))


def _place(problem: Problem) -> Place:
    return problem.file, problem.line, problem.column, problem.severity, problem.code


def _words(problem: Problem) -> tuple[str, str, str]:
    return problem.message, problem.hint, problem.key


def _with_jobs(hint: str, count: int) -> str:
    """Add to a hint how many jobs the problem is about."""
    about = f"{count} job{'' if count == 1 else 's'} ha{'s' if count == 1 else 've'} it from here"
    return f"{hint} ({about})" if hint else about
