"""The YAML of yacron into job files."""

from collections.abc import Mapping
from typing import Any

from akjob.imports import Budget, Draft, Import, ImportNote, TooMuchError, distinct, finish_all, slug
from akjob.imports.documents import NotYamlError, documents, rows, seconds, table

_OVERLAP = {"Allow": "allow", "Forbid": "skip", "Replace": "replace"}
_FIELDS = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")
_KILL_TIMEOUT_S = 30
# taken, or without a meaning here: akjob keeps all output and sends its own messages
_SILENT = frozenset(
    [
        *("name", "command", "schedule", "shell", "environment", "env_file", "user", "group", "concurrencyPolicy"),
        *("executionTimeout", "killTimeout", "onFailure", "utc", "timezone", "enabled", "captureStdout"),
        *("captureStderr", "saveLimit", "streamPrefix", "maxLineLength", "failsWhen"),
    ]
)
_REPORTING = ("onFailure", "onPermanentFailure", "onSuccess")


def read_yacron(text: str, *, file: str, zone: str) -> Import:
    """Translate the jobs of a yacron file; ``zone`` is the machine's, for jobs with ``utc: false``."""
    notes: list[ImportNote] = []
    drafts: list[tuple[str, str, Draft]] = []
    budget = Budget()
    try:
        for part, nodes in documents(text):
            whole = table(part.value)
            left_out = [key for key in ("include", "web", "logging") if whole.get(key)]
            notes += [ImportNote(file, nodes.line(key), f"{key} is not translated") for key in left_out]
            above = len(repr(whole.get("defaults")))
            for index, job in enumerate(rows(whole.get("jobs"))):
                budget.spend(above + len(repr(job)))
                draft = Draft(file, nodes.line("jobs", index))
                merged = _merged(table(whole.get("defaults")), table(job))
                name = str(merged.get("name") or f"job-{index + 1}")
                draft.head = [f"Imported from {file}, job {name}"]
                _EntryTranslation(draft, merged, zone).all()
                drafts.append((slug(name), name, draft))
    except NotYamlError as error:
        notes.append(ImportNote(file, error.line, str(error)))
    except TooMuchError as error:
        return Import((), (ImportNote(file, 1, str(error)),))
    names = distinct([(name, source) for name, source, _ in drafts], {})
    return finish_all([(name, draft) for name, (_, _, draft) in zip(names, drafts, strict=True)], notes)


def _merged(defaults: Mapping[str, object], job: Mapping[str, object]) -> dict[str, Any]:
    """Lay a job over the defaults: tables key by key, variables one after the other."""
    merged = dict(defaults)
    for key, value in job.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merged(below, value)
        elif key == "environment":
            merged[key] = [*rows(below), *rows(value)]
        else:
            merged[key] = value
    return merged


