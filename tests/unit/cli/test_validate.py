"""`akjob validate`: the formats, the exit codes, what goes where."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from akjob.cli import cli
from tests.unit.cli.root import Root

GOOD = 'command = "x"\n[schedule]\ndaily = 02:30:00\n'
BAD = 'command = "x"\n[schedule]\nevry = "1h"\n'
WARNED = 'command = "x"\n[run]\ninterpreter = "/usr/bin/python3"\n'


def test_nothing_wrong(root: Root) -> None:
    """Nothing on standard output, exit code 0."""
    root.job("a", GOOD)
    result = root.akjob("validate")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No problems.\n")


def test_text(root: Root) -> None:
    """The form that editors understand, the line with a caret, the hint; a summary on standard error."""
    root.job("sub/bad", BAD)
    root.job("warned", WARNED)
    result = root.akjob("validate")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("jobs.d/sub/bad.toml:3:1: error[unknown-key] ")
    assert lines[1:3] == [' 3 | evry = "1h"', "   | ^"]
    assert any(line.startswith("jobs.d/warned.toml:3:") and "warning[" in line for line in lines)
    assert result.stderr == "1 error, 1 warning in 2 files\n"


def test_json_has_the_documented_keys(root: Root) -> None:
    """In this order, one object a line, nothing else; --json is --format json."""
    root.job("bad", BAD)
    result = root.akjob("validate", "--json")
    assert result.exit_code == 1
    (found,) = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert list(found) == ["file", "line", "column", "severity", "code", "key", "message", "hint"]
    assert (found["file"], found["line"], found["column"]) == ("jobs.d/bad.toml", 3, 1)
    assert found["key"] == "schedule.evry"
    assert result.stderr == ""
    assert root.akjob("validate", "--format", "json").stdout == result.stdout


def test_github_and_sarif(root: Root) -> None:
    """Annotations of a pull request, and a log for code scanning, also where nothing is wrong."""
    root.job("bad", BAD)
    github = root.akjob("validate", "--format", "github").stdout
    assert github.startswith("::error file=jobs.d/bad.toml,line=3,col=1,title=akjob unknown-key::")
    sarif = msgspec.json.decode(root.akjob("validate", "--format", "sarif").stdout)
    assert sarif["runs"][0]["results"][0]["ruleId"] == "unknown-key"
    root.job("bad", GOOD)
    assert msgspec.json.decode(root.akjob("validate", "--format", "sarif").stdout)["runs"][0]["results"] == []


def test_warnings_fail_only_when_asked_to(root: Root) -> None:
    """--strict is for those who want none."""
    root.job("warned", WARNED)
    assert root.akjob("validate").exit_code == 0
    assert root.akjob("validate", "--strict").exit_code == 1


def test_infos_never_fail(root: Root) -> None:
    """Time alone must not break a build."""
    root.job("past", 'command = "x"\n[schedule]\nat = 2020-01-01T00:00:00Z\n')
    result = root.akjob("validate", "--strict")
    assert result.exit_code == 0
    assert "info[" in result.stdout


@pytest.mark.usefixtures("root")
def test_files_need_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named as they were given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "draft.toml").write_text(BAD)
    result = CliRunner().invoke(cli, ["validate", "draft.toml", str(tmp_path / "draft.toml")])
    assert result.exit_code == 1
    heads = [line.split(":3:1:")[0] for line in result.stdout.splitlines() if ":3:1:" in line]
    assert sorted(heads) == [str(tmp_path / "draft.toml"), "draft.toml"]
    assert ' 3 | evry = "1h"' in result.stdout


def test_wrong_usage(root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of nothing, a root that is none, no root at all."""
    assert root.akjob("validate", "nope.toml").exit_code == 2
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["validate"]).exit_code == 2
    (tmp_path / "a.toml").write_text(GOOD)
    assert CliRunner().invoke(cli, ["--root", "nope", "validate", "a.toml"]).exit_code == 2


def on_a_terminal(root: Root) -> tuple[str, int]:
    """Validate a root on a terminal; return what it showed and the exit code."""
    terminal, side = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TERM": "xterm", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    code = "from akjob.cli import main; main()"
    shown = b""
    arguments = [sys.executable, "-c", code, "--root", str(root.paths.root), "validate"]
    with subprocess.Popen(arguments, stdout=side, stderr=side, env=environment) as process:
        os.close(side)
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other side is closed: the process has ended
                break
            if not piece:
                break
            shown += piece
    os.close(terminal)
    return shown.decode(), process.returncode


def test_a_terminal_gets_colours_and_for_many_files_a_bar(root: Root) -> None:
    """The bar is gone in the end; of a few files there is none."""
    root.job("bad", BAD)
    shown, code = on_a_terminal(root)
    assert code == 1
    assert "jobs.d/bad.toml:3:1: \x1b[31merror\x1b[0m[unknown-key]" in shown
    assert "validating" not in shown
    for number in range(520):
        root.job(f"many/{number}", GOOD)
    shown, _ = on_a_terminal(root)
    assert "validating" in shown
    assert "1 error in 1 file" in shown
    assert root.akjob("validate").stderr == "1 error in 1 file\n"  # no terminal, no bar
