"""The group of all commands: what it loads, what it exits with, what it says when something is wrong."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click
import pytest
from click.testing import CliRunner

from akjob import __version__
from akjob.cli import COMMANDS, Program, cli
from akjob.errors import AkjobError

HEAVY = ("structlog", "dill", "watchdog", "asyncio", "rich", "tomlkit", "supervisor")


def modules_after(*arguments: str, cwd: Path) -> tuple[set[str], str, int]:
    """Run akjob in a process of its own; return what it had loaded, printed and exited with."""
    code = (
        "import sys, json, os\n"
        "from akjob.cli import main\n"
        "code = 0\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as e:\n    code = e.code\n"
        "sys.stdout.flush()\n"
        "sys.stderr.write('\\n' + json.dumps([sorted(sys.modules), code]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
        env=_environment(),
    )
    names, exit_code = json.loads(done.stderr.splitlines()[-1])
    return set(names), done.stdout, exit_code


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.getcwd()}


def test_help_loads_no_command_and_nothing_heavy(tmp_path: Path) -> None:
    """`akjob --help` names all commands, and imports neither their modules nor what they need."""
    loaded, out, code = modules_after("--help", cwd=tmp_path)
    assert code == 0
    for name, (module, line) in COMMANDS.items():
        assert f"\n  {name} " in out
        assert line.split()[0] in out
        assert f"akjob.cli.{module}" not in loaded
    assert not loaded & {*HEAVY, "msgspec", "sqlite3", "zoneinfo"}


def test_validate_of_one_file_loads_nothing_heavy(tmp_path: Path) -> None:
    """`akjob validate FILE` is what editors and hooks call all the time: it stays light."""
    file = tmp_path / "tick.toml"
    file.write_text('command = "date"\n[schedule]\ndaily = 09:30:00\ntimezone = "Europe/Berlin"\n')
    loaded, _, code = modules_after("validate", str(file), cwd=tmp_path)
    assert code == 0
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_explains_itself(name: str) -> None:
    """Each name of the table is a module with a command of that name, whose help says more than its name."""
    command = import_module(f"akjob.cli.{COMMANDS[name][0]}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


def test_the_table_is_in_the_help_and_fits_a_line() -> None:
    """Each line of the help is a sentence that fits beside the longest name."""
    for _, line in COMMANDS.values():
        assert line[0].isupper()
        assert line.endswith(".")
        assert len(line) <= 66


def test_version() -> None:
    """The version is the package's."""
    assert CliRunner().invoke(cli, ["--version"]).output == f"akjob {__version__}\n"


def test_an_unknown_command_is_wrong_usage_with_the_nearest_name() -> None:
    """A typo is answered with the command that was meant."""
    result = CliRunner().invoke(cli, ["lst"])
    assert result.exit_code == 2
    assert "Did you mean list?" in result.output


def test_wrong_options_are_wrong_usage() -> None:
    """What click refuses exits with 2."""
    assert CliRunner().invoke(cli, ["next", "--count", "0"]).exit_code == 2
    assert CliRunner().invoke(cli, ["pause"]).exit_code == 2


def _group(error: BaseException) -> Program:
    """Make a group with one command that raises."""

    class Raising(Program):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002
            @click.command(name="list")
            def command() -> NoReturn:
                raise error

            return command

    return Raising(name="akjob")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (AkjobError("no such thing", hint="do this\nor that"), 1, "akjob: no such thing\n  do this\n  or that\n"),
        (AkjobError("akjobd is down", exit_code=3), 3, "akjob: akjobd is down\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "akjob: Permission denied: /x/y\n"),
    ],
)
def test_what_a_command_raises_becomes_words_and_a_code(error: BaseException, code: int, said: str) -> None:
    """No failure that a user can act on ends in a traceback; errors go to standard error alone."""
    result = CliRunner().invoke(_group(error), ["list"])
    assert result.exit_code == code
    assert result.stderr == said
    assert not result.stdout


@pytest.mark.parametrize("arguments", [["schema"], ["validate", "--json", "bad.toml"]])
def test_a_reader_that_goes_away_is_no_failure_to_talk_about(arguments: list[str], tmp_path: Path) -> None:
    """`akjob schema | head -1` prints no traceback, nor does a command that has problems to tell."""
    (tmp_path / "bad.toml").write_text("".join(f"key{number} = 1\n" for number in range(3000)))
    code = f"from akjob.cli import main; main({arguments})"
    shell = f'{sys.executable} -c "{code}" | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=True, env=_environment()
    )
    assert not done.stderr
    assert done.stdout in ("0\n", "141\n")


@pytest.mark.parametrize("arguments", [["--root", "{}", "list"], ["list", "--root", "{}"]])
def test_the_root_may_stand_before_and_behind_the_command(arguments: list[str], tmp_path: Path) -> None:
    """Both orders are typed by people, and both work."""
    (tmp_path / "jobs.d").mkdir()
    (tmp_path / "jobs.d" / "tick.toml").write_text('command = "date"\n')
    result = CliRunner().invoke(cli, [argument.format(tmp_path) for argument in arguments])
    assert result.exit_code == 0
    assert "tick" in result.output


def test_without_a_root_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No root is wrong usage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AKJOB_ROOT", raising=False)
    result = CliRunner().invoke(cli, ["list"])
    assert result.exit_code == 2
    assert "akjob" in result.stderr
