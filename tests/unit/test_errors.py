"""What is wrong, as a value and as a text."""

from akjob.errors import AkjobError, Problem, UsageError


def test_a_problem_is_written_as_editors_read_it() -> None:
    """``file:line:column: severity[code] message``."""
    problem = Problem(file="jobs.d/a.toml", line=3, column=1, code="unknown-key", message="unknown key `evry`")
    assert str(problem) == "jobs.d/a.toml:3:1: error[unknown-key] unknown key `evry`"


def test_a_problem_of_a_whole_file_is_at_its_beginning() -> None:
    """Without a position it is 1:1, and an error unless said otherwise."""
    problem = Problem(file="a.toml", code="x", message="m", severity="info")
    assert str(problem) == "a.toml:1:1: info[x] m"


def test_an_error_carries_its_hint_and_its_exit_code() -> None:
    """A command can say what to do, and end with the right code."""
    error = UsageError("no root", hint="name one")
    assert (str(error), error.message, error.hint, error.exit_code) == ("no root", "no root", "name one", 2)
    assert AkjobError("x").exit_code == 1
