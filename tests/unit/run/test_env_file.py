"""env_file is read by systemd's rules."""

from pathlib import Path

import pytest

from akjob.run.child import RefusedError, read_env_file


def read(tmp_path: Path, text: str) -> dict[str, str]:
    """Return what a file with this text sets."""
    path = tmp_path / "env"
    path.write_text(text)
    return read_env_file(str(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=two words \n", {"A": "1", "B": "two words"}),
        ("# no\n; no\n\n  A=1", {"A": "1"}),
        ('A=\'single $x "\'\nB="double \\"q\\" \\n"', {"A": 'single $x "', "B": 'double "q" \\n'}),
        ("A=one \\\ntwo\nB=3", {"A": "one two", "B": "3"}),
        ('A=\nB=""', {"A": "", "B": ""}),
        ('A="over\ntwo lines"', {"A": "over\ntwo lines"}),
        ("A=x=y#z", {"A": "x=y#z"}),
        ("A= spaced\r\nB=1\r\n", {"A": "spaced", "B": "1"}),
        ("export A=1", {"A": "1"}),
        ('A="kept " ', {"A": "kept "}),
        ("nonsense\nA=1", {"A": "1"}),
        ('A="x" y', {"A": "xy"}),
        ("A=\"x\" 'y '", {"A": "xy "}),
        ('A=it\'s "so"', {"A": 'it\'s "so"'}),
    ],
)
def test_values(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    """Comments, quotes, continued lines and white space mean what systemd.exec(5) says."""
    assert read(tmp_path, text) == expected


@pytest.mark.parametrize(("text", "line"), [("A=1\n2B=x\n", 2), ("1A=x", 1), ("A B=x", 1), ("=x", 1)])
def test_what_is_no_name_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    """Something else before the equals sign is an error that names file and line and never shows a value."""
    with pytest.raises(RefusedError, match=rf"env:{line}: expected NAME=value"):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there fails the run with its name."""
    with pytest.raises(RefusedError, match=r"env_file .*gone cannot be read: No such file"):
        read_env_file(str(tmp_path / "gone"))
