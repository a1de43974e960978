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
from akjob.cli import COMMANDS, CommandGroup, cli
from akjob.errors import AkjobError, UnreachableError

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


def _group(error: BaseException) -> CommandGroup:
    """Make a group with one command that raises."""

    class Raising(CommandGroup):
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
        (UnreachableError("akjobd is down"), 3, "akjob: akjobd is down\n"),
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


def akjob(shell: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of shell in which ``akjob`` is the program."""
    program = f"{sys.executable} -P -c 'from akjob.cli import main; main()'"
    return subprocess.run(
        ["bash", "-c", f'akjob() {{ {program} "$@"; }}; {shell}'],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**_environment(), **environment},
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Make a root with one job and a file that is broken."""
    (tmp_path / "jobs.d").mkdir()
    (tmp_path / "jobs.d" / "tick.toml").write_text('command = "date"\n')
    (tmp_path / "jobs.d" / "bad.toml").write_text('evry = "ä\N{SNAKE}"\n')
    return tmp_path


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["list --json", "schema", "--help", "list --help", "next"])
def test_a_full_disk_is_said_so(small: Path, command: str, unbuffered: str) -> None:
    """What cannot be written to standard output is a failure, and no traceback."""
    done = akjob(f"akjob {command} > /dev/full", small, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "akjob: No space left on device: standard output"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["list --json", "logs", "schema", "--help"])
def test_closed_streams_are_as_good_as_dev_null(small: Path, command: str) -> None:
    """Nobody wanted to see anything; and no file that is opened gets their numbers."""
    done = akjob(f"akjob {command} >&-", small)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    done = akjob(f"akjob {command} <&- 2>&-", small)
    assert done.returncode == 0
    assert done.stdout == akjob(f"akjob {command}", small).stdout


def test_the_exit_code_does_not_hang_on_standard_error(small: Path) -> None:
    """Where nothing can be said, the code still says it."""
    assert akjob("akjob list --root /none 2>/dev/full", small).returncode == 2
    assert akjob("akjob list --root /none 2>&-", small).returncode == 2


def test_any_text_can_be_printed(small: Path) -> None:
    """What the encoding of standard output lacks is escaped, as JSON has it."""
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = akjob("akjob validate", small, **ascii_only)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert 'evry = "\\u00e4\\ud83d\\udc0d"' in done.stdout
    (small / "jobs.d" / "tick.toml").write_text('command = "date"\ndescription = "ä\N{SNAKE}"\n')
    done = akjob("akjob show tick --json", small, **ascii_only)
    assert json.loads(done.stdout)["description"] == "ä\N{SNAKE}"


def test_what_is_no_text_is_wrong_usage(small: Path) -> None:
    """Bytes that are not UTF-8 are neither a name nor an argument of anything."""
    done = akjob("akjob logs $'\\377'", small)
    assert done.returncode == 2
    assert "is not UTF-8\n  Write names, arguments and reasons in UTF-8" in done.stderr


def test_a_working_folder_that_was_deleted(small: Path) -> None:
    """Who names the root does not need it, and above it there may be one still; else it is said."""
    gone = f"mkdir {small}/gone; cd {small}/gone; rmdir {small}/gone; "
    assert akjob(f"{gone} akjob list --root {small} --json", small).stdout.count("\n") == 2
    assert akjob(f"{gone} akjob list --json", small).stdout.count("\n") == 2
    assert akjob(f"{gone} akjob init {small}/new", small).returncode == 0
    for command in ("validate x.toml", "next x.toml"):
        done = akjob(f"{gone} akjob {command}", small)
        assert done.returncode == 1
        assert done.stderr.startswith("akjob: the working folder was deleted\n  Go into one that is there")
