"""A systemd timer and the service that it starts into one job file (systemd.timer(5), .service(5), .exec(5))."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from akjob.imports import Draft, Import, ImportNote, finish_all, is_number, is_utf8, slug
from akjob.imports.calendar import DAYS, OnCalendarTrigger, parse_calendar, trigger_of
from akjob.imports.words import (
    commands,
    for_shell,
    inner_variables,
    is_name,
    specifiers,
    split,
    split_value,
    split_variable,
    without_variables,
)

# user name -> home folder, or None when it is not known here; None asks for the user who imports
Home = Callable[[str | None], str | None]


class Setting(Struct, frozen=True):
    """One ``Key=Value`` line of a unit file."""

    section: str
    key: str
    value: str
    line: int


def parse_unit(text: str) -> tuple[Setting, ...]:
    """Read a unit file: sections, comments, lines that a backslash continues. Raises ValueError with the line."""
    settings: list[Setting] = []
    section, begun, start = "", "", 0
    for number, line in enumerate([*text.split("\n"), ""], 1):  # the last one ends what a backslash at the end began
        if begun and line.lstrip().startswith(("#", ";")):
            continue  # comments may be inside of a continued line
        whole = begun + line.strip() if begun else line.strip()
        start = start if begun else number
        if (len(whole) - len(whole.rstrip("\\"))) % 2:  # an escaped backslash continues nothing
            begun = whole[:-1] + " "
            continue
        begun = ""
        if not whole or whole.startswith(("#", ";")):
            continue
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
            continue
        key, equals, value = whole.partition("=")
        if not equals or not section:
            raise ValueError(f"line {start}: {whole!r} is neither a [Section] nor Key=Value")
        settings.append(Setting(section, key.strip(), value.strip(), start))
    return tuple(settings)


def service_of(timer: Sequence[Setting], name: str) -> str:
    """Name the unit that a timer starts: ``Unit=``, else the service of the same name (without ``.timer``)."""
    units = [s.value for s in timer if s.section == "Timer" and s.key == "Unit" and s.value]
    return _expand(units[-1], specifiers(f"{name}.timer"))[0] if units else f"{name}.service"


def _expand(text: str, known: Mapping[str, str]) -> tuple[str, list[str]]:
    """Replace systemd's specifiers by their values; return those without one, too, which stay as they are."""
    unknown = [letter for letter in re.findall(r"%([%A-Za-z])", text) if letter not in known]
    return re.sub(r"%([%A-Za-z])", lambda match: known.get(match[1], match[0]), text), unknown


_SECONDS = {
    "": 1, "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
    "w": 604800, "week": 604800, "weeks": 604800,
    "M": 2629800, "month": 2629800, "months": 2629800,
    "y": 31557600, "year": 31557600, "years": 31557600,
}  # fmt: skip
_FINE = {"ms": 1_000, "msec": 1_000, "us": 1, "usec": 1, "µs": 1, "μs": 1}
_SPAN = re.compile(r"(\d{1,18}(?:\.\d+)?)\s*([A-Za-zµμ]*)\s*")


def parse_span(text: str) -> int | None:
    """Read a time span such as ``1h 30min``, ``90``, ``5.5s`` into microseconds; None for ``infinity``.

    Raises ValueError for anything else.
    """
    if text == "infinity":
        return None
    at, total = 0, 0
    while at < len(text):
        match = _SPAN.match(text, at)
        if match is None or (match[2] not in _SECONDS and match[2] not in _FINE):
            raise ValueError(f"{text!r} is not a time span")
        unit = _FINE[match[2]] if match[2] in _FINE else _SECONDS[match[2]] * 1_000_000
        whole, _, fraction = match[1].partition(".")
        total += int(whole) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = match.end()
    if not text:
        raise ValueError("it is empty")
    return total


def duration(duration_us: int) -> str:
    """Write microseconds as akjob's durations are written: ``"1h30m"``."""
    rest, parts = duration_us // 1000, []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


