"""A crontab into job files. The rules are those of Debian's cron and of cronie (crontab(5) of both).

What akjob does otherwise is written into each file, so that a job behaves as it did under cron: no timeout, runs
may overlap, nothing is caught up, umask 022, the command starts in the home folder, in the machine's time zone.
"""

import hashlib
import itertools
import re
import shlex
from collections.abc import Callable, Mapping
from datetime import MAXYEAR, MINYEAR, date

from msgspec import Struct

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
from akjob.instants import SECOND
from akjob.schedule.cron import check_cron
from akjob.units import parse_duration

# user name -> home folder, or None when it is not known here; None asks for the crontab's owner
Home = Callable[[str | None], str | None]

_ENV = re.compile(r"""\s*("[^"]*"|'[^']*'|[^\s=#][^\s=]*)\s*=\s*(.*)""")
_FIELD = r"[\d*~][\d*,/~A-Za-z-]*|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\S*"
_ENTRY = re.compile(r"\s*(?P<quiet>-?)(?P<when>@\w+|\S+(?:\s+\S+){4})\s+(?P<rest>\S.*)")
_NAMES_OF_TIMES = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)"
_VALUE = rf"(?:\*|\d+|{_NAMES_OF_TIMES})(?:-(?:\d+|{_NAMES_OF_TIMES}))?(?:/\d+)?"
_STRICT = re.compile(rf"{_VALUE}(?:,{_VALUE})*")
_YEAR = re.compile(r"\*|(?:19|20)\d\d(?:[-,](?:19|20)\d\d)*")
_DISABLED = re.compile(rf"\s*-?(?:@[a-z]+|(?:{_FIELD})(?:\s+(?:{_FIELD})){{4}})\s+\S.*")
_HEADING = re.compile(
    r"(?:[|.'`+\s*-]+|[|.*\s-]*(?:minute|hour|day of (?:the )?(?:month|week)|month|weekday|year)\b.*\(.*\).*|"
    r"[#\s]*(?:m|min|minute|mm)\s+(?:h|hour|hh)\s+(?:dom|day|dd|mday|d)\b.*|\*(?:\s+\*){4}.*command.*)",
    re.IGNORECASE,
)
_INPUT = re.compile(r"((?:\\.|[^\\%])*\\?)(?:%(.*))?", re.DOTALL)  # the command, and what is behind its first bare %
_ONE_WITH_STEP = re.compile(r"(?<![^,])0*(\w+)-0*\1/0*[1-9]\d*(?![^,])", re.IGNORECASE)
# what Debian's packages begin with, so that not all machines come at once
_WAITS = re.compile(r"\b(?:perl|python3?)\s+-[ce]\s+(?:'[^']*\bsleep\b[^']*'|\"[^\"]*\bsleep\b[^\"]*\")")
_RANDOM = re.compile(r"(\d{0,9})~(\d{0,9})(.*)")

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_FIELD_COUNT = 5
_SUNDAY = 7
_ALIASES = {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
_MAIL = {"MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"}
_DESCRIPTION_MAX = 200
_WITH_YEAR = 6
_PATH = "/usr/bin:/bin"
"""What cron's commands have where the crontab sets no PATH."""


class _Environment(Struct):
    """What the lines above an entry have set."""

    variables: dict[str, str]
    zone: str
    random_delay: str = ""
    mail: dict[str, str] = {}


class _CrontabReader:
    """Walks through the lines once. An environment line holds for the entries below it, a comment for the next one."""

    def __init__(self, file: str, *, system: bool, owner: str | None, zone: str, home: Home) -> None:
        self.file = file
        self.system = system
        self.owner = owner
        self.home = home
        self.environment = _Environment({}, zone)
        self.comments: list[str] = []
        self.kept: list[str] = []
        self.drafts: list[tuple[str, str, Draft]] = []
        self.notes: list[ImportNote] = []
        self.seconds_first = False
        self.broken_off = False
        self.budget = Budget()

    def line(self, number: int, line: str) -> None:
        """Take one line in."""
        text = line.strip()
        broken_off, self.broken_off = self.broken_off, text.endswith("\\") and not text.startswith("#")
        if not text:
            self.kept += self.comments
            self.comments = []
        elif broken_off:
            self._keep(number, text, "cron takes this for a line of its own, not for the rest of the one above")
        elif text.startswith("#"):
            self._comment(number, escaped(text))
        elif not is_utf8(line):
            self._keep(number, text, "its bytes are not UTF-8, which a job file must be")
        elif match := _ENV.fullmatch(line):
            self._variable(number, _unquote(match[1]), _unquote(match[2].strip()))
        elif match := _ENTRY.fullmatch(line):
            self._entry(number, line, match)
        else:
            self._keep(number, text, "this line is neither a variable nor an entry")

    def _keep(self, number: int, text: str, why: str) -> None:
        self.notes.append(ImportNote(self.file, number, f"{why}; it is kept as a comment: {text}"))
        self.kept += [*self.comments, f"line {number}, not translated: {text}"]
        self.comments = []

    def _comment(self, number: int, text: str) -> None:
        inner = text.lstrip("#").strip()
        if _DISABLED.fullmatch(inner):
            self.kept += self.comments  # they are about this entry, not about the next one
            self.comments = []
            self.notes.append(ImportNote(self.file, number, f"a disabled entry is kept as a comment: {inner}"))
            self.kept.append(f"line {number}, disabled: {inner}")
        elif _HEADING.fullmatch(inner):
            self.kept += [*self.comments, inner]
            self.comments = []
        elif inner:
            self.comments.append(inner)

    def _variable(self, number: int, name: str, value: str) -> None:
        self.kept += self.comments
        self.comments = []
        if name == "CRON_TZ":
            self.environment.zone = value
        elif name == "RANDOM_DELAY":
            self.environment.random_delay = value
        elif name in _MAIL:
            self.environment.mail[name] = value
            why = "[notify] says who gets a message about failures; the output is in `akjob logs`"
            self.notes.append(ImportNote(self.file, number, f"{name}={value} is kept as a comment: {why}"))
        elif name in ("LOGNAME", "USER"):
            self._keep(number, f"{name}={value}", "cron does not let a crontab set that variable")
        else:
            self.environment.variables[name] = value
            if name == "TZ":
                zone = self.environment.zone
                why = f"TZ is the command's environment only, as under cron; the schedule stays in {zone}"
                self.notes.append(ImportNote(self.file, number, why))

    def _entry(self, number: int, line: str, match: re.Match[str]) -> None:
        when, rest = match["when"], match["rest"].rstrip("\n")
        more = [] if when.startswith("@") else _more_fields(rest)
        if more and self.system:
            self._keep(number, line.strip(), "cron takes no sixth field for the time in a system's crontab")
            return
        for _ in more:
            rest = _first_word(rest)[2]
        if when.lower() == "@every":  # robfig/cron's, and that of what is built on it
            span, _, rest = _first_word(rest)
            when = f"@every {span}"
        user, command = self.owner, rest
        if self.system:
            user, _, command = _first_word(rest)
            command = command.strip()
        if not command or command.startswith("*"):
            why = "a system crontab's entry needs a user and a command" if self.system else "it has no command"
            self._keep(number, line.strip(), why)
            return
        self.budget.spend(len(line) + sum(map(len, self.environment.variables.values())))
        draft = self._draft(number, line, command)
        seed = f"{name_of(command)} {line.strip()}"
        self._put_schedule(draft, when, seed)
        if more:
            self._put_more(draft, when.split(), more)
        self._note_habits(draft, command, match["quiet"])
        self._put_run(draft, user)
        self.drafts.append((name_of(command), line.strip(), draft))

    def _draft(self, number: int, line: str, command: str) -> Draft:
        """Begin the file of an entry, with what is above it."""
        draft = Draft(self.file, number)
        draft.head = [f"Imported from {self.file}:", f"  {line.strip()}", *self.comments, *self.kept]
        description = " ".join(self.comments)
        if description and len(description) <= _DESCRIPTION_MAX:
            draft.put("", "description", description)
        self.comments, self.kept = [], []
        _put_command(draft, command, self.environment.variables.get("SHELL", "/bin/sh"))
        return draft

    def _note_habits(self, draft: Draft, command: str, quiet: str) -> None:
        """Note what is easily overlooked in the command."""
        if self.broken_off:
            draft.note("cron has no continued lines: it runs this half; write the whole command")
            draft.put("", "enabled", value=False, comment="the command is broken off")
        if _INPUT.fullmatch(command)[2] is not None:  # type: ignore[index] # any text matches
            draft.note("a bare % ends the command, and what follows is its input, as under cron: was \\% meant?")
        if _leaves_something(command):
            draft.note("akjob ends what a command leaves behind in the background: let the job itself wait for it")
        if quiet:
            draft.note("the leading - (no syslog line) has no counterpart: the log has every run")

    def _put_more(self, draft: Draft, fields: list[str], more: list[str]) -> None:
        """Set the time of an entry with six or seven fields: seconds first or a year last, as supercronic has them."""
        whole = [*fields, *more]
        if len(whole) == _WITH_YEAR and not self.seconds_first:
            draft.note("the sixth field is taken for the year, as supercronic has it; seconds first need seven fields")
            draft.put("schedule", "cron", " ".join(whole[:_FIELD_COUNT]))
        else:
            draft.put("schedule", "cron", " ".join(whole[:_WITH_YEAR]))
        year = "*" if self.seconds_first and len(whole) == _WITH_YEAR else whole[-1]
        if year == "*":
            return
        first, _, last = year.partition("-")
        if all(is_number(one) and MINYEAR <= int(one) <= MAXYEAR for one in (first, last or first)):
            limit = {"first": date(int(first), 1, 1), "last": date(int(last or first), 12, 31)}
            draft.put("limits", "dates", limit)
        else:
            draft.note(f"the years {year} are not translated")
            draft.put("", "enabled", value=False, comment="its years could not be translated")

    def _put_schedule(self, draft: Draft, when: str, seed: str) -> None:
        draft.put("schedule", "timezone", self.environment.zone)
        word = when.lower()
        if word == "@reboot":
            draft.put("schedule", "on_boot", value=True)
        elif word in _ALIASES:
            draft.put("schedule", "cron", word)
        elif word == "@every_minute":
            draft.put("schedule", "cron", "* * * * *")
        elif word == "@every_second":
            draft.put("schedule", "every", "1s")
        elif word.startswith("@every ") and _is_duration(word.removeprefix("@every ")):
            draft.put("schedule", "every", word.removeprefix("@every "))
            draft.note("@every counts from the scheduler's start; every is a fixed grid")
        elif re.fullmatch(r"@[1-9]\d*", word):
            draft.put("schedule", "again_after", f"{word[1:]}s")
        else:
            draft.put("schedule", "cron", _fields(draft, when, seed))
        delay = self.environment.random_delay
        if is_number(delay) and int(delay):
            draft.put("schedule", "jitter", f"{int(delay)}m")
            draft.note(
                "RANDOM_DELAY has become jitter: a delay that stays the same for this job, not a new one each day"
            )
        elif delay and delay != "0":
            draft.note(f"RANDOM_DELAY={delay} is not a number of minutes and is left out")

    def _put_run(self, draft: Draft, user: str | None) -> None:
        draft.put("run", "timeout", "none", 'as under cron; a limit such as "1h" is better')
        draft.put("run", "overlap", "allow", 'as under cron; "skip" never runs it twice at a time')
        if not draft.has("schedule", "on_boot"):  # akjobd comes up after the boot, and must not be late for it
            draft.put("run", "missed", "skip", 'as under cron; "latest" catches up after a downtime')
        draft.put("run", "umask", "0022")
        name = user
        if user is not None:
            name, _, group = user.partition("/")[0].partition(":")
            draft.put("run", "user", name)
            if group:
                draft.put("run", "group", group)
        folder = self.environment.variables.get("HOME") or self.home(name)
        if folder:
            draft.put("run", "cwd", folder, "cron starts in the home folder")
        else:
            draft.note("cron starts in the home folder, which is not known here: set cwd")
        draft.put("run", "env", {"PATH": _PATH, **self.environment.variables})
        draft.head += [
            f"{key}={value}  ([notify] says who gets messages)" for key, value in self.environment.mail.items()
        ]


def read_crontab(  # noqa: PLR0913 - what a crontab does not say itself
    text: str,
    *,
    file: str,
    system: bool,
    zone: str,
    home: Home,
    owner: str | None = None,
    known: Mapping[str, str] | None = None,
    share: bool = False,
) -> Import:
    """Translate a crontab.

    ``text`` may be decoded with ``surrogateescape``; ``file`` names it in notes; ``system`` says that a user stands
    before each command (``/etc/crontab``, ``/etc/cron.d/*``), else ``owner`` is the user whose crontab it is, None for
    the one who runs akjobd; ``zone`` is the time zone of the machine whose cron it was; ``home`` looks up home folders.
    ``known`` has the names that lines got when the crontab was imported before; with ``share`` what all jobs have in
    common is a ``_defaults.toml``.
    Every job that is returned is one that akjob takes. What could not be translated is a comment in one of the files,
    and a note.
    """
    reader = _CrontabReader(file, system=system, owner=owner, zone=zone, home=home)
    reader.seconds_first = has_seconds_first(text)
    try:
        for number, line in enumerate(text.split("\n"), 1):
            reader.line(number, line.removesuffix("\r"))
    except TooMuchError as error:
        return Import((), (ImportNote(file, 1, str(error)),))
    if reader.drafts:
        reader.drafts[-1][2].tail += [*reader.kept, *reader.comments]
    names = distinct([(name, source) for name, source, _ in reader.drafts], known or {})
    drafts = [(name, draft) for name, (_, _, draft) in zip(names, reader.drafts, strict=True)]
    return finish_all(drafts, reader.notes, source=file, share=share)


def source_of(text: str) -> tuple[str, str]:
    """Return the crontab and the line that an imported job file names; empty strings for any other file."""
    match = re.match(r"(?:#:schema .*\n)?# Imported from (.*):\n#   (.*)\n", text)
    return (match[1], match[2]) if match else ("", "")


def _more_fields(rest: str) -> list[str]:
    """Return the sixth field, or the sixth and the seventh, where they are fields of the time and no command."""
    words = rest.split(None, 2)
    found = list(itertools.takewhile(_STRICT.fullmatch, words[:2]))
    return found if len(words) > len(found) else found[:-1]


def has_seconds_first(text: str) -> bool:
    """Return True if the six fields of a crontab can only be meant with the seconds first: 0 30 9 * * mon-fri."""
    for line in text.splitlines():
        match = _ENTRY.fullmatch(line)
        if match is None or line.lstrip().startswith("#") or match["when"].startswith("@"):
            continue
        more = _more_fields(match["rest"])
        fields = match["when"].split()
        if len(more) != 1 or not all(_STRICT.fullmatch(field) for field in fields):
            continue
        if not _YEAR.fullmatch(more[0]) or check_cron(" ".join(fields)) is not None:
            return check_cron(" ".join([*fields, *more])) is None
    return False


def has_entries(text: str) -> bool:
    """Return True if a line has the five fields of a time, or a word such as @daily, and a command."""
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") or _ENV.fullmatch(line) else _ENTRY.fullmatch(line)
        when = match["when"] if match else ""
        if when.lower() in _ALIASES or (when and all(_STRICT.fullmatch(field) for field in when.split())):
            return True
    return False


def is_anacrontab(text: str) -> bool:
    """Return True if the entries are anacron's: a period, a delay, a name, a command."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    entries = [line for line in lines if not _ENV.fullmatch(line)]
    matches = [_ANACRON.match(line) for line in entries]
    return bool(matches) and all(match and not _STRICT.fullmatch(match[1]) for match in matches)


_ANACRON = re.compile(r"\s*(?:\d+|@\w+)\s+\d+\s+(\S+)\s+\S")


def owner_of(path: str) -> str | None:
    """Return the user whose crontab a file of cron's spool is: Debian's, cronie's, SUSE's; None for any other file."""
    match = re.search(r"/var/spool/cron/(?:crontabs/|tabs/)?([^/]+)$", path)
    return None if match is None else match[1]


def is_system(path: str, text: str, users: frozenset[str], programs: frozenset[str] = frozenset()) -> bool:
    """Guess whether a user is before each command: by what the entries' first words are, else by the path.

    ``users`` are this machine's; ``programs`` those whose name is a program's as well (``mail``, ``man``): these alone
    prove nothing. A word that could be a user of another machine counts when a path follows it.
    """
    entries = [
        match["rest"].split()
        for line in text.splitlines()
        if not line.lstrip().startswith("#")
        and not _ENV.fullmatch(line)
        and (match := _ENTRY.fullmatch(line))
        and not (not match["when"].startswith("@") and _more_fields(match["rest"]))
    ]
    by_path = re.match(r"(?:/.*)?/etc/(?:crontab$|cron\.d/)", path) is not None
    in_cron_d = "/etc/cron.d/" in path
    if not entries:
        return by_path
    if any(len(words) < _USER_AND_COMMAND or not _USER.fullmatch(words[0]) for words in entries):
        return False
    known = users | _USUAL_USERS
    named = [words[0].partition(":")[0] for words in entries]
    if any(name in _COMMANDS and name not in users for name in named):
        return False
    sure = any(
        name == "root" or (name in known - programs and (words[1].startswith("/") or words[1] in _COMMANDS))
        for name, words in zip(named, entries, strict=True)
    )
    plausible = all(
        words[1].startswith("/")
        or (name in known and not words[1].startswith("-"))
        or (in_cron_d and words[1] in _COMMANDS)
        for name, words in zip(named, entries, strict=True)
    )
    return (sure or by_path) and plausible


_USER = re.compile(r"[A-Za-z_][\w.-]*\$?(?::[\w.-]+)?")
_USER_AND_COMMAND = 2
_USUAL_USERS = frozenset([
    "root", "daemon", "bin", "sys", "www-data", "nobody", "backup", "news", "uucp", "postgres", "mysql", "redis",
    "git", "gitlab-www", "munin", "amavis", "logcheck", "nagios", "zabbix", "prometheus", "apache", "nginx", "http",
    "jenkins", "list", "smmsp", "clamav", "debian-spamd", "vmail", "mail", "man",
])  # fmt: skip
_COMMANDS = frozenset([
    "cd", "test", "env", "echo", "sh", "bash", "python", "python3", "perl", "php", "ruby", "node", "curl", "wget",
    "find", "rm", "cp", "mv", "tar", "rsync", "nice", "ionice", "timeout", "flock", "sudo", "exec", "export",
    "source", "true", "if", "for", "while", "date", "touch", "run-parts", "certbot", "docker", "git", "make",
])  # fmt: skip


def _is_duration(text: str) -> bool:
    try:
        return parse_duration(text) >= SECOND
    except ValueError:
        return False


def _first_word(text: str) -> tuple[str, str, str]:
    parts = text.split(None, 1)
    return parts[0] if parts else "", " ", parts[1] if len(parts) > 1 else ""


def _unquote(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _put_command(draft: Draft, command: str, shell: str) -> None:
    r"""Set the command. The first bare ``%`` ends it; what follows is its input, each further ``%`` a newline.

    cron ends the input with a newline where it has none. In the command a backslash may itself be escaped (``\\%`` is a
    backslash and a bare ``%``), in the input it may not.
    """
    head, given = _INPUT.fullmatch(command).groups()  # type: ignore[union-attr] # any text matches
    head = re.sub(r"\\(.)", lambda match: "%" if match[1] == "%" else match[0], head)
    posix = shell in ("/bin/sh", "sh", "/usr/bin/sh")
    if given:
        text = re.sub(r"(?<!\\)%", "\n", given).replace("\\%", "%").removesuffix("\n")
        lines = " ".join(map(shlex.quote, text.split("\n")))
        inner = f"{{ {head.strip()}\n}}" if posix else f"{shlex.quote(shell)} -c {shlex.quote(head)}"
        draft.put("", "command", f"printf '%s\\n' {lines} | {inner}")
    elif posix:
        draft.put("", "command", head.strip())
    else:
        draft.put("", "command", [shell, "-c", head.strip()])


def _leaves_something(command: str) -> bool:
    """Return True if a command ends while a part of it runs on: it ends with a lone ``&``, or detaches itself."""
    try:
        words = list(shlex.shlex(_INPUT.fullmatch(command)[1], posix=True, punctuation_chars=True))  # type: ignore[index]
    except ValueError:
        return False
    return words[-1:] == ["&"] or "setsid" in words or "disown" in words


def _fields(draft: Draft, when: str, seed: str) -> str:
    """Return the five fields as akjob reads them.

    cronie's random values (``0~59``, ``~``) become fixed ones that follow from the line, which is said. ``1-1/4`` is 1
    for cron, where akjob would count up to the field's end.
    """
    fields = [_ONE_WITH_STEP.sub(r"\1", field) for field in when.split()]
    for i, field in enumerate(fields[:_FIELD_COUNT]):
        name, low, high = _FIELDS[i]
        span = high if high == _SUNDAY else high - low + 1
        if (far := re.fullmatch(r"\*/(\d{1,9})", field)) and int(far[1]) >= span:
            fields[i] = str(low)
            draft.note(f"{field} in the {name} leaves {low} alone, for cron too: was every {far[1]} meant?")
        elif "~" in field:
            parts = [_pick(part, low, high, f"{seed} {i} {k}") for k, part in enumerate(field.split(","))]
            fields[i] = ",".join(parts)
            draft.note(f"the random {name} {field} is now always {fields[i]}")
        elif re.search(r"(?:^|,)\d+/", field):
            draft.note(f"{field}: crons differ on a step after a single number; here it counts up to the field's end")
    return " ".join(fields)


def _pick(part: str, low: int, high: int, seed: str) -> str:
    match = _RANDOM.fullmatch(part)
    if match is None:
        return part
    first, last = int(match[1] or low), int(match[2] or high)
    if not low <= first <= last <= high or match[3]:
        return part  # cron would refuse it, and so will the parser
    digest = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    return str(first + digest % (last - first + 1))


_LEADERS = frozenset(
    ["cd", "test", "[", "[[", "command", "export", "umask", "ulimit", "sleep", "true", ":", ".", "source", "if", "!"]
)
_WRAPPERS = frozenset(
    [
        "sudo",
        "nice",
        "ionice",
        "env",
        "timeout",
        "flock",
        "exec",
        "chronic",
        "cronic",
        "time",
        "nohup",
        "setsid",
        "systemd-cat",
        "then",
        "do",
    ]
)
_INTERPRETER = re.compile(r"(?:python|pypy|perl|ruby|node|php|bash|dash|ksh|zsh|sh|java|Rscript|lua)[\d.]*")


def name_of(command: str) -> str:
    """Name a job after what its command runs: the script or program, and the arguments that tell it from others.

    The name follows from the command alone, so that it stays when other lines come and go.
    """
    plain = _INPUT.fullmatch(re.sub(r"\$\([^()]*\)|`[^`]*`", "", command))[1]  # type: ignore[index] # any text matches
    plain = _WAITS.sub("sleep", plain)
    for segment in re.split(r"&&|\|\||[;|\n()]", plain):
        try:
            words = shlex.split(segment, comments=False)
        except ValueError:
            words = segment.split()
        words = _without_redirections(words)
        while words and words[0].rpartition("/")[2] in _WRAPPERS:
            words = _unwrap(words)
        if words and words[0] not in _LEADERS:
            return slug("-".join(_telling(words)))
    return "job"


def _without_redirections(words: list[str]) -> list[str]:
    """Leave out assignments before the program, redirections with their files, and braces."""
    found: list[str] = []
    after_sign = False
    for word in words:
        sign = re.match(r"\d*(?:[<>]+|&>+)&?(.*)", word)
        if sign or after_sign:
            after_sign = sign is not None and not sign[1]
        elif word not in {"{", "}", "&"} and (found or not re.match(r"[A-Za-z_]\w*=", word)):
            found.append(word)
    return found


def _telling(words: list[str]) -> list[str]:
    """Return the program and the arguments that make up a name, short and without folders."""
    first = words[0].rpartition("/")[2]
    program = _program(words)
    if first in _SHELLS and "-c" in words[:-1]:
        return [name_of(words[words.index("-c") + 1])]
    if first == "su":
        inner = words.index("-c") + 1 if "-c" in words[:-1] else 0
        return [name_of(words[inner])] if inner else ["su", *words[1:3]]
    rest = words[1:]
    if _INTERPRETER.fullmatch(first):
        at = next((i for i, word in enumerate(rest) if _stem(word) == program or word == program), len(rest))
        rest = rest[at + 1 :]
    said = [_stem(word).strip("-") for word in rest if re.search(r"^[^-]*[A-Za-z0-9]|[A-Za-z0-9]{2}", word)]
    return [program, *[word for word in said if word][:_MOST_ARGUMENTS]]


_MOST_ARGUMENTS = 4
_SHELLS = frozenset(["sh", "bash", "dash", "ksh", "zsh"])


def _unwrap(words: list[str]) -> list[str]:
    wrapper, rest = words[0].rpartition("/")[2], words[1:]
    while rest and (rest[0].startswith("-") or re.fullmatch(r"[\d.]+[smhd]?|\w+=.*", rest[0])):
        takes_value = wrapper == "sudo" and rest[0] in {"-u", "-g", "--user", "--group"}
        rest = rest[2:] if takes_value else rest[1:]
    return rest[1:] if wrapper == "flock" and len(rest) > 1 else rest


def _program(words: list[str]) -> str:
    first = words[0].rpartition("/")[2]
    if not _INTERPRETER.fullmatch(first):
        return _stem(words[0])
    for i, word in enumerate(words[1:], 1):
        if word == "-m" and i + 1 < len(words):
            return words[i + 1]
        if word in ("-c", "-e"):
            return first
        if not word.startswith("-"):
            return _stem(word)
    return first


def _stem(path: str) -> str:
    name = path.rstrip("/").rpartition("/")[2]
    return re.sub(r"\.(?:sh|py|pl|rb|php|js|bash|jar)$", "", name) or name
