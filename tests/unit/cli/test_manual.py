"""The manual pages: one for each command, with everything that ``--help`` has, in roff that formatters take."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest

from akjob.cli import COMMANDS, cli
from akjob.cli.manual import pages
from tests.unit.cli.root import Root

PAGES = dict(pages(cli))


def test_each_command_has_a_page(root: Root, tmp_path: Path) -> None:
    """``akjob help --man DIR`` writes them, those of commands below commands too."""
    assert root.akjob("help", "--man", str(tmp_path / "man1")).output == f"{len(PAGES)} pages in {tmp_path}/man1\n"
    written = {file.name for file in (tmp_path / "man1").iterdir()}
    assert {"akjob.1", *(f"akjob-{name}.1" for name in COMMANDS)} <= written
    assert {"akjob-notify-test.1", "akjob-import-crontab.1", "akjob-token-create.1"} <= written


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_in_the_page(name: str) -> None:
    """What ``--help`` lists stands there, with its words."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = PAGES[f"akjob-{name}"].replace(r"\-", "-").replace("\n", " ")
    context = click.Context(command, info_name=name)
    records = [record for one in command.params if (record := one.get_help_record(context)) is not None]
    assert [option for option, _ in records if option.split(",")[0].split(" ")[0] not in text] == []


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not there: apt-get install mandoc")
@pytest.mark.parametrize("name", PAGES)
def test_formatters_take_the_pages(name: str) -> None:
    """mandoc has nothing to warn of but the date, which a page of a version does not need."""
    argv = ["mandoc", "-T", "lint", "-W", "warning"]
    done = subprocess.run(argv, input=PAGES[name], capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
