"""What a file may hold at most: the same answer for akjobd, which resolves it, and for validate, which does not."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.spec import parse_defaults, parse_job, parse_jobs, parse_rest
from akjob.toml.read import read_table, read_value

JOB = 'callable = "a:b"\n'


@pytest.mark.parametrize("resolve", [True, False])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"args = [{'9' * 4301}]", "2:9 out-of-range"),
        (f"args = [1, 2,\n  -{'9' * 400}]", "3:3 out-of-range"),
        (f"args = [0x{'f' * 4000}]", "2:9 out-of-range"),
        ("args = [9223372036854775808]", "2:9 out-of-range"),
        (f"args = [{'0' * 4000}]", "2:9 toml-syntax"),
        (f"args = {'[' * 65}{']' * 65}", "2:72 too-deep"),
        (f"args = {'[' * 5000}{']' * 5000}", "2:72 too-deep"),
        (f"args = {'[' * 5000}", "2:72 too-deep"),
        (f"kwargs = {'{a=' * 65}1{'}' * 65}", "2:202 too-deep"),
        (f"[kwargs]\n{'.'.join(['a'] * 600)} = 1", "3:1 too-deep"),
        (f"[kwargs.{'.'.join(['a'] * 600)}]\nb = 1", "2:2 too-deep"),
        (f"[kwargs.{'.'.join(['a'] * 40)}]\n{'.'.join(['b'] * 40)} = 1", "3:83 too-deep"),
        (f"[kwargs]\n{'.'.join(['a'] * 20_000)} = 1", "3:1 too-deep"),
        (f"[kwargs]\n{' . '.join(['a', QUOTED] * 10_000)} = 1" if (QUOTED := "'b'") else "", "3:1 too-deep"),
    ],
    ids=lambda text: str(text)[:30],
)
def test_too_much_is_refused_at_its_place(text: str, said: str, *, resolve: bool) -> None:
    """With a position, at once, whoever asks."""
    began = time.perf_counter()
    [problem] = parse_job("a", "jobs.d/a.toml", f"{JOB}{text}\n", resolve=resolve).problems
    assert time.perf_counter() - began < 2
    assert f"{problem.line}:{problem.column} {problem.code}" == said
    assert problem.hint
    assert len(problem.message) < 200


def test_as_much_as_may_be_is_read() -> None:
    """The largest numbers, 64 levels, long strings with dots and brackets, many small tables."""
    deep = f"{'[' * 63}{']' * 63}"
    text = f"args = [9223372036854775807, -9223372036854775808, '{'[' * 200}', '{'a.' * 20_000}', {deep}]"
    result = parse_job("a", "jobs.d/a.toml", f"{JOB}{text}\n")
    assert result.problems == ()
    assert result.spec is not None
    tables = "".join(f"[instances.n{number}]\nargs = [[1]]\n" for number in range(300))
    assert len([one for one in parse_jobs("a", "jobs.d/a.toml", JOB + tables) if one.spec is not None]) == 300


def test_defaults_are_held_to_the_same() -> None:
    """A large number in a _defaults.toml costs the jobs below, with a position."""
    defaults = parse_defaults("jobs.d/_defaults.toml", f"args = [0x{'f' * 4000}]\n")
    [problem] = parse_job("a", "jobs.d/a.toml", JOB, defaults=[defaults]).problems
    assert (problem.file, problem.line, problem.column) == ("jobs.d/_defaults.toml", 1, 9)


@pytest.mark.parametrize("text", ["9" * 4301, "9223372036854775808", "[" * 100 + "]" * 100, "1\nb = 2", "x", ""])
def test_a_single_value_is_held_to_the_same(text: str) -> None:
    """As after ``--arg x:=``."""
    with pytest.raises(ValueError, match=r"."):
        read_value(text)
    assert read_value("[1, '2']") == [1, "2"]


_PIECE = st.sampled_from(
    [
        *(
            'callable = "a:b"\n',
            'command = "x"\n',
            "args = ",
            "[",
            "]",
            "{",
            "}",
            '"',
            "'",
            "\n",
            "=",
            ".",
            ",",
            " ",
            "#",
        ),
        *("[kwargs]\n", "[schedule]\n", "[run]\n", "[instances.a]\n", "[[expect]]\n", "instances = ", "env", "a", "b."),
        *("9" * 30, "0x" + "f" * 20, "1", "-1", "1.5", "nan", "inf", "true", "09:30:00", "2026-03-29", "every", '"1h"'),
        *(
            "cron",
            '"* * * * *"',
            "days",
            '["mon"]',
            "retry",
            "attempts",
            "\\",
            "\u0000",
            "ä",
            "\ud800"[:0],
            "'''",
            '"""',
        ),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_PIECE, max_size=40).map("".join))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    """Whatever a file holds: jobs or problems with positions in it, the same with and without resolving."""
    lines = text.replace("\r\n", "\n").split("\n")
    resolved = parse_jobs("a", "jobs.d/a.toml", text)
    plain = parse_jobs("a", "jobs.d/a.toml", text, resolve=False)
    assert [one.problems for one in resolved] == [one.problems for one in plain]
    assert [one.spec is None for one in resolved] == [one.spec is None for one in plain]
    for result in resolved:
        for problem in result.problems:
            assert problem.code != "internal-error", problem
            assert 1 <= problem.line <= len(lines)
    parse_rest("a", "jobs.d/a.toml", text)
    assert all(problem.code != "internal-error" for problem in parse_defaults("d", text).problems)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(raw: bytes) -> None:
    """They are a table or a problem."""
    table, _, problem = read_table("a.toml", raw)
    assert problem is None or not table
