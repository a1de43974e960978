"""The command line: one module a command, imported only when that command is called.

``COMMANDS`` names for each command the module and the line that ``akjob --help`` shows, so that the help imports none
of them. A command's module exports ``command``, a click command.
"""

import os
import sys
from codecs import register_error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import IO, Any, NoReturn

import click

from akjob import __version__

# name -> (module below akjob.cli, what it does), in the order of the help
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Make a folder ready: jobs.d/, etc/, an example."),
    "up": ("up", "Start akjobd and the collector under supervisord."),
    "down": ("down", "Stop them; wait for the runs, or end them with --kill."),
    "status": ("status", "What is up, what is broken, what runs now."),
    "doctor": ("doctor", "What usually goes wrong on a machine, looked for."),
    "list": ("list", "The jobs: state, next slot, last outcome."),
    "show": ("show", "One job: its resolved definition and its schedule in words."),
    "next": ("next", "The next slots of jobs or of files."),
    "plan": ("plan", "Every coming slot, and what they add up to hour by hour."),
    "simulate": ("simulate", "What would become of the jobs, with downtimes and failures."),
    "history": ("history", "The ledger: every slot that ran, was skipped or was missed."),
    "why": ("why", "Why a job ran, or did not, or will: one answer for any instant."),
    "logs": ("logs", "The log of a job, of a run or of everything."),
    "notify": ("notify", "Messages: test channels, list, acknowledge, explain, simulate."),
    "run": ("run", "Run a job now and follow its output."),
    "backfill": ("backfill", "Run the slots of a stretch of time that is over."),
    "backfills": ("backfills", "How far the backfills are."),
    "stop": ("stop", "End a run, all runs of jobs, or a backfill."),
    "pause": ("pause", "Skip the slots of jobs until they are resumed."),
    "resume": ("resume", "End the pause of jobs."),
    "reset": ("reset", "Clear the count of runs, so that `runs` starts at zero."),
    "new": ("new", "Write a commented skeleton of a job file."),
    "enable": ("enable", "Set enabled = true in the files of jobs."),
    "disable": ("disable", "Set enabled = false in the files of jobs."),
    "delete": ("delete", "Remove a job's file."),
    "web": ("web", "Print the URL that logs a browser in to the page."),
    "nodes": ("nodes", "The nodes of a cluster; drain, resume or forget one."),
    "ledger": ("ledger", "Copy the ledger to another database; check it."),
    "metrics": ("metrics", "The metrics for Prometheus, without a web program."),
    "token": ("token", "The tokens of programs that use the API."),
    "validate": ("validate", "Find all problems of job files, without running their code."),
    "diff": ("diff", "What a change of jobs.d/ means: jobs, keys, next slots."),
    "import": ("import_", "Make job files of a crontab or of systemd timers."),
    "pack": ("pack", "Put a Python object into a dill file and print the TOML for it."),
    "inspect": ("inspect", "What is inside a dill file, without running it."),
    "help": ("help", "What a key, a problem code or an event means."),
    "schema": ("schema", "The JSON Schema of the job file, for editors."),
}

_EPILOG = """\b
Examples:
  akjob init && akjob up --detach     start in this folder
  akjob list                          what there is and when it is due
  akjob run reports/nightly           run it now, watch its output
  akjob logs -f                       follow everything

\b
Exit codes: 0 fine, 1 problems found, 2 wrong usage, 3 akjobd cannot be reached.
Completion for bash:  eval "$(_AKJOB_COMPLETE=bash_source akjob)"   (or zsh_source, fish_source)"""

_WRONG_USAGE = 2  # as UsageError has it, which would have to be loaded
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
BROKEN_PIPE = 141  # 128 + SIGPIPE: what a C program ends with when its reader went away