class _EntryTranslation:
    """One job on its way into a draft."""

    def __init__(self, draft: Draft, job: Mapping[str, object], zone: str) -> None:
        self.draft = draft
        self.job = job
        self.zone = zone

    def all(self) -> None:
        """Translate everything, and name what is left."""
        self._command()
        self._schedule()
        self._policy()
        self._surroundings()
        self._rest()
        if self.job.get("enabled") is False:
            self.draft.put("", "enabled", value=False, comment="enabled: false")

    def _disable(self, why: str) -> None:
        self.draft.note(why)
        self.draft.put("", "enabled", value=False, comment="a part of it could not be translated")

    def _command(self) -> None:
        command, shell = self.job.get("command"), self.job.get("shell")
        if isinstance(command, list):
            self.draft.put("", "command", [str(word) for word in command])
        elif not isinstance(command, str) or not command.strip():
            self._disable("it has no command")
            self.draft.put("", "command", "false")
        elif shell in (None, "", "/bin/sh", "sh"):
            self.draft.put("", "command", command.strip())
        else:
            self.draft.put("", "command", [str(shell), "-c", command.strip()])

    def _schedule(self) -> None:
        zone = self.job.get("timezone")
        utc = self.job.get("utc", True)
        self.draft.put("schedule", "timezone", str(zone) if zone else "UTC" if utc else self.zone)
        schedule = self.job.get("schedule")
        if isinstance(schedule, Mapping):
            if schedule.get("year", "*") not in ("*", None):
                self._disable(f"the year {schedule['year']} is not translated")
            fields = [str(schedule.get(name, "*")) for name in _FIELDS]
            if "second" in schedule:
                fields.insert(0, str(schedule["second"]))
            self.draft.put("schedule", "cron", " ".join(fields))
        elif schedule == "@reboot":
            self.draft.put("schedule", "on_start", value=True, comment="yacron means its own start by @reboot")
        elif isinstance(schedule, str) and schedule.strip():
            self._expression(schedule.split())
        else:
            self._disable("it has no schedule")

    def _expression(self, fields: list[str]) -> None:
        """Put an expression of five fields, six with a year, or seven with seconds and a year."""
        *time, year = fields if len(fields) > 5 else [*fields, "*"]  # noqa: PLR2004 - the fields of cron
        if year != "*":
            self._disable(f"the year {year} is not translated")
        self.draft.put("schedule", "cron", " ".join(time))

    def _policy(self) -> None:
        put = self.draft.put
        limit = seconds(self.job.get("executionTimeout"))
        put("run", "timeout", limit or "none", "" if limit else 'as under yacron; a limit such as "1h" is better')
        put("run", "kill_after", seconds(self.job.get("killTimeout", _KILL_TIMEOUT_S)) or "0s")
        put("run", "overlap", _OVERLAP.get(str(self.job.get("concurrencyPolicy", "Allow")), "allow"))
        put("run", "missed", "skip", 'as under yacron; "latest" catches up after a downtime')
        self._retry(table(table(self.job.get("onFailure")).get("retry")))
        fails = table(self.job.get("failsWhen"))
        if fails.get("producesStderr", True) is True and self.job.get("captureStderr", True) is not False:
            self.draft.note("producesStderr: yacron takes output on standard error for a failure; akjob does not")
        for key in ("producesStdout", "always"):
            if fails.get(key) is True:
                self.draft.note(f"failsWhen.{key} is not translated")
        if fails.get("nonzeroReturn") is False:
            self.draft.put("run", "success_codes", list(range(256)))

    def _retry(self, retry: Mapping[str, object]) -> None:
        most = retry.get("maximumRetries", 0)
        if isinstance(most, bool) or not isinstance(most, int) or most == 0:
            return
        table_: dict[str, Any] = {"attempts": most + 1 if most > 0 else 1_000_000}
        table_["delay"] = seconds(retry.get("initialDelay", 1)) or "1s"
        factor = retry.get("backoffMultiplier", 2)
        table_["factor"] = float(factor) if isinstance(factor, (int, float)) else 2.0
        table_["max_delay"] = seconds(retry.get("maximumDelay", 300)) or "5m"
        self.draft.put("run", "retry", table_)

    def _surroundings(self) -> None:
        env = {
            str(entry["key"]): "" if entry.get("value") is None else str(entry["value"])
            for entry in map(table, rows(self.job.get("environment")))
            if entry.get("key")
        }
        if env:
            self.draft.put("run", "env", env)
        if self.job.get("env_file"):
            self.draft.put("run", "env_file", str(self.job["env_file"]))
        for key in ("user", "group"):
            if self.job.get(key) is not None:
                self.draft.put("run", key, str(self.job[key]))

    def _rest(self) -> None:
        for key, value in self.job.items():
            if key not in _SILENT and key not in _REPORTING and value not in (None, {}, []):
                self.draft.note(f"{key} is not translated")
        if any(table(self.job.get(key)).get("report") for key in _REPORTING):
            self.draft.note("its reports are not translated: [notify] sends messages")
