"""A crontab into job files. The rules are those of Debian's cron and of cronie (crontab(5) of both).

What akjob does otherwise is written into each file, so that a job behaves as it did under cron: no timeout, runs
may overlap, nothing is caught up, umask 022, the command starts in the home folder, in the machine's time zone.
"""

import hashlib
import re
import shlex
from collections.abc import Callable

from msgspec import Struct

from akjob.imports import Draft, Import, Imported, Names, Note, escaped, is_utf8, slug

# user name -> home folder, or None when it is not known here; None asks for the crontab's owner
Home = Callable[[str | None], str | None]

_ENV = re.compile(r"""\s*("[^"]*"|'[^']*'|[^\s=#][^\s=]*)\s*=\s*(.*)""")
_FIELD = r"[\d*~][\d*,/~A-Za-z-]*|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\S*"
_ENTRY = re.compile(r"\s*(?P<quiet>-?)(?P<when>@\w+|\S+(?:\s+\S+){4})\s+(?P<rest>\S.*)")
_DISABLED = re.compile(rf"\s*-?(?:@[a-z]+|(?:{_FIELD})(?:\s+(?:{_FIELD})){{4}})\s+\S.*")
_INPUT = re.compile(
    r"((?:\\.|[^\\%])*\\?)(?:%(.*))?", re.DOTALL
)  # the command, and what stands behind its first bare %
_ONE_WITH_STEP = re.compile(r"(?<![^,])0*(\w+)-0*\1/0*[1-9]\d*(?![^,])", re.IGNORECASE)
_RANDOM = re.compile(r"(\d*)~(\d*)(.*)")

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_FIELD_COUNT = 5
_ALIASES = {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
_MAIL = {"MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"}
_DESCRIPTION_MAX = 200


class _Environment(Struct):
    """What the lines above an entry have set."""

    variables: dict[str, str]
    zone: str
    random_delay: str = ""
    mail: dict[str, str] = {}


class _Reader:
    """Walks through the lines once. An environment line holds for the entries below it, a comment for the next one."""

    def __init__(self, file: str, *, system: bool, owner: str | None, zone: str, home: Home) -> None:
        self.file = file
        self.system = system
        self.owner = owner
        self.home = home
        self.environment = _Environment({}, zone)
        self.comments: list[str] = []
        self.kept: list[str] = []
        self.drafts: list[tuple[str, Draft]] = []
        self.notes: list[Note] = []

    def line(self, number: int, line: str) -> None:
        """Take one line in."""
        text = line.strip()
        if not text:
            self.kept += self.comments
            self.comments = []
        elif text.startswith("#"):
            self._comment(number, escaped(text))
        elif not is_utf8(line):
            self._keep(number, text, "its bytes are no UTF-8, which a job file must be")
        elif match := _ENV.fullmatch(line):
            self._variable(number, _unquote(match[1]), _unquote(match[2].strip()))
        elif match := _ENTRY.fullmatch(line):
            self._entry(number, line, match)
        else:
            self._keep(number, text, "this line is neither a variable nor an entry")

    def _keep(self, number: int, text: str, why: str) -> None:
        self.notes.append(Note(self.file, number, f"{why}; it is kept as a comment: {text}"))
        self.kept += [*self.comments, f"line {number}, not translated: {text}"]
        self.comments = []

    def _comment(self, number: int, text: str) -> None:
        inner = text.lstrip("#").strip()
        if _DISABLED.fullmatch(inner):
            self.notes.append(Note(self.file, number, f"a disabled entry is kept as a comment: {inner}"))
            self.kept.append(f"line {number}, disabled: {inner}")
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
            why = "akjob sends no mail; the output is in `akjob logs`"
            self.notes.append(Note(self.file, number, f"{name}={value} is kept as a comment: {why}"))
        elif name in ("LOGNAME", "USER"):
            self._keep(number, f"{name}={value}", "cron does not let a crontab set that variable")
        else:
            self.environment.variables[name] = value
            if name == "TZ":
                zone = self.environment.zone
                why = f"TZ is the command's environment only, as under cron; the schedule stays in {zone}"
                self.notes.append(Note(self.file, number, why))

    def _entry(self, number: int, line: str, match: re.Match[str]) -> None:
        user, command = self.owner, match["rest"].rstrip("\n")
        if self.system:
            user, _, command = match["rest"].partition(" ") if "\t" not in match["rest"] else _first_word(match["rest"])
            command = command.strip()
            if not command:
                self._keep(number, line.strip(), "a system crontab's entry needs a user and a command")
                return
        if match["rest"].startswith("*"):
            self._keep(
                number, line.strip(), "cron takes no sixth field for the time, and no command that begins with *"
            )
            return
        draft = Draft(self.file, number)
        draft.head = [f"Imported from {self.file}, line {number}:", f"  {line.strip()}", *self.comments, *self.kept]
        description = " ".join(self.comments)
        if description and len(description) <= _DESCRIPTION_MAX:
            draft.put("", "description", description)
        self.comments, self.kept = [], []
        shell = self.environment.variables.get("SHELL", "/bin/sh")
        _put_command(draft, command, shell)
        name = name_of(command)
        self._put_schedule(draft, match["when"], f"{name} {line.strip()}")
        if _leaves_something(command):
            draft.note("akjob ends what a command leaves behind in the background: let the job itself wait for it")
        if match["quiet"]:
            draft.note("the leading - (no syslog line) has no counterpart: the log has every run")
        self._put_run(draft, user)
        self.drafts.append((name, draft))

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
        elif re.fullmatch(r"@[1-9]\d*", word):
            draft.put("schedule", "again_after", f"{word[1:]}s")
        else:
            draft.put("schedule", "cron", _fields(draft, when, seed))
        delay = self.environment.random_delay
        if delay.isdigit() and int(delay):
            draft.put("schedule", "jitter", f"{int(delay)}m")
            draft.note(
                "RANDOM_DELAY has become jitter: a delay that stays the same for this job, not a new one each day"
            )
        elif delay and delay != "0":
            draft.note(f"RANDOM_DELAY={delay} is no number of minutes and is left out")

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
        if self.environment.variables:
            draft.put("run", "env", dict(self.environment.variables))
        draft.head += [f"{key}={value}  (akjob sends no mail)" for key, value in self.environment.mail.items()]


def read_crontab(  # noqa: PLR0913 - what a crontab does not say itself
    text: str, *, file: str, system: bool, zone: str, home: Home, owner: str | None = None
) -> Import:
    """Translate a crontab.

    ``text`` may be decoded with ``surrogateescape``; ``file`` names it in notes; ``system`` says that a user stands
    before each command (``/etc/crontab``, ``/etc/cron.d/*``), else ``owner`` is the user whose crontab it is, None for
    the one who runs akjobd; ``zone`` is the time zone of the machine whose cron it was; ``home`` looks up home folders.
    Every job that is returned is one that akjob takes. What could not be translated is a comment in one of the files,
    and a note.
    """
    reader = _Reader(file, system=system, owner=owner, zone=zone, home=home)
    for number, line in enumerate(text.split("\n"), 1):
        reader.line(number, line.removesuffix("\r"))
    if reader.drafts:
        reader.drafts[-1][1].tail += [*reader.kept, *reader.comments]
    names = Names()
    jobs: list[Imported] = []
    notes = list(reader.notes)
    for wanted, draft in reader.drafts:
        name = names.take(wanted)
        finished = draft.finish(name)
        notes += draft.notes
        if finished is not None:
            jobs.append(Imported(name, finished, draft.line))
    return Import(tuple(jobs), tuple(sorted(notes, key=lambda note: note.line)))


def owner_of(path: str) -> str | None:
    """Return the user whose crontab a file of cron's spool is: Debian's, cronie's, SUSE's; None for any other file."""
    match = re.search(r"/var/spool/cron/(?:crontabs/|tabs/)?([^/]+)$", path)
    return None if match is None else match[1]


def is_system(path: str, text: str, users: frozenset[str], programs: frozenset[str] = frozenset()) -> bool:
    """Guess whether a user stands before each command: by the path, else when all sixth words are users here.

    ``programs`` are the users whose name is a program's as well (``mail``, ``man``): these alone prove nothing.
    """
    if re.match(r"(?:/.*)?/etc/(?:crontab$|cron\.d/)", path):
        return True
    entries = [
        (words[0].partition(":")[0], len(words))
        for line in text.splitlines()
        if not line.lstrip().startswith("#")
        and not _ENV.fullmatch(line)
        and (match := _ENTRY.fullmatch(line))
        and (words := match["rest"].split())
    ]
    sure = any(name not in programs for name, _ in entries)
    return sure and all(count > 1 and name in users for name, count in entries)


def _first_word(text: str) -> tuple[str, str, str]:
    parts = text.split(None, 1)
    return parts[0], " ", parts[1] if len(parts) > 1 else ""


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
    """Tell whether a command ends while a part of it runs on: it ends with a lone ``&``, or detaches itself."""
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
        if "~" in field:
            name, low, high = _FIELDS[i]
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
    """Name a job after what its command runs: the script or program, without folder and ending."""
    for segment in re.split(r"&&|\|\||[;|\n()]", re.sub(r"\$\([^()]*\)|`[^`]*`", "", command)):
        try:
            words = shlex.split(segment, comments=False)
        except ValueError:
            words = segment.split()
        words = [word for word in words if not re.match(r"[A-Za-z_]\w*=|[<>&{}]|\d[<>]", word)]
        while words and words[0].rpartition("/")[2] in _WRAPPERS:
            words = _unwrap(words)
        if words and words[0] not in _LEADERS:
            return slug(_program(words))
    return "job"


def _unwrap(words: list[str]) -> list[str]:
    wrapper, rest = words[0].rpartition("/")[2], words[1:]
    while rest and (rest[0].startswith("-") or re.fullmatch(r"[\d.]+[smhd]?", rest[0])):
        rest = rest[1:]
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