class _Unit:
    """The settings of a section by key. An empty value clears what stood before it, as in systemd."""

    def __init__(self, settings: Sequence[Setting], sections: tuple[str, ...]) -> None:
        self.by_key: dict[str, list[Setting]] = {}
        for setting in settings:
            if setting.section in sections:
                values = self.by_key.setdefault(setting.key, [])
                if setting.value:
                    values.append(setting)
                else:
                    values.clear()

    def take(self, key: str) -> list[Setting]:
        return self.by_key.pop(key, [])

    def last(self, key: str) -> Setting | None:
        values = self.take(key)
        return values[-1] if values else None

    def yes(self, key: str) -> bool:
        setting = self.last(key)
        return setting is not None and setting.value.lower() in ("1", "yes", "y", "true", "t", "on")


# without a meaning here, and nothing is lost without them
_SILENT = frozenset(
    [
        "Description",
        "Documentation",
        "Unit",
        "AccuracySec",
        "FixedRandomDelay",
        "RemainAfterElapse",
        "Type",
        "StandardOutput",
        "StandardError",
        "StandardInput",
        "SyslogIdentifier",
        "WantedBy",
        "Also",
        "After",
        "Before",
        "DefaultDependencies",
    ]
)


# in the order in which they run
_IO_CLASSES = {"idle": "idle", "3": "idle", "best-effort": "best-effort", "2": "best-effort"}
_CONDITIONS = {
    "PathExists": "-e",
    "PathIsDirectory": "-d",
    "PathIsSymbolicLink": "-L",
    "PathIsReadWrite": "-w",
    "FileNotEmpty": "-s",
    "FileIsExecutable": "-x",
}
# systemd's own tests of what a folder holds, as a shell has them
_LISTED = {"PathExistsGlob": "ls -d {} > /dev/null 2>&1", "DirectoryNotEmpty": '[ -n "$(ls -A {} 2> /dev/null)" ]'}
_PATTERN = re.compile(r"/[\w./*?\[\]@+:-]*")  # nothing in it that a shell takes for anything but a path or a pattern
_COMMANDS = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost")


