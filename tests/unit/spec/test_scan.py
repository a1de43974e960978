"""Positions: the scanner agrees with tomllib on what stands in a text, and says where."""

import sysconfig
import tomllib
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.spec import parse_job
from akjob.toml import read
from akjob.toml.read import read_table
from akjob.toml.scan import Path, Positions, ScanError, locate
from tests.unit.spec.corpus import INVALID, ONLY_1_1, VALID


def files_of_tomllib() -> list[FilePath]:
    """Return the TOML files of CPython's own tests, where they are installed."""
    return sorted((FilePath(sysconfig.get_path("stdlib")) / "test" / "test_tomllib" / "data").rglob("*.toml"))


def paths_of(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Return every path below a value that tomllib made, with what is there."""
    found: dict[Path, Any] = {path: value} if path else {}
    if isinstance(value, dict):
        for key, item in value.items():
            found |= paths_of(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found |= paths_of(item, (*path, index))
    return found


def check(text: str) -> Positions:
    """Compare the scanner's paths with tomllib's, and each position with what stands there."""
    positions = locate(text)
    values = paths_of(tomllib.loads(text))
    assert set(positions.keys) | set(positions.values) == set(values)
    unified = text.replace("\r\n", "\n")
    for path, (start, end) in positions.values.items():
        piece = unified[start:end]
        if piece.startswith("[") and _is_header(piece, values[path]):
            continue  # a header stands for its table
        assert repr(tomllib.loads(f"x = {piece}")["x"]) == repr(values[path])
    for path, start in positions.keys.items():
        rest = unified[start:]
        key = path[-1] if isinstance(path[-1], str) else path[-2]
        assert rest.startswith((str(key), '"', "'"))
    return positions


def _is_header(piece: str, value: Any) -> bool:
    if isinstance(value, dict):
        return True
    try:
        return bool(tomllib.loads(f"x = {piece}")["x"] != value)
    except tomllib.TOMLDecodeError:
        return True


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_the_paths_are_those_of_tomllib(text: str) -> None:
    """On valid TOML the scanner finds exactly tomllib's keys, and each value's text reads back as that value."""
    check(text)


# What CPython tests tomllib with, a good part of which is toml-test's; some distributions leave it out.
CPYTHON = files_of_tomllib()


@pytest.mark.skipif(not CPYTHON, reason="this Python comes without its own tests")
@pytest.mark.parametrize("path", [path for path in CPYTHON if "/valid/" in str(path)], ids=lambda path: path.stem)
def test_the_paths_in_the_corpus_of_tomllib(path: FilePath) -> None:
    """As above, in texts that somebody else thought of; on newer Pythons some are TOML 1.1, which is not read."""
    text = path.read_bytes()
    if read._READS_1_1 and read_table("x.toml", text)[2] is not None:
        pytest.skip("TOML 1.1")
    check(text.decode())


@pytest.mark.parametrize("path", [path for path in CPYTHON if "/invalid/" in str(path)], ids=lambda path: path.stem)
def test_the_corpus_of_tomllib_is_refused(path: FilePath) -> None:
    """As below, in texts that somebody else thought of; a text that is read nevertheless is one of TOML 1.1."""
    table, _, problem = read_table("x.toml", path.read_bytes())
    assert (table, problem is None) == ({}, False)


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_invalid_toml_is_refused_with_a_place(text: str) -> None:
    """Whatever tomllib refuses is one Problem inside the text, in words that begin in lower case, with a hint."""
    table, _, problem = read_table("x.toml", text)
    assert table == {}
    assert problem is not None
    assert problem.code in {"toml-syntax", "byte-order-mark"}
    assert problem.hint
    lines = text.split("\n")
    assert 1 <= problem.line <= len(lines)
    assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def test_our_own_words_cover_most_of_what_is_invalid() -> None:
    """Few mistakes are left to the messages of tomllib, which differ between versions of Python."""
    theirs = [name for name, text in INVALID.items() if not _is_ours(text)]
    assert len(theirs) <= len(INVALID) // 5, theirs


def _is_ours(text: str) -> bool:
    try:
        locate(text)
    except ScanError:
        return True
    return False


@pytest.mark.parametrize("text", ONLY_1_1.values(), ids=ONLY_1_1)
def test_what_only_toml_1_1_allows_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Python whose tomllib reads TOML 1.1 the files that are right are the same as on any other."""
    monkeypatch.setattr(read, "_READS_1_1", True)
    monkeypatch.setattr(tomllib, "loads", lambda _: {"read": "as 1.1"})
    table, _, problem = read_table("x.toml", text)
    assert (table, problem is None) == ({}, False)


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_the_check_for_1_1_refuses_nothing_that_1_0_allows(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The additional check on newer Pythons has no false alarms."""
    monkeypatch.setattr(read, "_READS_1_1", True)
    assert read_table("x.toml", text)[2] is None


def test_places_count_lines_and_characters_from_one() -> None:
    """Columns are characters, not bytes, and Windows' line ends are one line each."""
    positions = locate('a = "日本" # x\r\n[t]\r\n  "b" = [1,\r\n  22]\r\n')
    assert positions.of_key(("a",)) == (1, 1)
    assert positions.of_value(("a",)) == (1, 5)
    assert positions.of_key(("t",)) == (2, 2)
    assert positions.of_value(("t",)) == (2, 1)
    assert positions.of_key(("t", "b")) == (3, 3)
    assert positions.of_value(("t", "b", 1)) == (4, 3)


def test_what_is_not_there_has_the_place_of_its_table() -> None:
    """A missing key is shown at the table's header; of the whole file at 1:1."""
    positions = locate("\n[a]\nb = { c = 1 }\n")
    assert positions.of_value(("a", "x")) == (2, 1)
    assert positions.of_value(("a", "b", "x", "y")) == (3, 5)
    assert positions.of_value(("x",)) == (1, 1)
    assert positions.of_value(()) == (1, 1)


def test_bytes_that_are_no_utf8_have_a_place() -> None:
    """The first bad byte is shown by line and column in characters."""
    _, _, problem = read_table("x.toml", 'a = "é"\r\nb = "'.encode() + b'\xff"\n')
    assert problem is not None
    assert (problem.code, problem.line, problem.column) == ("not-utf8", 2, 6)


def test_a_file_may_have_one_mebibyte() -> None:
    """Up to 1 MiB is read, one byte more is not, as bytes and as text."""
    full = b"# " + b"x" * (1024 * 1024 - 2)
    assert read_table("x.toml", full)[2] is None
    for text in (full + b"x", (full + b"x").decode(), "# " + "é" * 524_288):
        problem = read_table("x.toml", text)[2]
        assert problem is not None
        assert problem.code == "too-large"


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "{a=" * 5000, "a = " + "[" * 5000 + "]" * 5000])
def test_deep_nesting_is_a_problem_and_no_crash(text: str) -> None:
    """A text that is nested beyond Python's stack is refused like any other mistake."""
    problem = read_table("x.toml", text)[2]
    assert problem is not None
    assert problem.code == "too-deep"