class CommandGroup(click.Group):
    """The group of all commands. It loads a command's module when that command is called, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """All names, in the order of the help."""
        return [*COMMANDS]  # `list` is a module of this package, once that command was called

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of one command; None for a name that is not a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"akjob.cli.{COMMANDS[cmd_name][0]}").command
        _take_root_too(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest commands when there is none of that name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else " See `akjob --help`."
            ctx.fail(f"There is no command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands from the table; importing them would cost half a second."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """Understand the command line; ``--help`` is printed here."""
        with _in_words():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. What it raises becomes words on standard error and an exit code."""
        from akjob.errors import AkjobError

        with _in_words():
            try:
                return super().invoke(ctx)
            except AkjobError as error:
                complain(error.message, error.hint)
                raise SystemExit(error.exit_code) from None


@contextmanager
def _in_words() -> Iterator[None]:
    """Make words and an exit code of what may be raised anywhere, also by writing what was said."""
    try:
        try:
            yield
        finally:  # here, and not by the interpreter at its end, a reader that went away can be dealt with
            sys.stdout.flush()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        _drop(sys.stdout)
        _drop(sys.stderr)
        raise SystemExit(BROKEN_PIPE) from None
    except OSError as error:
        complain(*_explained(error))
        _drop(sys.stdout)
        raise SystemExit(1) from None
    except UnicodeEncodeError as error:  # Python's form of bytes that are not text
        complain(f"{error.object!r} is not UTF-8", "Write names, arguments and reasons in UTF-8.")
        raise SystemExit(_WRONG_USAGE) from None


def complain(message: str, hint: str = "") -> None:
    """Print to standard error what is wrong and, below it, what to do. If that cannot be written it is lost."""
    from akjob.errors import escape_control

    try:
        click.echo(f"akjob: {escape_control(message)}", err=True)
        for line in hint.splitlines():
            click.echo(f"  {escape_control(line)}", err=True)
    except OSError:
        _drop(sys.stderr)


def _explained(error: OSError) -> tuple[str, str]:
    """Return what is wrong, and what to do."""
    if error.filename is not None:
        return f"{error.strerror}: {error.filename}", ""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working folder was deleted", "Go into one that is there."
    return error.strerror or str(error), ""


def _drop(stream: IO[str]) -> None:
    """Point a stream that does not take what it was given at /dev/null, so that the flush at the exit is quiet."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _NamedOutput(FileIO):
    """Standard output whose errors say what they are of."""

    def write(self, data: Any, /) -> int:
        """Write what there is room for."""
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from error


def _complete_streams() -> None:
    """Make /dev/null of standard streams that the caller has closed, and let standard output take any text.

    Python has None for a closed one, and the next file that is opened gets its number, be it the ledger. What the
    encoding lacks is escaped as JSON has it: there it means the same.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            if null != number:
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    register_error("akjob.escape", _escape)
    sys.stdout = TextIOWrapper(
        BufferedWriter(_NamedOutput(1, "w", closefd=False)),
        encoding=sys.stdout.encoding,
        errors="akjob.escape",
        line_buffering=sys.stdout.isatty() or getattr(sys.stdout, "write_through", False),
    )


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)), error.end


def _keep_root(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.find_root().meta["akjob.root"] = value


def _root_option(*, hidden: bool) -> click.Option:
    return click.Option(
        ["--root"],
        metavar="DIR",
        expose_value=False,
        callback=_keep_root,
        hidden=hidden,
        help="The folder with jobs.d/ and etc/; else $AKJOB_ROOT, else the nearest one upward.",
    )


def _take_root_too(command: click.Command) -> None:
    """Accept ``--root`` after the command's name, too: people type it there."""
    if not any("--root" in parameter.opts for parameter in command.params):
        command.params.append(_root_option(hidden=True))
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _take_root_too(inner)


cli = CommandGroup(
    name="akjob",
    params=[_root_option(hidden=False)],
    help="Scheduled jobs that live in git: one TOML file a job, each run in its own process.",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, "-V", "--version", prog_name="akjob", message="%(prog)s %(version)s")(cli)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``akjob`` with ``arguments`` (default: the process's) and exit."""
    _complete_streams()
    cli.main(args=arguments, prog_name="akjob")
    raise SystemExit(0)