class _TimerTranslation:
    def __init__(self, draft: Draft, *, service: str, zone: str, home: Home, is_user: bool) -> None:
        self.draft = draft
        self.specifiers = {**specifiers(service), **machine_specifiers(home, is_user=is_user)}
        self.zone = zone
        self.home = home
        self.is_user = is_user
        self.conditions: list[_UnitStep] = []

    # --- the timer

    def timer(self, unit: _Unit) -> None:
        calendars = unit.take("OnCalendar")
        active, inactive = unit.last("OnUnitActiveSec"), unit.last("OnUnitInactiveSec")
        boot, start = unit.take("OnBootSec"), unit.take("OnActiveSec")
        # the system's manager starts at the boot, a user's when the user logs in
        (start if self.is_user else boot).extend(unit.take("OnStartupSec"))
        self.draft.put("schedule", "timezone", self.zone)
        self._calendars(calendars, alone=len(calendars) == 1 and not (active or inactive or boot or start))
        self._again("every", active, "systemd counts from the last start; here it is a fixed grid")
        self._again("again_after", inactive, "")
        self._delay("on_boot", boot)
        self._delay("on_start", start)
        self._jitter(unit)
        persistent = unit.yes("Persistent")
        self.draft.put(
            "run", "missed", "latest" if persistent else "skip", "Persistent=" + ("yes" if persistent else "no")
        )
        if persistent:
            self.draft.put("run", "missed_within", "365d")
        self._rest(unit)

    def _calendars(self, settings: list[Setting], *, alone: bool) -> None:
        """Put each expression; of several, those of one kind are one array. The first one's zone is the job's."""
        found: dict[str, list[object]] = {}
        first: str | None = None
        for setting in settings:
            try:
                calendar = parse_calendar(setting.value)
                trigger = trigger_of(calendar, alone=alone)
            except ValueError as error:
                self._refuse(setting, str(error))
                continue
            zone = calendar.zone or self.zone
            first = first or zone
            if zone != first:
                try:
                    trigger = _in_zone(trigger, zone)
                except ValueError as error:
                    self._refuse(setting, str(error))
                    continue
            values = trigger.value if isinstance(trigger.value, list) else [trigger.value]
            found.setdefault(trigger.key, []).extend(values)
            for key, value in trigger.limits.items():
                self.draft.put("limits", key, value)
        if first is not None:
            self.draft.put("schedule", "timezone", first)
        for key, values in found.items():
            self.draft.put("schedule", key, values[0] if len(values) == 1 else values)

    def _refuse(self, setting: Setting, why: str) -> None:
        self.draft.note(f"{setting.key}={setting.value} is not translated: {why}", setting.line)
        self.draft.put("", "enabled", value=False, comment="a part of it could not be translated")

    def _again(self, key: str, setting: Setting | None, why: str) -> None:
        if setting is None:
            return
        try:
            span = parse_span(setting.value)
        except ValueError as error:
            self._refuse(setting, str(error))
            return
        if span is not None:
            self.draft.put("schedule", key, duration(span))
            if why:
                self.draft.note(f'{setting.key}={setting.value} is {key} = "{duration(span)}": {why}', setting.line)

    def _delay(self, key: str, settings: list[Setting]) -> None:
        """Put how long after the boot or the start the job runs; of several the last is taken, the others are named."""
        for setting in settings:
            try:
                span = parse_span(setting.value)
            except ValueError as error:
                self._refuse(setting, str(error))
                continue
            if span is None:
                continue
            if self.draft.has("schedule", key):
                self.draft.note(f"{setting.key}={setting.value} takes the place of the one above it", setting.line)
            self.draft.put("schedule", key, duration(span) if span else True)

    def _jitter(self, unit: _Unit) -> None:
        settings = [s for key in ("RandomizedDelaySec", "RandomizedOffsetSec") for s in unit.take(key)]
        for setting in settings[-1:]:
            try:
                span = parse_span(setting.value)
            except ValueError as error:
                self.draft.note(f"{setting.key}={setting.value} is not translated: {error}", setting.line)
                continue
            if span:
                self.draft.put("schedule", "jitter", duration(span), "a delay that stays the same for this job")

    # --- the service

    def service(self, unit: _Unit) -> None:
        kind = unit.last("Type")
        if kind is not None and kind.value in ("forking", "notify", "dbus"):
            self.draft.note(f"Type={kind.value}: here a run ends when its main process ends", kind.line)
        variables = self._variables(unit)
        # what a file says of a variable goes before what the unit says, and is not known here
        of_files = bool(unit.by_key.get("EnvironmentFile"))
        self._command(unit, {} if of_files else variables, variables if of_files else {})
        self._time_limits(unit, oneshot=kind is not None and kind.value == "oneshot")
        user = unit.last("User")
        for setting, key in ((user, "user"), (unit.last("Group"), "group")):
            if setting is not None:
                self.draft.put("run", key, self._expand(setting, setting.value))
        self._folder(unit.last("WorkingDirectory"), None if user is None else user.value)
        self._environment(unit, {} if of_files else variables)
        if unit.yes("DynamicUser") and user is None:
            self.draft.note("DynamicUser=yes: akjob makes no users: set user")
            self.draft.put("", "enabled", value=False, comment="it would run as akjobd's own user")
        self._io(unit)
        self._restart(unit)
        umask, nice = unit.last("UMask"), unit.last("Nice")
        self.draft.put("run", "umask", "0022" if umask is None else umask.value.rjust(4, "0"))
        if nice is not None:
            self.draft.put("run", "nice", _int(nice.value))
        self._resources(unit)
        success = [code for s in unit.take("SuccessExitStatus") for code in s.value.split()]
        if success:
            numbers = [int(code) for code in success if is_number(code)]
            self.draft.put("run", "success_codes", sorted({0, *numbers}))
            if len(numbers) < len(success):
                self.draft.note("SuccessExitStatus: names of signals and of codes are left out")
        self._rest(unit)

    def _time_limits(self, unit: _Unit, *, oneshot: bool) -> None:
        limits = [unit.last("RuntimeMaxSec"), unit.last("TimeoutStartSec"), unit.last("TimeoutSec")]
        wanted = limits[1] or limits[2] or limits[0] if oneshot else limits[0]
        span = self._span(wanted)
        comment = "" if span else 'as under systemd; a limit such as "1h" is better'
        self.draft.put("run", "timeout", duration(span) if span else "none", comment)
        stop = self._span(unit.last("TimeoutStopSec"))
        if stop:
            self.draft.put("run", "kill_after", duration(stop))
        signal = unit.last("KillSignal")
        if signal is not None:
            self.draft.put("run", "stop_signal", signal.value.removeprefix("SIG"))

    def _span(self, setting: Setting | None) -> int | None:
        try:
            return None if setting is None else parse_span(setting.value)
        except ValueError as error:
            assert setting is not None  # noqa: S101 - None raises nothing
            self.draft.note(f"{setting.key}={setting.value} is not translated: {error}", setting.line)
            return None

    def _command(self, unit: _Unit, variables: Mapping[str, str], unless_set: Mapping[str, str]) -> None:
        """One plain command is an argv; several, or with what only a shell can say, are a script.

        ``unless_set`` are the variables of the unit that an EnvironmentFile may set, too, which goes before them.
        """
        lines = [setting for key in _COMMANDS for setting in unit.take(key)]
        steps = [step for setting in lines for step in self._steps(setting, variables)]
        if not steps:
            return
        steps = [*map(_unless_set, unless_set.items()), *self.conditions, *steps]
        if len(steps) == 1 and steps[0].argv is not None:
            self.draft.put("", "command", list(steps[0].argv))
        else:
            split_up = any(step.splits for step in steps)
            script = " && ".join(step.shell for step in steps)
            # systemd looks for no files when it splits a variable up
            self.draft.put("", "command", f"set -f; {script}" if split_up else script)

    def condition(self, setting: Setting) -> None:
        """Take a condition over: where it does not hold the job does nothing, which is not a failure."""
        kind = setting.key.removeprefix("Condition").removeprefix("Assert")
        test, listed = _CONDITIONS.get(kind), _LISTED.get(kind)
        value = self._expand(setting, setting.value)
        path = value.removeprefix("!").strip()
        if (test is None and listed is None) or value.startswith("|") or (listed and not _PATTERN.fullmatch(path)):
            self.draft.note(f"{setting.key}={setting.value} is not translated", setting.line)
            return
        negated = "! " if value.startswith("!") else ""
        words = negated + (listed.format(path) if listed else f"test {test} {shlex.quote(path)}")
        ending = "exit 0" if setting.key.startswith("Condition") else "exit 1"
        self.conditions.append(_UnitStep(None, f"{{ {words} || {ending}; }}", splits=False))

    def _io(self, unit: _Unit) -> None:
        """Put ``ionice``: the class, and its priority where it has one."""
        scheduling, priority = unit.last("IOSchedulingClass"), unit.last("IOSchedulingPriority")
        wanted = _IO_CLASSES.get(scheduling.value if scheduling is not None else "best-effort", "")
        if wanted == "idle":
            self.draft.put("run", "ionice", "idle")
        elif wanted and (scheduling is not None or priority is not None):
            level = priority.value if priority is not None else "4"
            self.draft.put("run", "ionice", f"{wanted}:{level}")
        elif scheduling is not None and scheduling.value not in ("none", "0"):
            self.draft.note(f"IOSchedulingClass={scheduling.value} is not translated", scheduling.line)

    def _restart(self, unit: _Unit) -> None:
        """Put ``retry`` for a service that is restarted when it fails."""
        restart, pause = unit.last("Restart"), self._span(unit.last("RestartSec"))
        burst = unit.last("StartLimitBurst")
        if restart is None or restart.value in ("no", "on-success"):
            return
        if restart.value not in ("on-failure", "on-abnormal", "on-abort", "on-watchdog"):
            self.draft.note(f"Restart={restart.value} is not translated: a job runs at its times", restart.line)
            return
        attempts = int(burst.value) if burst is not None and is_number(burst.value) else 5
        delay = duration(pause) if pause is not None else "100ms"
        if attempts > 1:
            self.draft.put("run", "retry", {"attempts": attempts, "delay": delay}, f"Restart={restart.value}")

    def _steps(self, setting: Setting, variables: Mapping[str, str]) -> list["_UnitStep"]:
        try:
            return [self._step(setting, words, variables) for words in commands(setting.value)]
        except ValueError as error:
            self._refuse(setting, str(error))
            return []

    def _step(self, setting: Setting, line: list[str], variables: Mapping[str, str]) -> "_UnitStep":
        first, *words = (self._expand(setting, word) for word in line)
        program = first.lstrip("-@:+!|")
        prefix = first.removesuffix(program)
        if not program:
            raise ValueError("it names no program")
        words.insert(0, program)
        if "@" in prefix and len(words) > 1:
            del words[1]
            self.draft.note(f"{setting.key}: the @ prefix (another argv[0]) is left out", setting.line)
        if "+" in prefix or "!" in prefix:
            self.draft.note(f"{setting.key}: the {prefix} prefix (full privileges) is left out", setting.line)
        if "|" in prefix:
            self.draft.note(f"{setting.key}: the | prefix (the user's shell) is left out", setting.line)
        argv: list[str] | None = []
        shell: list[str] = []
        splits = False
        for word in words:
            plain = [word] if ":" in prefix else self._plain(setting, word, variables)
            if plain is not None:
                shell += map(shlex.quote, plain)
            elif split_variable(word):
                shell.append(word)
                splits = True
            else:
                shell.append(for_shell(word))
            argv = None if argv is None or plain is None else [*argv, *plain]
        script = " ".join(shell)
        if "-" in prefix:
            return _UnitStep(None, f"{{ {script} || true; }}", splits)
        if setting.key == "ExecCondition":  # it leaves the rest out, which is not a failure
            return _UnitStep(None, f"{{ {script} || exit 0; }}", splits)
        return _UnitStep(None if argv is None else tuple(argv), script, splits)

    def _plain(self, setting: Setting, word: str, variables: Mapping[str, str]) -> list[str] | None:
        """Return what a word becomes where that is known now; None where only the run's environment can tell."""
        name = split_variable(word)
        names = inner_variables(word) if name is None else [name]
        for unset in names:
            if not is_name(unset):
                why = "is not a variable to systemd, which puts nothing in its place; nor does the job"
                self.draft.note(f"{setting.key}: {unset!r} in {word} {why}", setting.line)
        if name is None:
            return None if names else [without_variables(word)]
        if not is_name(name):
            return []
        if name not in variables:
            why = "here its value is split at blanks; systemd takes quotes and backslashes in it off as well"
            self.draft.note(f"{setting.key}: {word}: {why}", setting.line)
        elif re.search(r"['\"\\]", variables[name]):
            return split_value(variables[name])
        return None

    def _expand(self, setting: Setting, text: str) -> str:
        """Replace systemd's specifiers where their value follows from the service's name; name the others."""
        expanded, unknown = _expand(text, self.specifiers)
        for letter in unknown:
            self.draft.note(
                f"{setting.key}: the specifier %{letter} is not known here, and kept as it is", setting.line
            )
            self.draft.put("", "enabled", value=False, comment="a part of it could not be translated")
        return expanded

    def _folder(self, setting: Setting | None, user: str | None) -> None:
        default = self.home(None) if self.is_user else None
        folder = default or "/" if setting is None else self._expand(setting, setting.value).removeprefix("-")
        if folder == "~":
            home = self.home(user or (None if self.is_user else "root"))
            if home is None:
                self.draft.note("WorkingDirectory=~: the home folder is not known here: set cwd")
                return
            folder = home
        elif setting is not None and setting.value.startswith("-"):
            self.draft.note("WorkingDirectory=-: here the folder must exist", setting.line)
        self.draft.put("run", "cwd", folder, "" if setting else "where systemd starts a service")

    def _variables(self, unit: _Unit) -> dict[str, str]:
        variables: dict[str, str] = {}
        for setting in unit.take("Environment"):
            try:
                words = split(setting.value)
            except ValueError as error:
                self._refuse(setting, str(error))
                continue
            for word in words:
                name, equals, value = self._expand(setting, word).partition("=")
                if equals:
                    variables[name] = value
                else:
                    self.draft.note(f"Environment: {word!r} is not NAME=value", setting.line)
        return variables

    def _environment(self, unit: _Unit, variables: Mapping[str, str]) -> None:
        if variables:
            self.draft.put("run", "env", dict(variables))
        files = [self._env_file(setting) for setting in unit.take("EnvironmentFile")]
        if files:
            self.draft.put("run", "env_file", files[0] if len(files) == 1 else files)

    def _env_file(self, setting: Setting) -> object:
        """Return the file; one with a ``-`` before it need not exist."""
        name = self._expand(setting, setting.value)
        if re.search(r"[*?\[]", name):
            self.draft.note(
                f"EnvironmentFile={setting.value}: a pattern is not expanded here: name the files", setting.line
            )
        return {"file": name[1:], "optional": True} if name.startswith("-") else name

    def _resources(self, unit: _Unit) -> None:
        found: dict[str, object] = {}
        names = (("MemoryMax", "memory"), ("MemoryLimit", "memory"), ("LimitNOFILE", "open_files"),
                 ("LimitFSIZE", "file_size"), ("TasksMax", "processes"), ("LimitNPROC", "processes"))  # fmt: skip
        for name, key in names:
            setting = unit.last(name)
            if setting is None or setting.value == "infinity":
                continue
            value = setting.value.partition(":")[0]
            if key in ("memory", "file_size"):
                size = re.fullmatch(r"(\d{1,18})([KMGT]?)", value)
                found[key] = f"{size[1]}{size[2] + 'iB' if size[2] else 'B'}" if size else value
            elif is_number(value):
                found[key] = int(value)
            else:
                self.draft.note(f"{name}={setting.value} is not translated", setting.line)
        if found:
            self.draft.put("run", "resources", found)

    def _rest(self, unit: _Unit) -> None:
        """Name what was not taken so far and means something."""
        for key, settings in unit.by_key.items():
            for setting in settings:
                if key not in _SILENT or re.match(r"(?:file|append|truncate):", setting.value):
                    self.draft.note(f"{key}={setting.value} is not translated", setting.line)


