"""A bad file beside the exact text it must produce.

``golden/NAME.toml`` is the file, ``golden/NAME.txt`` what is said about it: each problem, and below it its hint. After
a meant change of words: ``python -m tests.unit.spec.test_golden`` writes the texts again; read the difference before
you commit it.
"""

from pathlib import Path

import pytest

from akjob.errors import Problem
from akjob.instants import from_text
from akjob.spec import parse_defaults, parse_job
from akjob.spec.codes import CODES

GOLDEN = Path(__file__).parent / "golden"
NOW_US = from_text("2026-03-01T00:00:00Z")
FILES = sorted(GOLDEN.glob("*.toml"), key=lambda path: path.name)


def problems_of(path: Path) -> tuple[Problem, ...]:
    """Parse one golden file, as the defaults of a folder if its name says so."""
    if path.name.startswith("defaults-"):
        return parse_defaults("jobs.d/_defaults.toml", path.read_bytes()).problems
    return parse_job("bad", "jobs.d/bad.toml", path.read_bytes(), now_us=NOW_US).problems


def said_of(path: Path) -> str:
    """Return the text that a golden file produces."""
    return "".join(f"{problem}\n" + (f"    {problem.hint}\n" if problem.hint else "") for problem in problems_of(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bad_file_is_answered_with_this_text(path: Path) -> None:
    """The problems, their positions, their words and their hints are exactly those of the text beside the file."""
    assert said_of(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_problem_can_be_looked_up_and_helps(path: Path) -> None:
    """Each problem has a code of the registry, a hint or a guess, and lies inside the file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    problems = problems_of(path)
    assert problems, "a golden file without a problem proves nothing"
    for problem in problems:
        assert problem.code in CODES
        assert problem.hint or "did you mean" in problem.message
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def test_there_are_more_than_forty_kinds_of_mistakes() -> None:
    """The collection covers the mistakes that people make, and most codes that a parser can give."""
    assert len(FILES) > 40
    assert len({problem.code for path in FILES for problem in problems_of(path)}) >= 30


if __name__ == "__main__":
    for file in FILES:
        file.with_suffix(".txt").write_text(said_of(file), encoding="utf-8")
