"""What a message says about a job: gathered from the ledger, the definition and the log when the message is made."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from akjob.config import DEFAULTS, Config, Paths
from akjob.config.secrets import SecretFile
from akjob.errors import AkjobError
from akjob.instants import from_text
from akjob.ledger import JobColumns, Reader
from akjob.log.reading import read as log
from akjob.log.reading.render import is_output
from akjob.notify.model import Note
from akjob.notify.redact import Redactor, values_of
from akjob.notify.text import JobReport, commit_words
from akjob.query.slots import slots_of
from akjob.schedule import jitter_us
from akjob.spec import load_definition
from akjob.spec.model import JobSpec, Notify

USUAL_RUNS = 10
"""From so many runs on it is known how long a job usually takes."""
_LAST_RUNS = 100
_USUAL_TIMES = 3
_LINE = 500
_MORE_LINES = 50  # read besides those shown, so that a secret of several lines is whole when it is replaced


class JobFacts:
    """Answers about jobs, from the last good definitions that the ledger keeps. Each is read once, until it changes."""

    def __init__(self, paths: Paths, config: Config, reader: Reader) -> None:
        self._paths = paths
        self._reader = reader
        self._rows: Mapping[str, JobColumns] = {}
        self.reconfigure(config)

    def take(self, rows: Mapping[str, JobColumns]) -> None:
        """Answer from these rows of jobs, read at once, where a job has one."""
        self._rows = rows

    def reconfigure(self, config: Config) -> None:
        """Answer by other settings from now on."""
        self._config = config
        self._specs: dict[str, JobSpec | None] = {}
        self._default = _default_notify(config)

    def forget(self, job: str) -> None:
        """Read a job's definition again when it is asked for next: it has changed."""
        self._specs.pop(job, None)

    def spec(self, job: str) -> JobSpec | None:
        """Return the last good version of a job; None if there is none, or it cannot be read any more."""
        if job not in self._specs:
            row = self._rows.get(job) or self._reader.job(job)
            self._specs[job] = None
            if row is not None and row["definition"]:
                with suppress(AkjobError):  # written by another version: its messages follow the root's settings
                    self._specs[job] = load_definition(job, row["file"], row["definition"])
        return self._specs[job]

    def notify(self, job: str) -> Notify:
        """Return the ``[notify]`` of a job; for one that never was valid, that of the settings."""
        spec = self.spec(job)
        return self._default if spec is None else spec.notify

    def jitter_us(self, job: str) -> int:
        """Return how much after its slots a job starts."""
        spec = self.spec(job)
        return 0 if spec is None else jitter_us(spec.schedule, job)

    def usual_us(self, job: str) -> int | None:
        """Return three times the 95th percentile of the job's last runs; None until there are ten."""
        rows = self._reader.history(job, _LAST_RUNS, "succeeded")
        took = sorted(
            from_text(row["ended_at"]) - from_text(row["started_at"])
            for row in rows
            if row["ended_at"] is not None and row["started_at"] is not None
        )
        if len(took) < USUAL_RUNS:
            return None
        return _USUAL_TIMES * took[min(len(took) - 1, round(0.95 * (len(took) - 1)))]

    def report(self, note: Note) -> JobReport:
        """Return all that a message says about a note."""
        spec, report = self.spec(note.job), self.brief(note)
        good: Any = next(iter(self._reader.history(note.job, 1, "succeeded")), None)
        report = replace(report, last_success_us=None if good is None else from_text(good["ended_at"]))
        row = None if note.run is None else self._reader.find_run(note.run)
        return report if row is None else self._with_run(report, row, good, spec, Redactor(self._secrets(spec)))

    def brief(self, note: Note) -> JobReport:
        """Return what is known of a note without its run."""
        spec = self.spec(note.job)
        message = None if note.message is None else Redactor(self._secrets(spec))(note.message)
        return JobReport(
            kind=note.kind,
            at_us=note.at_us,
            job=note.job,
            timezone="UTC" if spec is None else spec.schedule.zone,
            run=note.run,
            slot_us=note.slot_us,
            reason=message,
            failures=note.failures,
            count=note.count,
            incident=note.incident,
            owner=None if spec is None else spec.owner,
            runbook=None if spec is None else spec.runbook,
            next_us=None if spec is None or not spec.enabled else self._next_us(spec, note.at_us),
            url=self._url(f"jobs/{quote(note.job)}"),
            since_us=note.since_us,
            at_least=note.at_least,
            made_up=note.made_up,
            again=note.again,
            common=() if message is None else (message,),
        )

    def _with_run(self, report: JobReport, row: Any, good: Any, spec: JobSpec | None, redact: Redactor) -> JobReport:
        lines = self.notify(report.job).lines
        error = None if row["error"] is None else redact(row["error"])
        new_commit = f"since commit {_commit(row)}" if _moved(row, good, "git_commit") else None
        lock = None if spec is None or spec.run.lock is None else f"lock {spec.run.lock}"
        common = (new_commit, self._new_defaults(row, good), None if error is None else error.splitlines()[0], lock)
        fails = report.kind in {"failed", "timed_out", "lost", "long"}
        return replace(
            report,
            state=row["state"],
            reason=report.reason if row["reason"] is None else redact(row["reason"]),
            exit_code=row["exit_code"],
            error=error,
            attempt=row["attempt"],
            git_commit=row["git_commit"],
            git_dirty=bool(row["git_dirty"]),
            changed=_changes(row, good),
            url=self._url(f"runs/{row['id']}"),
            output=tuple(self._output(row["id"], lines, redact)) if lines and fails else (),
            common=(*report.common, *(one for one in common if one is not None)),
        )

    def _next_us(self, spec: JobSpec, after_us: int) -> int | None:
        slots = slots_of(spec, self._reader.job(spec.name), after_us, 1)
        return slots[0] if slots else None

    def _new_defaults(self, row: Any, good: Any) -> str | None:
        """Return that the definition has changed with a ``_defaults.toml`` above the file; None if it has not."""
        if not _moved(row, good, "definition_sha256"):
            return None
        for folder in PurePosixPath(self._file(row["job"])).parents:
            path = folder / DEFAULTS
            with suppress(OSError):
                if (self._paths.root / path).stat().st_mtime_ns // 1000 > from_text(good["ended_at"]):
                    return f"since {path} changed"
        return None

    def _file(self, job: str) -> str:
        spec = self.spec(job)
        return "" if spec is None else spec.file

    def _url(self, page: str) -> str | None:
        web = self._config.web
        if web.public_url:
            return f"{web.public_url}/{page}"
        address = next((one for one in web.listen if not one.path), None)
        return None if address is None or not web.enabled else f"http://{address}/{page}"

    def output(self, job: str, run: str, lines: int) -> list[str]:
        """Return the last lines of a run's output, without the job's secrets."""
        return self._output(run, lines, Redactor(self._secrets(self.spec(job)))) if lines else []

    def _output(self, run: str, lines: int, redact: Redactor) -> list[str]:
        """Return the last lines of a run's output, without secrets, each cut to a readable length."""
        try:
            found = log.last(self._paths, lines + _MORE_LINES, run=run)
        except (OSError, ValueError):
            return []
        text = redact(_printed([line for line in found if is_output(line)]))
        return [line if len(line) <= _LINE else line[:_LINE] + "…" for line in text.splitlines()[-lines:]]

    def _secrets(self, spec: JobSpec | None) -> Iterable[str]:
        """Yield every secret that a message about a job could hold: the job's own, and those of the channels."""
        found = [one for channel in self._config.channels.values() for one in channel.secrets().values()]
        if spec is not None:
            found += [value for value in spec.run.env.values() if isinstance(value, SecretFile)]
            if spec.notify.ping is not None and isinstance(spec.notify.ping.url, SecretFile):
                found.append(spec.notify.ping.url)
            yield from _variables(spec, self._paths)
        yield from values_of(found, self._paths.root)

    def channel_secrets(self) -> list[str]:
        """Return the channels' own secrets."""
        return list(self._secrets(None))