class _UnitStep(Struct, frozen=True):
    argv: tuple[str, ...] | None
    shell: str
    splits: bool  # whether the shell is to split a variable up


def _in_zone(trigger: OnCalendarTrigger, zone: str) -> OnCalendarTrigger:
    """Return the trigger with a zone of its own. Raises ValueError unless it is a table: nothing else can have one."""
    if trigger.key == "daily":
        return OnCalendarTrigger(key="weekly", value={"days": list(DAYS), "at": trigger.value, "timezone": zone})
    if isinstance(trigger.value, dict) and not trigger.limits:
        return OnCalendarTrigger(key=trigger.key, value={**trigger.value, "timezone": zone})
    raise ValueError("its time zone differs from that of the expressions above")


def _int(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else text


def _unless_set(variable: tuple[str, str]) -> _UnitStep:
    """Return the shell's words that set a variable where no file has set it."""
    name, value = variable
    return _UnitStep(None, f'{{ [ -n "${{{name}+x}}" ] || export {name}={shlex.quote(value)}; }}', splits=False)


def machine_specifiers(home: Home, *, is_user: bool) -> dict[str, str]:
    """Return the specifiers that name folders (systemd.unit(5)); those of a user's manager lie below the home."""
    folder = home(None if is_user else "root") or ("" if is_user else "/root")
    common = {"T": "/tmp", "V": "/var/tmp"}  # noqa: S108 - what systemd puts in their place
    if not is_user:
        return {
            **common, "h": folder, "u": "root", "U": "0", "s": "/bin/sh",
            "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc",
        }  # fmt: skip
    if not folder:
        return common
    return {
        **common, "h": folder, "S": f"{folder}/.local/state", "C": f"{folder}/.cache", "E": f"{folder}/.config",
        "L": f"{folder}/.local/state/log",
    }  # fmt: skip


def read_timer(  # noqa: PLR0913 - two files, each with its name, and what the machine knows
    timer: str,
    service: str | None,
    *,
    name: str,
    timer_file: str,
    service_file: str,
    zone: str,
    home: Home,
    is_user: bool = False,
    has_timer: Callable[[str], bool] = lambda _: False,
) -> Import:
    """Translate a timer and its service; ``name`` is the timer's without ``.timer``.

    The texts may be several files joined, drop-ins last, decoded with ``surrogateescape``. Notes name ``timer_file`` or
    ``service_file``. ``is_user``: they are units of a user's manager; ``has_timer`` answers whether another service has
    a timer of its own.
    The job that is returned is one that akjob takes; what could not be translated is a comment in it, and a note.
    """
    draft = Draft(timer_file, 1)
    draft.head = [f"Imported from {timer_file} and {service_file}"]
    job = slug(name.replace("@", "-"))
    if name.endswith("@"):
        return Import(
            (), (ImportNote(timer_file, 1, f"it is a template: name an instance of it, such as {name}NAME.timer"),)
        )
    if service is None:
        return Import(
            (), (ImportNote(timer_file, 1, f"its service {service_file} was not found: put it next to the timer"),)
        )
    settings = [parse_unit(timer), parse_unit(service)]
    for i, file in enumerate((timer_file, service_file)):
        draft.notes += [
            ImportNote(file, s.line, f"{s.key}={s.value} is left out: systemd passes over a line that is not UTF-8")
            for s in settings[i]
            if not is_utf8(s.value)
        ]
        settings[i] = tuple(s for s in settings[i] if is_utf8(s.value))
    unit = service_of(settings[0], name)
    for of, known in ((settings[1], specifiers(unit)), (settings[0], specifiers(f"{name}.timer"))):
        described = _Unit(of, ("Unit",)).last("Description")
        if described is not None:
            draft.put("", "description", _expand(described.value, known)[0])
            break
    translation = _TimerTranslation(draft, service=unit, zone=zone, home=home, is_user=is_user)
    translation.timer(_Unit(settings[0], ("Timer",)))
    for draft.file, unit_settings in zip((timer_file, service_file), settings, strict=True):
        _relations(translation, [s for s in unit_settings if s.section == "Unit"], has_timer)
    draft.file = service_file
    # StartLimit… is in [Unit]
    limits = [Setting("Service", s.key, s.value, s.line) for s in settings[1] if s.key.startswith("StartLimit")]
    translation.service(_Unit([*settings[1], *limits], ("Service",)))
    draft.line, draft.file = 1, timer_file
    return finish_all([(job, draft)])


_REQUIRING = ("Wants", "Requires", "Requisite", "BindsTo", "Upholds")
_NAMED_ALWAYS = ("Conflicts", "RequiresMountsFor", "WantsMountsFor", "JoinsNamespaceOf", "OnFailure", "OnSuccess")


def _relations(translation: _TimerTranslation, settings: Sequence[Setting], has_timer: Callable[[str], bool]) -> None:
    """Take over what [Unit] says of other units and of files, or name it."""
    for setting in settings:
        if setting.key.startswith(("Condition", "Assert")):
            translation.condition(setting)
        elif setting.key in _REQUIRING:
            for unit in setting.value.split():
                stem, _, kind = unit.rpartition(".")
                if kind == "service" and not has_timer(stem):
                    why = "nothing here starts that service with the job"
                    translation.draft.note(f"{setting.key}={unit} is not translated: {why}", setting.line)
                elif kind in ("mount", "socket", "path", "device"):
                    translation.draft.note(f"{setting.key}={unit} is not translated", setting.line)
        elif setting.key in _NAMED_ALWAYS and setting.value != "shutdown.target":
            translation.draft.note(f"{setting.key}={setting.value} is not translated", setting.line)
