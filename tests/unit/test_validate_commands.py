"""What ``validate`` says of commands: programs, scripts, shell text. None of it is run."""

from pathlib import Path

import pytest

from akjob.config import Paths
from akjob.instants import from_text
from akjob.validate import validate
from akjob.validate.commands import shell_fault

NOW_US = from_text("2026-11-30T00:00:00Z")


def said(folder: Path, text: str) -> list[str]:
    """Return severity, code, message and hint of what is wrong with one job."""
    (folder / "jobs.d").mkdir(exist_ok=True)
    (folder / "jobs.d" / "a.toml").write_text(text)
    found = validate(Paths(folder), now_us=NOW_US)
    return [f"{one.severity}[{one.code}] {one.message}; {one.hint}" for one in found]


@pytest.mark.parametrize(
    "command",
    [
        '["true"]',
        '["/bin/sh", "-c", "x"]',
        '"true"',
        "\"if true; then echo 'a b'; fi\"",
        '"./none && x"',
        '"cd /nowhere"',
        '"A=1 no-such-program-anywhere"',
        '"no-such-program-anywhere"',
        '["echo", "$5", "a > b", "cost: $HOME"]',
        '["sh", "-c", "echo $HOME && true", "$HOME"]',
        '["bin/ok"]',
        '["./bin/ok"]',
    ],
)
def test_what_can_work(tmp_path: Path, command: str) -> None:
    """Nothing is said; what a shell would look for is not looked for."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ok").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "ok").chmod(0o755)
    assert said(tmp_path, f"command = {command}\n") == []


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (
            '["no-such-program-anywhere"]',
            "warning[program-missing] this machine has no program no-such-program-anywhere",
        ),
        (
            '["/opt/no/such"]',
            "warning[program-missing] the program /opt/no/such does not exist; make it, or correct the path",
        ),
        (
            '["bin/none"]',
            "error[program-missing] the program bin/none does not exist; make it, or correct the path; the",
        ),
        ('"bin/crlf a"', "error[bad-interpreter] the first line of bin/crlf ends in a carriage return"),
        (
            '["cd", "/tmp"]',
            "error[program-missing] cd is the shell's own word, not a program; write command = 'cd /tmp' for the shell",
        ),
        ('["bin/env"]', "warning[bad-interpreter] the first line of bin/env asks env for pyhton3, but this machine"),
        (
            '["true", "&&", "false"]',
            "warning[literal-word] && is an argument of true here: an array is not given to a shell; write command =",
        ),
        ('["echo", "$HOME"]', "warning[literal-variable] $HOME is taken literally: nothing is expanded in an array"),
        ('["ls", "~/x"]', "warning[literal-variable] ~/x is taken literally: nothing is expanded in an array"),
        ('["./bin"]', "error[program-missing] ./bin is a folder"),
        ('["bin/plain"]', "error[not-executable] bin/plain is not executable; chmod +x bin/plain, and commit the mode"),
        ('["bin/crlf"]', "error[bad-interpreter] the first line of bin/crlf ends in a carriage return"),
        (
            '["bin/lost"]',
            "warning[bad-interpreter] the first line of bin/lost names /usr/bin/pyhton, which does not exist",
        ),
        ('["cd /tmp && pwd"]', 'error[program-missing] "cd /tmp && pwd" is one word with blanks in it'),
        ('"echo \'a"', "error[shell-syntax] the shell cannot read it: "),
        ('"if true; then echo a"', "error[shell-syntax] the shell cannot read it: "),
        ('"(echo a"', "error[shell-syntax] the shell cannot read it: "),
    ],
)
def test_what_cannot_work(tmp_path: Path, command: str, found: str) -> None:
    """Warnings where only the machine of the jobs can tell, errors where the root can."""
    (tmp_path / "bin").mkdir()
    for name, text, mode in (
        ("plain", "#!/bin/sh\n", 0o644),
        ("crlf", "#!/bin/sh\r\n", 0o755),
        ("env", "#!/usr/bin/env -S pyhton3\n", 0o755),
        ("lost", "#!/usr/bin/pyhton\n", 0o755),
    ):
        (tmp_path / "bin" / name).write_bytes(text.encode())
        (tmp_path / "bin" / name).chmod(mode)
    [one] = said(tmp_path, f"command = {command}\n")
    assert one.startswith(found)


def test_path_of_the_job_counts(tmp_path: Path) -> None:
    """``path`` is put in front; with an env_file or another user PATH is not known here."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "mine").write_text("")
    (tmp_path / "tools" / "mine").chmod(0o755)
    assert said(tmp_path, 'command = ["mine"]\n[run]\npath = ["tools"]\n') == []
    assert len(said(tmp_path, 'command = ["mine"]\n')) == 1
    (tmp_path / "x.env").write_text("PATH=/x\n")
    assert said(tmp_path, 'command = ["mine"]\n[run]\nenv_file = "x.env"\n') == []


def test_an_env_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Its first variable would have another name."""
    (tmp_path / "x.env").write_bytes(b"\xef\xbb\xbfA=1\n")
    [one] = said(tmp_path, 'command = "true"\n[run]\nenv_file = "x.env"\n')
    assert one.startswith("error[byte-order-mark] x.env begins with a byte order mark")


def test_a_module_is_not_a_callable(tmp_path: Path) -> None:
    """``pkg.rep`` where rep is a module of pkg; a package that brings that name itself is left alone."""
    package = tmp_path / "pkgx"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rep.py").write_text("def main(): pass\n")
    [one] = said(tmp_path, 'callable = "pkgx.rep"\n')
    assert one.startswith('error[not-callable] pkgx.rep is a module, which cannot be called; write "pkgx.rep:NAME"')
    assert said(tmp_path, 'callable = "pkgx.rep:main"\n') == []
    (package / "uses.py").write_text("import json\nif 1: import re as short\nimport csv\ncsv = None\n")
    assert said(tmp_path, 'callable = "pkgx.uses:csv"\n') == []
    for target in ("pkgx:rep", "pkgx.uses:json", "pkgx.uses.short"):
        [one] = said(tmp_path, f'callable = "{target}"\n')
        meant = target.replace(":", ".")
        expected = f'error[not-callable] {target} is a module, which cannot be called; write "{meant}:NAME"'
        assert one.startswith(expected), one
    (package / "__init__.py").write_text("from pkgx.other import *  # brings rep\n")
    assert said(tmp_path, 'callable = "pkgx.rep"\n') == []


def test_nothing_of_a_command_is_run(tmp_path: Path) -> None:
    """The shell reads, and does no more."""
    assert shell_fault(f"touch '{tmp_path}/made'; $(touch {tmp_path}/made)") is None
    assert not (tmp_path / "made").exists()
