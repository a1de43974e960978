"""``akjob run``: run a job now and follow what it prints."""

import select
import sys
from collections.abc import Iterator, Mapping
from math import isfinite, nan
from time import monotonic
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import click
import msgspec
from msgspec.structs import replace

from akjob.cli import INTERRUPTED, complain
from akjob.cli.common import colours, examples, find_paths, is_beside_errors, log_elsewhere, now_us, settings
from akjob.cli.text import STATE_COLOURS, paint
from akjob.config import Config, Paths
from akjob.control.client import Client
from akjob.control.requests import RunJob, WaitForRun
from akjob.errors import AkjobError, UsageError, escape_control
from akjob.instants import SECOND
from akjob.ledger import open_reader
from akjob.log.reading import read
from akjob.log.reading.render import is_output, render
from akjob.query.distant import AwayError, DistantLog, run_log
from akjob.query.jobs import load
from akjob.query.names import user_name
from akjob.query.runs import ReportedEnd, exit_code, explain
from akjob.query.text import span
from akjob.toml.read import read_value
from akjob.toml.wire import to_json

if TYPE_CHECKING:
    from rich.progress import Progress

_LAST_LINES_S = 10.0  # how long the log's last lines are waited for once akjobd has said that the run ended
_LOOK_S = 0.3
_OPEN = frozenset({"queued", "running"})
_EXAMPLES = examples(
    "akjob run reports/nightly",
    "akjob run reports/nightly --arg region=emea --arg days:=7",
    "akjob run reports/nightly --here      # without akjobd and the ledger, for trying out",
)

_SHOWN = 100  # characters of an argument in a message


@click.command(name="run", epilog=_EXAMPLES)
@click.argument("job", metavar="JOB")
@click.option(
    "--arg", "arguments", metavar="K=TEXT|K:=TOML", multiple=True, help="A keyword argument, over those of the file."
)
@click.option("--here", is_flag=True, help="Run it without akjobd and the ledger, to try it out.")
def command(job: str, arguments: tuple[str, ...], *, here: bool) -> None:
    """Run a job now and follow what it prints. Ctrl-C stops following; the run goes on.

    enabled, pauses and limits are ignored. Exits with 0 when the run succeeded, else with its exit code, 128 + signal,
    or 1.
    """
    values = parse_arguments(arguments)
    paths = find_paths()
    if here:
        raise SystemExit(_run_locally(paths, job, values))
    config = settings(paths)
    elsewhere = log_elsewhere(paths, config)
    with Client(paths) as client:
        from akjob.cli.control import job_name

        sent = {key: to_json(value) for key, value in values.items()}
        run = client.call(RunJob(job=job_name(paths, job), args=sent, by=user_name())).run
        try:
            click.echo(f"run {run}", err=True)
            client.send(WaitForRun(run=run))
            if elsewhere is None:
                with _Printer() as printer:
                    end = _follow(paths, config, client, run, printer)
            else:
                complain(elsewhere.message, elsewhere.hint)
                end = _End(paths, client, run, "Its end is waited for here all the same.").wait(None)
        except KeyboardInterrupt:
            hint = f"`akjob logs -f {run}` follows it, `akjob stop {run}` ends it."
            complain(f"no longer following run {run}, which goes on", hint)
            raise SystemExit(INTERRUPTED) from None
    raise SystemExit(_say_end(end))


def parse_arguments(arguments: tuple[str, ...]) -> dict[str, Any]:
    """Read ``K=TEXT`` and ``K:=TOML``. Raises AkjobError (exit code 2)."""
    values: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key.removesuffix(":"):
            message = f"--arg {argument}: this is neither K=TEXT nor K:=TOML"
            raise UsageError(message, hint="Write --arg region=emea, or --arg days:=7.")
        if not key.endswith(":"):
            values[key] = text
            continue
        try:
            values[key[:-1]] = read_value(text)
        except ValueError as error:
            shown = argument if len(argument) <= _SHOWN else f"{argument[:_SHOWN]}…"
            message = f"--arg {shown}: not a TOML value: {error}"
            hint = f"For a string write --arg {key[:-1]}=TEXT, or quote it: '{key}=\"…\"'."
            raise UsageError(message, hint=hint) from None
    return values


