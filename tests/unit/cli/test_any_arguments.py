"""Whatever is typed after a command, it ends with a code of the contract, and never with a traceback."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from akjob.cli import cli
from tests.unit.cli.root import Root

# None leads out of the root: the commands write where they are told to.
WORDS = (
    *("", " ", "-", "--", "*", "**/*", "[", "a b", "a/b", "jobs.d", "jobs.d/tick.toml"),
    *("0", "-1", "1", "9" * 30, "9" * 5000, "1e999", "nan", "0x10", "²", "1h", "90m", "1y", "PT90M", "none", "tick@x"),
    *("2026-03-28", "2026-03-28T12:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-02-30", "12:00"),
    *("2026-03-01..2026-03-02", "tick=5m", "tick@2026-03-28", "x:=[", "x:=" + "[" * 500, "x=y", "=", "HEAD", "--json"),
    *("é", "\u2028", "\ud800", "🙂", "\x1b[31m", "\n", "\t", "x" * 5000, "%s", "{}", "unix:x", "sqlite:x", "now"),
    *("--help", "auto", "tick"),
)  # fmt: skip
# what would wait for something, serve, or start programs
LEFT_OUT = {("up",), ("down",)}


def commands() -> list[tuple[str, ...]]:
    """Return the words of each command and of each command of a group."""
    found: list[tuple[str, ...]] = []
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(name, one) for one in command.list_commands(context)]
        else:
            found.append((name,))
    return [words for words in found if words not in LEFT_OUT]


def options(words: tuple[str, ...]) -> list[str]:
    """Return the options of a command."""
    command: click.Command | None = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    return [name for one in command.params for name in one.opts if name.startswith("-")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    """Yield a root with a job, in which the commands run; no akjobd answers."""
    folder = tmp_path_factory.mktemp("any")
    here = Root(folder)
    here.job("tick", 'command = "true"\n[schedule]\nevery = "1h"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("AKJOB_ROOT", raising=False)
        patch.setattr(click, "launch", lambda *_, **__: 0)
        yield here


@pytest.mark.parametrize("words", commands(), ids=" ".join)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_arguments(root: Root, words: tuple[str, ...], data: st.DataObject) -> None:
    """Its own options and any words, in any order."""
    known = [name for name in options(words) if name not in {"--follow", "-f", "--open"}]
    word = st.sampled_from((*WORDS, *known)) | st.text(st.characters(exclude_characters="\0/."), max_size=12)
    argv = data.draw(st.lists(word, max_size=6))
    argv = [one for one in argv if one not in {"-f", "--follow", "--open"}]
    for path in (root.paths.jobs_d / "tick.toml",):
        path.write_text('command = "true"\n[schedule]\nevery = "1h"\n')
    done = CliRunner(env={"TZ": "UTC", "PAGER": "cat"}).invoke(cli, [*words, *argv], input="")
    shown = (words, argv, done.output[-500:], done.exc_info)
    assert done.exception is None or isinstance(done.exception, SystemExit), shown
    assert done.exit_code in {0, 1, 2, 3}, shown
    assert done.exit_code in {0, 1} or done.stderr.strip(), shown
    assert "Traceback" not in done.output, shown
    assert Path(root.paths.jobs_d).is_dir()


def test_the_commands_are_listed_after_one_of_them_ran(root: Root) -> None:
    """The module of `akjob list` has the name of a function that the list of commands was once made with."""
    assert root.akjob("list").exit_code == 0
    assert "validate" in cli.list_commands(click.Context(cli))