KEYS = st.sampled_from(["a", "b", '"c d"', "'e.f'", '"\\u00e9"', "1", "x-y"])
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5",
        "true",
        '"x"',
        "'#'",
        '"""\n[q]\n"""',
        "09:30:00",
        "2026-01-31",
        "2026-01-31 09:30:00Z",
        '"\\n="',
        "[]",
        "{}",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # c\n".join(items) + "\n]")
        | st.lists(st.tuples(KEYS, inner), max_size=2, unique_by=lambda pair: pair[0]).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        )
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.tuples(st.lists(KEYS, min_size=1, max_size=3).map(" . ".join), VALUES).map(" = ".join),
    st.lists(KEYS, min_size=1, max_size=2).map(lambda keys: f"[{'.'.join(keys)}]"),
    st.lists(KEYS, min_size=1, max_size=2).map(lambda keys: f"[[ {'.'.join(keys)} ]]"),
    st.just("# comment"),
    st.just(""),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_any_text_is_scanned_as_tomllib_reads_it(lines: list[str], end: str) -> None:
    """Texts made of random pieces: what tomllib takes the scanner takes with the same paths."""
    text = end.join(lines).replace("\n", end) if end == "\r\n" else end.join(lines)
    text = text.replace("\r\r\n", "\r\n")
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        problem = read_table("x.toml", text)[2]
        assert problem is not None
    else:
        check(text)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab=.[]{}\"'#\\\n ,01-:Tu", max_size=40))
def test_any_rubbish_is_answered(text: str) -> None:
    """Nothing makes the reader raise: there is a table or there is a Problem."""
    table, _, problem = read_table("x.toml", text)
    assert problem is None or table == {}
    if problem is None:
        check(text)


BIG = 300_000
NASTY = {
    "blanks": " " * BIG + "!",
    "blanks after a key": "a" + " " * BIG + "!",
    "brackets": "a = [" + "] " * (BIG // 2) + "x",
    "brackets and comments": "a = []" + "#]" * (BIG // 2) + "\x01",
    "open braces": 'a = "' + "{" * BIG + '"',
    "ends of inline tables": "# " + "}, #" * (BIG // 4),
    "commas": "a = [" + '"x",' * (BIG // 4) + "!",
    "digits": 'command = "x"\n[schedule]\nevery = "' + "1" * BIG + '"\n',
    "blanks in a size": 'command = "x"\n[run]\noutput_limit = "1' + " " * BIG + '!"\n',
    "a long key": "k" * BIG + " = 1\n",
    "a long zone": 'command = "x"\n[schedule]\ntimezone = "' + "a" * BIG + '"\n',
    "a long day": 'command = "x"\n[limits]\nweekdays = ["' + "a" * BIG + '"]\n',
    "a long callable": 'callable = "' + "a." * (BIG // 2) + '!"\n',
    "a long umask": 'command = "x"\n[run]\numask = "' + "7" * BIG + '"\n',
    "a long cron expression": 'command = "x"\n[schedule]\ncron = "' + "1," * (BIG // 2) + '"\n',
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_no_text_takes_long_or_says_much(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file made to be slow costs its own second and no more, and a problem is never as long as the file."""
    monkeypatch.setattr(read, "_READS_1_1", True)
    for problem in parse_job("a", "a.toml", text).problems:
        assert len(problem.message) < 1000
        assert len(problem.hint) < 1000
