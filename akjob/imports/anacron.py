"""An anacrontab into job files (anacrontab(5))."""

import re
from datetime import datetime, time

from akjob.imports import (
    Budget,
    Draft,
    Import,
    ImportNote,
    TooMuchError,
    distinct,
    escaped,
    finish_all,
    is_number,
    is_utf8,
    slug,
)

_ENV = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(.*)")
_ENTRY = re.compile(r"\s*(@\w+|\d{1,9})\s+(\d{1,9})\s+(\S+)\s+(\S.*)")
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")
_DAYS = {
    "@daily": 1,
    "@weekly": 7,
    "@monthly": 30,
    "@yearly": 365,
    "@annually": 365,
    "1": 1,
    "7": 7,
    "30": 30,
    "31": 30,
}
_PATH = "/usr/bin:/bin"
_LAST_HOUR = 24


class _AnacrontabReader:
    """Walks through the lines once. A variable holds for the entries below it."""

    def __init__(self, file: str, zone: str) -> None:
        self.file = file
        self.zone = zone
        self.variables: dict[str, str] = {}
        self.hours: tuple[int, int] | None = None
        self.random_delay = 0
        self.kept: list[str] = []
        self.notes: list[ImportNote] = []
        self.drafts: list[tuple[str, str, Draft]] = []
        self.budget = Budget()

    def line(self, number: int, line: str) -> None:
        """Take one line in."""
        text = line.strip()
        if not text or text.startswith("#"):
            self.kept += [escaped(text.lstrip("#").strip())] if text.lstrip("#").strip() else []
        elif not is_utf8(line):
            self._keep(number, text, "its bytes are not UTF-8, which a job file must be")
        elif match := _ENV.fullmatch(line):
            self._variable(number, match[1], match[2].strip().strip("'\""))
        elif match := _ENTRY.fullmatch(line):
            self._entry(number, text, match)
        else:
            self._keep(number, text, "this line is neither a variable nor an entry")

    def _keep(self, number: int, text: str, why: str) -> None:
        self.notes.append(ImportNote(self.file, number, f"{why}; it is kept as a comment: {text}"))
        self.kept.append(f"line {number}, not translated: {text}")

    def _variable(self, number: int, name: str, value: str) -> None:
        if name == "RANDOM_DELAY" and is_number(value):
            self.random_delay = int(value)
        elif name == "START_HOURS_RANGE" and (match := _HOURS.fullmatch(value)):
            self.hours = (int(match[1]), int(match[2]))
        elif name in {"RANDOM_DELAY", "START_HOURS_RANGE", "PREFERRED_HOUR", "NO_MAIL_OUTPUT"}:
            self._keep(number, f"{name}={value}", "this has no counterpart")
        elif name in {"MAILTO", "MAILFROM"}:
            self._keep(number, f"{name}={value}", "akjob sends mail by [notify]; the output is in `akjob logs`")
        elif name in {"LOGNAME", "USER"}:
            self._keep(number, f"{name}={value}", "the user is root, as under anacron")
        else:
            self.variables[name] = value

    def _entry(self, number: int, line: str, match: re.Match[str]) -> None:
        period, delay, name, command = match.groups()
        self.budget.spend(len(line) + sum(map(len, self.variables.values())))
        draft = Draft(self.file, number)
        draft.head = [f"Imported from {self.file}:", f"  {line}", *self.kept]
        self.kept = []
        shell = self.variables.get("SHELL", "/bin/sh")
        posix = shell in {"/bin/sh", "sh", "/usr/bin/sh"}
        draft.put("", "command", command.strip() if posix else [shell, "-c", command.strip()])
        self._put_schedule(draft, period, int(delay))
        draft.put("run", "timeout", "none", 'as under anacron; a limit such as "1h" is better')
        draft.put("run", "missed", "latest", "as under anacron: it is made up for when the machine is on again")
        draft.put("run", "missed_within", f"{_DAYS.get(period, int(period) if is_number(period) else 1)}d")
        draft.put("run", "umask", "0022")
        draft.put("run", "user", "root")
        draft.put("run", "cwd", "/")
        env = {key: value for key, value in self.variables.items() if key not in {"SHELL", "HOME"}}
        draft.put("run", "env", {"PATH": _PATH, **env})
        self.drafts.append((slug(name), line, draft))

    def _put_schedule(self, draft: Draft, period: str, delay: int) -> None:
        draft.put("schedule", "timezone", self.zone)
        hour = self.hours[0] if self.hours is not None and self.hours[0] < _LAST_HOUR else 0
        at = _time(hour)
        days = _DAYS.get(period)
        if days == 1:
            draft.put("schedule", "daily", at)
        elif days == 7:  # noqa: PLR2004 - a week
            draft.put("schedule", "weekly", {"days": ["mon"], "at": at})
        elif days == 30:  # noqa: PLR2004 - a month
            draft.put("schedule", "monthly", {"days": [1], "at": at})
        elif days is not None:
            draft.put("schedule", "cron", f"0 {hour} 1 1 *")
        elif is_number(period) and int(period):
            draft.put("schedule", "every", f"{int(period)}d")
            draft.put("schedule", "anchor", datetime(1970, 1, 1, hour))  # noqa: DTZ001 - a local time
            draft.note(f"each {period} days have become a fixed grid of elapsed time")
        else:
            draft.note(f"the period {period} is not translated")
            draft.put("", "enabled", value=False, comment="its period could not be translated")
        later = delay + self.random_delay
        if later:
            draft.put("schedule", "jitter", f"{later}m", "from its delay; the same for this job each time")
        if self.hours is not None and not draft.has("schedule", "every"):
            begin, end = self.hours
            if 0 <= begin < end <= _LAST_HOUR and (begin, end) != (0, _LAST_HOUR):
                draft.put("limits", "hours", {"from": _time(begin), "until": _time(end % _LAST_HOUR)})


def _time(hour: int) -> time:
    return time(hour)


def read_anacrontab(text: str, *, file: str, zone: str, share: bool = False) -> Import:
    """Translate an anacrontab; see :func:`akjob.imports.crontab.read_crontab` for what the arguments are."""
    reader = _AnacrontabReader(file, zone)
    try:
        for number, line in enumerate(text.split("\n"), 1):
            reader.line(number, line.removesuffix("\r"))
    except TooMuchError as error:
        return Import((), (ImportNote(file, 1, str(error)),))
    if reader.drafts:
        reader.drafts[-1][2].tail += reader.kept
    names = distinct([(name, line) for name, line, _ in reader.drafts], {})
    drafts = [(name, draft) for name, (_, _, draft) in zip(names, reader.drafts, strict=True)]
    return finish_all(drafts, reader.notes, source=file, share=share)
