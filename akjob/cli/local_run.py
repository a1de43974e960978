"""``akjob run --here``: the output of a run without akjobd, where it belongs, and its exit code."""

import os
import select
import sys
from collections.abc import Mapping
from typing import IO

from akjob.cli import complain
from akjob.cli.common import is_beside_errors
from akjob.config import Config, Paths
from akjob.log.reading.read import bytes_of
from akjob.log.reading.render import is_output, render
from akjob.query.runs import exit_code
from akjob.run import local
from akjob.spec.model import JobSpec

_SIGNAL_BASE = 128


def run_locally(spec: JobSpec, paths: Paths, config: Config, kwargs: Mapping[str, object] | None = None) -> int:
    """Run a job now and wait for its end; return 0, its exit code, 128 + its signal, or 1.

    Output goes to stdout and stderr as the job writes it, log events and the reason of a failure to stderr. A signal
    that ended the run gives 128 + its number. Output that cannot be written ends the run too: raises that OSError.
    """
    with local.start(spec, paths, config, kwargs) as run:
        shown = _Shown(run)
        for line in run.lines():
            shown.show(line)
        end = run.end()
    if shown.goes_on and (end.state != "succeeded" or end.reason):
        shown.end_line()
        complain(f"{end.state}: {end.reason or 'no reason is known'}")
    if run.ended_by:
        return _SIGNAL_BASE + run.ended_by
    if shown.failed is not None:
        raise shown.failed
    return exit_code(end)


class _Shown:
    """What is printed of a run. ``failed`` is what kept it from being printed; then nothing more is."""

    def __init__(self, run: local.LocalRun) -> None:
        self._run = run
        self.goes_on = True
        self.failed: OSError | None = None
        self._in_line = False  # what goes to standard error next would stand behind an unfinished line

    def show(self, line: local.Line) -> None:
        """Print a line where it belongs. Output that cannot be written ends the run."""
        if not self.goes_on:
            return
        try:
            self._print(line)
        except OSError as error:
            self.goes_on, self.failed = False, error
            if not self._run.asked:
                self._run.stop(f"its output cannot be written: {error.strerror}")

    def end_line(self) -> None:
        """End an unfinished line of output, where it and what follows are on a terminal."""
        if self._in_line:
            self._write(sys.stderr, b"\n")

    def _print(self, line: local.Line) -> None:
        if is_output(line):
            self._write(sys.stderr if line["stream"] == "stderr" else sys.stdout, bytes_of(line))
        elif line["source"] == "job" or line["event"] not in ("run.started", "run.finished"):
            text = render(line, colour=sys.stderr.isatty()) + "\n"
            self._write(sys.stderr, text.encode(sys.stderr.encoding, "backslashreplace"))

    def _write(self, out: IO[str], data: bytes) -> None:
        """Write without ever waiting in ``write``: a signal would not be acted on there."""
        fd = out.fileno()
        if data and is_beside_errors(out):
            self._in_line = not data.endswith(b"\n")
        while data and self.goes_on:
            if not self._run.is_writable(fd):
                self.goes_on = False
                return
            try:
                data = data[os.write(fd, data[: select.PIPE_BUF]) :]
            except OSError as error:
                where = "standard error" if out is sys.stderr else "standard output"
                raise OSError(error.errno, error.strerror, where) from error
