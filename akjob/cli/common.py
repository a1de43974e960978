"""What most commands need: the root, the configuration, the clock, ``--json``, colours."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import time_ns
from typing import IO, Any, TypeVar

import click
import msgspec
from msgspec import Struct

from akjob.cli import complain
from akjob.config import Config, Paths, as_entered, find_root, load_config
from akjob.errors import AkjobError, UsageError
from akjob.instants import from_text

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Add ``--json`` to a command, as the argument ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")(function)


def now_us() -> int:
    """Return this instant. The commands' edge is where the clock is read; everything below is handed it."""
    return time_ns() // 1000


def given_root() -> str | None:
    """Return what ``--root`` says, wherever it is on the command line."""
    root: str | None = click.get_current_context().find_root().meta.get("akjob.root")
    return root


def find_paths() -> Paths:
    """Return where everything is. Raises AkjobError (exit code 2) where there is no root."""
    return Paths(find_root(given_root(), os.environ, working_folder()))


def working_folder() -> Path:
    """Return where the command was called; of a folder that was deleted, what the kernel calls it: ``… (deleted)``."""
    try:
        return as_entered(Path.cwd(), os.environ)
    except FileNotFoundError:
        return Path("/proc/self/cwd").readlink()


def settings(paths: Paths) -> Config:
    """Read ``etc/akjob.toml``; say what is wrong with it and go on with what is right."""
    config, problems = load_config(paths.config_file)
    for problem in problems:
        complain(str(problem), problem.hint)
    return config


def log_elsewhere(paths: Paths, config: Config) -> AkjobError | None:
    """Return the error for a log that is not written to files, so that no command waits for lines; else None."""
    if config.log.to == "file":
        return None
    return AkjobError(
        "the log goes to the collector's standard output, so it cannot be shown here",
        hint=f'etc/akjob.toml has to = "stdout" in [log]: look where {paths.etc}/supervisord.conf sends it,\n'
        'or write to = "file" and restart the collector: supervisorctl restart akjob-collector',
    )


def say_json(*objects: Mapping[str, Any] | Struct) -> None:
    """Print each object as one line of JSON."""
    sys.stdout.write(msgspec.json.Encoder().encode_lines(objects).decode())


def say(lines: Iterable[str]) -> None:
    """Print lines, all of them at once: a flush for each would take most of the time that ten thousand jobs take."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def colours(stream: IO[str] | None = None) -> bool:
    """Return True if a stream (standard output) shows colours: a terminal, without NO_COLOR (https://no-color.org)."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def on_terminal(stream: IO[str] | None = None) -> bool:
    """Return True if a stream (standard output) is a terminal, with colours or without."""
    return (sys.stdout if stream is None else stream).isatty()


def is_beside_errors(out: IO[str]) -> bool:
    """Return True if a stream and standard error end up in one place: on a terminal, or in one file."""
    if on_terminal(out) and on_terminal(sys.stderr):
        return True
    try:
        return os.path.sameopenfile(out.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):  # not a file
        return False


def instant(text: str, option: str) -> int:
    """Read the time of an option: ISO 8601 with an offset. Raises AkjobError (exit code 2)."""
    try:
        return from_text(text)
    except (ValueError, OverflowError):
        message = f"{option}: {text!r} is not a time with an offset"
        hint = "Write it as 2026-03-29T01:00:00Z or 2026-03-29T02:00:00+01:00."
        raise UsageError(message, hint=hint) from None


def count_option(default: int, what: str) -> Callable[[F], F]:
    """Add ``-n/--count N`` to a command, as the argument ``count``."""
    return click.option(
        "-n", "--count", type=click.IntRange(min=1), default=default, show_default=True, metavar="N", help=what
    )


def examples(*lines: str) -> str:
    """Return the end of a command's help: example calls, each on its line, as they are typed."""
    head = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", head, *(f"  {line}" for line in lines)])