def _printed(lines: Sequence[Mapping[str, object]]) -> str:
    """Return what a run printed; the pieces of a line that is very long are put together again."""
    text = ""
    for line, after in zip_longest(lines, lines[1:]):
        goes_on = not line.get("eol", True) and after is not None and after.get("stream") == line.get("stream")
        text += str(line.get("line", "")) + ("" if goes_on else "\n")
    return text


def _variables(spec: JobSpec, paths: Paths) -> Iterable[str]:
    """Yield the values of the job's ``env_file``."""
    from akjob.run.child import RefusedError, read_env_file  # noqa: PLC0415 - only for jobs that have one

    for path in env_files(spec):
        try:
            yield from read_env_file(os.path.join(paths.root, path)).values()
        except (RefusedError, OSError):
            continue


def env_files(spec: JobSpec) -> tuple[str, ...]:
    """Return the paths of a job's ``env_file``."""
    return tuple(one.file for one in spec.run.env_files)


def _default_notify(config: Config) -> Notify:
    """Return the ``[notify]`` of the settings, as a job has it that says nothing itself."""
    from akjob.spec.parse import parse_job  # noqa: PLC0415 - the parser is loaded for the first job anyway

    spec = parse_job("x", "jobs.d/x.toml", 'command = "true"', config=config, resolve=False).spec
    return Notify() if spec is None else spec.notify


def _moved(row: Any, good: Any, column: str) -> bool:
    return good is not None and row[column] is not None and good[column] != row[column]


def _commit(row: Any) -> str:
    commit = row["git_commit"]
    return "no commit" if commit is None else commit_words(commit[:12], dirty=bool(row["git_dirty"]))


def _changes(row: Any, good: Any) -> tuple[str, ...]:
    """Return what is another than at the last success."""
    found = []
    if _moved(row, good, "definition_sha256"):
        found.append("the definition")
    if _moved(row, good, "git_commit"):
        found.append(f"the commit: {_commit(good)} to {_commit(row)}")
    elif good is not None and row["git_dirty"] and not good["git_dirty"]:
        found.append("the job's files, not committed")
    return tuple(found)