def _run_locally(paths: Paths, job: str, values: Mapping[str, object]) -> int:
    from akjob.agenda.jobs import check_arguments
    from akjob.cli.local_run import run_locally

    config = settings(paths)
    view = load(paths, config, now_us()).find(job)
    if view.broken is not None:
        broken = view.broken
        message = f"{view.name} is broken: {broken.file}:{broken.line}:{broken.column}: {broken.message}"
        raise AkjobError(message, hint=broken.hint)
    assert view.spec is not None  # noqa: S101 - a job without a good version is broken
    check_arguments(view.spec, values)
    return run_locally(view.spec, paths, config, dict(values))


class _End:
    """Waits for the end of a run: akjobd reports it, or, when akjobd went away, the ledger."""

    def __init__(self, paths: Paths, client: Client, run: str, without_akjobd: str) -> None:
        self._without_akjobd = without_akjobd
        self._reader = open_reader(paths.ledger_url)
        self._client: Client | None = client
        self._run = run
        self._ended_at = 0.0
        self.answer: ReportedEnd | None = None

    def overdue(self) -> bool:
        """Return True if it ended so long ago that no more lines will come."""
        if self.answer is None:
            self._ask()
            return False
        return monotonic() - self._ended_at > _LAST_LINES_S

    def node_of_start(self) -> str | None:
        """Return the node of a cluster that has started the run, once one has; None where none will."""
        while True:
            row = self._reader.find_run(self._run)
            if row is None or row["state"] != "queued":
                return None if row is None else row["node"]
            select.select([], [], [], _LOOK_S)

    def wait(self, logged: ReportedEnd | None) -> ReportedEnd:
        """Return how it ended, as akjobd reports it; where akjobd is gone, as the log or the ledger has it."""
        while self.answer is None:
            if logged is not None and self._client is None:
                return logged
            self._ask(0.2)
        return self.answer

    def _ask(self, patience_s: float = 0.0) -> None:
        if self._client is not None:
            if not select.select([self._client.fileno()], [], [], patience_s)[0]:
                return
            try:
                self._take(self._client.answer(WaitForRun(run=self._run)).row)
            except AkjobError:
                self._client = None
                complain("akjobd went away; the run goes on", self._without_akjobd)
            return
        row = self._reader.find_run(self._run)
        if row is not None and row["state"] not in _OPEN:
            self._take(row)
        elif patience_s:
            select.select([], [], [], patience_s)

    def _take(self, answer: Mapping[str, object]) -> None:
        self.answer = msgspec.convert(answer, ReportedEnd)
        self._ended_at = monotonic()


def _follow(paths: Paths, config: Config, client: Client, run: str, printer: "_Printer") -> ReportedEnd:
    """Print the run's lines until its last one; return how it ended."""
    end = _End(paths, client, run, "Its output is followed here all the same.")
    last: ReportedEnd | None = None
    try:
        for line in _lines(paths, config, run, end):
            printer.line(line)
            if line.get("event") == "run.finished" and line.get("source") != "job":
                last = msgspec.convert(line, ReportedEnd)
                break
    except AwayError as error:
        complain(error.said(None, now_us()), f"{error.why}\nIts end is waited for here all the same.")
    ended = end.wait(last)
    return ended if last is None else replace(ended, duration_s=last.duration_s)


def _lines(paths: Paths, config: Config, run: str, end: _End) -> Iterator[dict[str, Any]]:
    """Yield the run's lines as they come: of this machine, or of the node of a cluster that has taken it."""
    node = None if config.cluster is None else end.node_of_start()
    log = run_log(paths, config, node, run)
    if isinstance(log, DistantLog):
        return log.follow(stop=end.overdue)
    return read.follow(paths, run=run, stop=end.overdue)


