# ruff: noqa: E501 - texts stand as they are
"""The fast reader returns what tomllib returns, or nothing."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from akjob.toml.fast import read_simple
from tests.unit.spec.corpus import INVALID, ONLY_1_1, VALID
from tests.unit.spec.test_golden import FILES
from tests.unit.spec.test_parse import EXAMPLE


def same(one: Any, other: Any) -> bool:
    """Compare values, their types, and the order of keys."""
    return repr(one) == repr(other)


@pytest.mark.parametrize("text", [*VALID.values(), EXAMPLE], ids=[*VALID, "example"])
def test_what_it_reads_is_what_tomllib_reads(text: str) -> None:
    """On valid TOML the two agree, or the fast one gives up."""
    text = text.replace("\r\n", "\n")
    table = read_simple(text)
    assert table is None or same(table, tomllib.loads(text))


@pytest.mark.parametrize("text", [*INVALID.values(), *ONLY_1_1.values()], ids=[*INVALID, *ONLY_1_1])
def test_it_reads_nothing_that_is_invalid(text: str) -> None:
    """What TOML 1.0 does not allow is left to the one that can say why."""
    assert read_simple(text) is None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_agrees_on_files_with_mistakes(path: Path) -> None:
    """A file of right TOML and wrong keys is read as tomllib reads it."""
    text = path.read_text(encoding="utf-8")
    table = read_simple(text)
    assert table is None or same(table, tomllib.loads(text))


def test_it_does_read_job_files() -> None:
    """The documented example, and each construct that it claims to know, does not need tomllib."""
    known = (
        '# c\n\na = "x # y"  # z\nb = 5\nc = -17\nd = true\ne = 09:30:00\nf = ["a", "b"]\ng = { x = "1", y = [1, 2, ], z = {} }\n'
        "h = [2026-01-31, 2026-02-01]\ni = []\n[t]\nj = [{ a = 1 }, { a = false }]\nk = { from = 08:00:00 }\n"
    )
    for text in (EXAMPLE, known):
        table = read_simple(text)
        assert table is not None
        assert same(table, tomllib.loads(text))


PIECES = st.sampled_from(
    [
        "a", "b", "a-b", "1", "0", "-0", "01", "-5", "+5", "1_0", "1.5", "999999999999999999", "9999999999999999999", "true", "false",
        '"x"', '""', '"x # y"', '"é"', "'x'", '"\\n"', '"\t"', '"\x7f"', "09:30:00", "24:00:00", "09:30", "09:30:00.5", "2026-01-31",
        "2026-02-30", "2026-01-31T09:30:00", "2026-01-31 09:30:00", "[", "]", "{", "}", ",", "=", " = ", ", ", " ", "\t", "\n", "#",
        "# c", "# c]", ".", "[a]", "[[a]]", "[]", "{}", "[1, 2]", '["x", "y"]', "{ a = 1 }", "a = 1\n", "b = ", '"""', "'''", "\r",
        "\x00", "\x85", "\u2028", "inf", "0x1F", "a.b = 1",
    ]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
@example("a = [1 2]")
@example("a = {a = 1,}")
@example('a = ["x"] # ["y"]')
@example("a = { b = 1 } # }")
@example("a = [true1]")
@example("a = [2026-01-31 09:30:00]")
@example('a = "x""\n')
def test_on_any_text_the_two_agree(text: str) -> None:
    """Whatever is thrown at it: the same value as tomllib's, or None; never a value for what tomllib refuses."""
    table = read_simple(text)
    if table is not None:
        assert same(table, tomllib.loads(text))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c-d", "[t]", "#"]), st.lists(PIECES, max_size=8)), max_size=5))
def test_on_lines_that_look_right_the_two_agree(lines: list[tuple[str, list[str]]]) -> None:
    """The same for texts whose lines begin as those of job files do."""
    text = "\n".join(key if key[0] in "[#" else f"{key} = {''.join(value)}" for key, value in lines)
    table = read_simple(text)
    if table is not None:
        assert same(table, tomllib.loads(text))