class _Printer:
    """What a person sees of a run: output as it was printed, by stream; what else it logs; a bar for its progress."""

    def __init__(self) -> None:
        self._colour = colours(sys.stderr)
        self._tint = self._colour and colours()  # on one terminal the two streams would look the same
        self._bar: Progress | None = None
        self._unended: dict[str, list[str]] = {}  # by stream: what waits for its line's end, while there is a bar
        self._in_line = False  # what goes to standard error next would stand behind an unfinished line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        for stream, pieces in self._unended.items():
            out = sys.stderr if stream == "stderr" else sys.stdout
            self._write(out, self._tinted(stream, "".join(pieces)))
        if self._in_line:
            sys.stderr.write("\n")  # what follows is a line of its own

    def line(self, line: Mapping[str, Any]) -> None:
        """Show one line of the log."""
        if is_output(line):
            self._output(line)
        elif line.get("event") == "run.progress":
            self._progress(line)
        elif line.get("source") == "job":
            text = render(dict(line), self._colour)
            if self._bar is None:
                sys.stderr.write(text + "\n")
                sys.stderr.flush()
            else:
                self._above(text)

    def _output(self, line: Mapping[str, Any]) -> None:
        stream = line.get("stream", "stdout")
        out = sys.stderr if stream == "stderr" else sys.stdout
        if self._bar is not None and out.isatty():
            self._unended.setdefault(stream, []).append(read.bytes_of(line).decode("utf-8", "replace"))
            if line.get("eol") is not False:
                self._above(self._tinted(stream, "".join(self._unended.pop(stream)).removesuffix("\n")))
        elif "base64" in line:
            out.flush()
            data = read.bytes_of(line)
            out.buffer.write(data)
            out.buffer.flush()
            self._in_line = is_beside_errors(out) and not data.endswith(b"\n")
        else:
            end = "" if line.get("eol") is False else "\n"
            self._write(out, self._tinted(stream, line.get("line", "")) + end)

    def _write(self, out: IO[str], text: str) -> None:
        out.write(text)
        out.flush()
        if text and is_beside_errors(out):
            self._in_line = not text.endswith("\n")

    def _tinted(self, stream: str, text: str) -> str:
        return paint(text, "red", on=self._tint and stream == "stderr")

    def _above(self, text: str) -> None:
        """Print a whole line above the bar. The bar would take the place of one without an end."""
        from rich.text import Text

        assert self._bar is not None  # noqa: S101 - asked before
        self._bar.console.print(Text.from_ansi(text), soft_wrap=True)

    def _progress(self, line: Mapping[str, Any]) -> None:
        """Move the bar on a terminal; on a pipe progress is not shown."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[amount]}", markup=False),
            )
            self._bar = Progress(
                *columns,
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                redirect_stdout=False,  # standard output may be a pipe, which must get what is its
                redirect_stderr=False,
            )
            self._bar.add_task("", total=None, amount="")
            self._bar.start()
        (task,) = self._bar.tasks
        part, amount = _amount(line.get("done"), line.get("total"))
        task.total = None if part is None else 1.0
        self._bar.update(
            task.id, completed=part, amount=amount, description=escape_control(str(line.get("message") or ""))
        )


def _amount(done: object, total: object) -> tuple[float | None, str]:
    """Return how much of the whole is done, None where that is not known, and what to write next to the bar.

    A job may report anything: values that are not numbers, infinite, negative, or a million digits long.
    """
    try:
        done, total = (float(one) if isinstance(one, (int, float)) else nan for one in (done, total))
    except OverflowError:
        return None, ""
    if not (isfinite(done) and done >= 0):
        return None, ""
    if not (isfinite(total) and total > 0):
        return None, f"{done:.15g}"
    part = round(min(done / total, 1.0), 6)
    return part, f"{part * 100:>3.0f} %"


def _say_end(end: ReportedEnd) -> int:
    """Print how the run ended to standard error; return the exit code."""
    code = exit_code(end)
    parts = [paint(end.state, STATE_COLOURS.get(end.state), on=colours(sys.stderr))]
    if end.duration_s is not None:
        parts.append(f"in {span(round(end.duration_s * SECOND))}")
    why = explain(end)
    click.echo(" ".join(parts) + (f": {escape_control(why)}" if why else ""), err=True)
    return code
