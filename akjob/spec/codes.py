"""All codes of Problems, of every part of akjob: stable names to search for, with what they mean and what to do.

``docs/reference/problems.md`` is this table as a page: ``make docs``.
"""

from typing import NamedTuple

from akjob.errors import Severity


class Code(NamedTuple):
    """One code: how bad it is (the worst, and when it is less), what it means, what to do."""

    severity: Severity
    summary: str
    advice: str
    milder: tuple[tuple[Severity, str], ...] = ()

    @property
    def severities(self) -> frozenset[Severity]:
        """All that it can have."""
        return frozenset({self.severity, *(severity for severity, _ in self.milder)})


_ELSEWHERE = "for `akjob validate`, which need not look at the files that akjobd will read"
_ABSOLUTE = "for an absolute path, which belongs to the machine that akjobd runs on"

_FILES = {
    "bad-name": Code(
        "error",
        "The file's path cannot be the name of a job.",
        "Each part of a name has letters, digits, `.`, `_` and `-`, and begins with a letter or a digit.",
    ),
    "byte-order-mark": Code(
        "error",
        "The file begins with a byte order mark, which TOML does not have.",
        "Save it as UTF-8 without BOM.",
    ),
    "case-twin": Code(
        "warning",
        "Two names differ only in case.",
        "On a file system that ignores case one of them would be lost. Rename one.",
    ),
    "emptied": Code(
        "warning",
        "All job files vanished at once.",
        "They are unscheduled after a second look some seconds later. If it was an accident, put them back.",
    ),
    "group-writable": Code(
        "warning",
        "A group may write this file or folder, so its members could say what runs.",
        "`chmod g-w` it, or set `group_writable = true` in `[trust]` of `etc/akjob.toml`.",
    ),
    "internal-error": Code(
        "error",
        "akjob itself failed on this file, whatever is in it.",
        "Report the line together with the file. The last good version of the job goes on, if there is one.",
    ),
    "leftover": Code(
        "warning",
        "A file is a copy that a merge or sync tool, or a file manager, left behind; it does not become a job. "
        "`x.orig.toml`, `x.bak.toml`, `x.old.toml` and the like count as copies only where `x.toml` lies beside them.",
        "Finish the merge and remove it. If it is a job, give it another name.",
    ),
    "link-loop": Code(
        "warning",
        "A symlink leads to a folder that it lies in; it is not followed.",
        "Remove it.",
    ),
    "lost-last-good": Code(
        "warning",
        "The stored last good definition of a broken job cannot be read any more.",
        "Nothing runs for this job until its file is repaired.",
    ),
    "no-jobs-folder": Code(
        "warning",
        "There is no `jobs.d`.",
        "Make it; it is found without a restart.",
    ),
    "not-a-file": Code(
        "error",
        "Something named `*.toml` is a pipe, a device, a socket or a folder; it is never opened.",
        "Remove it or give it another name.",
        (("warning", "when it is found in a folder, and ignored"),),
    ),
    "not-utf8": Code(
        "error",
        "The file is not UTF-8; the position is that of the first byte that is not.",
        "Save it as UTF-8.",
    ),
    "not-watched": Code(
        "warning",
        "The system does not tell of changes below this folder.",
        "Changes are still seen, at the next periodic look. `fs.inotify.max_user_watches` may be too small.",
    ),
    "too-large": Code(
        "error",
        "The file is larger than 1 MiB.",
        "Keep data in a file of its own and give its path to the job.",
    ),
    "toml-syntax": Code(
        "error",
        "The text is not TOML 1.0.",
        "The message shows the value; write `09:30:00` for `09:30`, and put strings in quotes.",
    ),
    "not-in-commit": Code(
        "warning",
        "A symlink leads out of the repository, or a submodule is not checked out: git does not tell what is there.",
        "`akjob diff` leaves out the jobs behind it; keep them in the repository, or check the submodule out.",
    ),
    "unreadable": Code(
        "error",
        "The file or folder cannot be read, or has gone between two looks.",
        "Check that it exists and that akjobd's user may read it.",
        (("warning", "for a folder, when akjobd looks: the jobs below stay as they are"),),
    ),
    "foreign-owner": Code(
        "error",
        "The file or folder belongs to a user who is not trusted to decide what runs.",
        "`chown` it, or name its owner in `owners` of `[trust]` in `etc/akjob.toml`.",
        (("warning", _ELSEWHERE),),
    ),
    "world-writable": Code(
        "error",
        "Everybody may write to this file or folder, so everybody could say what runs.",
        "`chmod o-w` it.",
        (("warning", _ELSEWHERE),),
    ),
}

_KEYS = {
    "args-of-command": Code(
        "error",
        "`args` or `kwargs` together with `command`, which would never see them.",
        "Write the arguments into `command`.",
    ),
    "missing-key": Code("error", "A table lacks a key that it needs.", "Add the key that the message names."),
    "no-code": Code(
        "error",
        "The file names nothing to run.",
        "Give one of `callable`, `dill` and `command`, above the first table.",
    ),
    "not-in-defaults": Code(
        "error",
        "`_defaults.toml` holds a key that each job must give itself: code, triggers, `limits.runs`.",
        "Move it into the job files.",
    ),
    "several-codes": Code(
        "error",
        "More than one of `callable`, `dill` and `command` is given.",
        "Keep one of them.",
    ),
    "two-kinds": Code(
        "error",
        "A channel has the keys of more than one kind: `smtp`, `webhook`, `command` and `apprise` exclude each other.",
        "Make two channels of it, or remove the key that the message names.",
    ),
    "unknown-channel": Code(
        "error",
        "A channel is named that `[channels]` in `etc/akjob.toml` does not have.",
        "Correct the name, or add `[channels.NAME]`.",
    ),
    "too-deep": Code(
        "error",
        "Tables and arrays are nested more than 64 deep.",
        "Keep data in a file of its own, and give the job its path.",
    ),
    "literal-variable": Code(
        "warning",
        "A value of `env`, or a word of a command's array, has a `$VARIABLE` in it, and nothing is expanded there.",
        "Write the value in full, or `command` as a string; folders for PATH belong into `path` of `[run]`.",
    ),
    "literal-word": Code(
        "warning",
        "A word of a command's array is an operator of the shell, such as `&&` or `>`: an argument like any other.",
        "Write `command` as a string: that is given to the shell.",
    ),
    "unknown-pool": Code(
        "error",
        "A pool is named that `[pools]` in `etc/akjob.toml` does not have.",
        "Correct the name, or add `NAME = 3` below `[pools]`.",
    ),
    "duplicate-instance": Code("error", "An instance is there more than once.", "Remove one."),
    "nested-instances": Code(
        "error", "An instance has instances of its own.", "Write them all below `[instances]`, with full names."
    ),
    "too-many-instances": Code(
        "error", "A file gives more than 1,000 jobs.", "Divide the instances among several files."
    ),
    "secret-in-file": Code(
        "warning",
        "A password is in a file that is kept in git.",
        "Put it into a file of its own, and write `{ file = … }`.",
    ),
    "unknown-key": Code(
        "error",
        "There is no such key here.",
        "The message names the nearest one, or the table that it belongs in. `akjob schema` makes editors know them.",
    ),
}

_VALUES = {
    "bad-callable": Code(
        "error",
        "The text does not name a callable.",
        'Write it as `"package.module:name"` or `"package.module.name"`.',
    ),
    "bad-cron": Code(
        "error",
        "The text is not a cron expression.",
        "Five fields (minute, hour, day, month, weekday), six with seconds first, or a short form such as `@daily`.",
    ),
    "bad-day": Code(
        "error",
        "There is no such day of the week or of a month.",
        '`"mon"` to `"sun"`, full names, `"mon-fri"`; 1 to 31, -1 to -31 from the end; `"first mon"`, `"last sun"`, '
        '`"last workday"`, `"workday 3"`.',
    ),
    "bad-dill": Code(
        "error",
        "A key of `dill` has an impossible value.",
        "The file is next to the TOML file; the hash has 64 hexadecimal digits; the version looks like `3.11`.",
    ),
    "bad-duration": Code(
        "error",
        "The text is not a duration.",
        'Whole numbers with w, d, h, m, s, ms, the largest first, each once, without spaces: `"1h30m"`; or `"PT90M"`.',
    ),
    "bad-env": Code(
        "error",
        "A variable of the environment has an impossible name or value.",
        "Names have letters, digits and `_`, no digit first.",
    ),
    "bad-month": Code("error", "There is no such month.", '1 to 12, `"jan"` to `"dec"`, or the full names.'),
    "bad-size": Code(
        "error",
        "The text is not a size.",
        'A whole number with B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024): `"512MiB"`.',
    ),
    "bad-value": Code("error", "The value is not one of those possible.", "The hint lists them."),
    "duplicate-value": Code("warning", "A value is in its array more than once.", "Remove it."),
    "empty-list": Code(
        "error",
        "An array is empty, which could mean never or always.",
        "Fill it, or remove the key.",
    ),
    "empty-text": Code("error", "A string is empty.", "Write something, or remove the key."),
    "equal-hours": Code(
        "error",
        "`from` and `until` of `hours` are equal, which could mean never or always.",
        "Take `hours` away for the whole day.",
    ),
    "kwargs-name": Code(
        "warning",
        "A key of `kwargs` is not a Python name, so that only a callable that takes `**kwargs` can be given it.",
        "Write the parameter's name, usually with `_` for `-`.",
    ),
    "out-of-range": Code("error", "A number, duration, size or date is too small or too large.", "See the message."),
    "reserved-env": Code(
        "error",
        "`env` sets a variable that akjob sets itself, or one of supervisord's.",
        "Remove it.",
        (("warning", "for one of supervisord's"),),
    ),
    "reversed-dates": Code("error", "`last` is before `first`.", "Exchange the two."),
    "sub-second": Code(
        "error", "A time has a fraction of a second.", "Slots are whole seconds; use `every` for grids."
    ),
    "unknown-zone": Code(
        "error",
        "There is no such time zone.",
        'An IANA name such as `"Europe/Berlin"`, or an offset such as `"+05:30"`.',
    ),
    "wrong-type": Code(
        "error",
        "The value is of another TOML type than the key's.",
        "Put durations and sizes in quotes, times and dates without.",
    ),
}

_SCHEDULES = {
    "bad-calendar": Code(
        "error",
        "A file of `[calendars]` cannot be understood. Only the jobs that name the calendar are affected.",
        "An iCalendar file, or a text file with one date a line, as in `2026-12-24`; `#` begins a comment.",
    ),
    "broken-calendar": Code(
        "error",
        "The job names a calendar that cannot be used.",
        "The message says why; correct `[calendars]` in `etc/akjob.toml`, or the file that it names.",
    ),
    "calendar-package": Code(
        "error",
        "Public holidays and iCalendar files need a package that is not installed.",
        "`pip install 'akjob[calendars]'` where akjobd runs.",
    ),
    "calendar-unreadable": Code(
        "error",
        "A file that `[calendars]` names cannot be read.",
        "Check that it exists below the root and that akjobd's user may read it. It is read again when it changes.",
    ),
    "cron-uneven": Code(
        "info",
        "A step in a cron expression does not divide its field, so the last distance is shorter than the others.",
        "For even distances write `every`. Otherwise nothing needs to be done.",
    ),
    "cron-both-days": Code(
        "warning",
        "A cron expression restricts day of month and day of week: either is enough, as Vixie's cron has it.",
        "For both at once, move one of them to `[limits]`.",
    ),
    "day-passed-over": Code(
        "info",
        "A month may lack a day of `monthly`; it is passed over there.",
        "For the last day of every month write `-1`. Otherwise nothing needs to be done.",
    ),
    "every-moves": Code(
        "info",
        "`every` is elapsed time: whole days or weeks do not keep their local time when the clock changes.",
        "For a local time write `daily`, `weekly` or `monthly`, with `every` and `from` for each second one.",
    ),
    "after-circle": Code(
        "error",
        "Jobs wait for each other's ends in a circle, so none of them is ever due.",
        "Give one of them another trigger. akjobd loads them all the same.",
    ),
    "after-unknown": Code(
        "error",
        "A job runs `after` one that does not exist.",
        "Write a job's name: its path below `jobs.d` without `.toml`. akjobd loads the job and waits for the other.",
    ),
    "expectation-failed": Code(
        "error",
        "The schedule does not do what `[[expect]]` says.",
        "The message has a slot that shows it. Change the schedule, or what is expected.",
    ),
    "expectation-in-part": Code(
        "info",
        "There are too many slots in ten years to compare them all.",
        "Nothing needs to be done: the message shows until when it holds.",
    ),
    "fires-in-gap-only": Code(
        "warning",
        "All times of a trigger lie outside of `limits.hours`, but for the night in which the clock goes forward.",
        "Change the times, or the hours.",
    ),
    "in-the-past": Code(
        "info",
        "An instant or the last allowed date has passed.",
        "Nothing needs to be done; remove it when it is no longer of use.",
    ),
    "never-fires": Code(
        "error",
        "The triggers and the limits together allow no time at all.",
        "Change one of them. A job that runs by hand only has no `[schedule]`.",
    ),
    "no-effect": Code("warning", "A key does nothing in this file.", "Remove it, or add what it needs."),
    "trigger-never-fires": Code(
        "warning",
        "One trigger among others can never fire.",
        "Remove it, or change it.",
    ),
    "unknown-calendar": Code(
        "error",
        "There is no such calendar.",
        "Add `[calendars.NAME]` to `etc/akjob.toml`, or correct the name.",
    ),
    "unknown-country": Code(
        "error",
        "The `holidays` package does not have this country or subdivision.",
        "Write its ISO 3166 code. Another calendar can be a file of dates.",
    ),
}

_CODE = {
    "arguments": Code(
        "error",
        "`args` and `kwargs` do not fit the signature of the callable.",
        "Change one or the other.",
    ),
    "callable-not-found": Code(
        "error",
        "The module or the name in it cannot be found; nothing is imported to find out.",
        "Modules are looked for in the root, `cwd`, `pythonpath` of `etc/akjob.toml`, then where Python looks.",
        (("info", "for a module, after a `setup` that may change where Python looks"),),
    ),
    "dill-broken": Code("error", "The dill file cannot be taken apart.", "Make it again with `akjob pack`."),
    "dill-changed": Code(
        "error",
        "The dill file is not the one whose hash the job file has.",
        "If the change was meant, write the new SHA-256.",
    ),
    "dill-dangerous": Code(
        "error",
        "Loading the dill file calls something that no job needs, such as starting a program.",
        "Do not run it unless you know why it does that; `akjob inspect` lists what is inside.",
    ),
    "dill-missing": Code("error", "The dill file cannot be read.", "Put it next to the job file."),
    "dill-unknown": Code(
        "info",
        "Loading the dill file calls something that is neither known to be harmless nor to be dangerous.",
        "`akjob inspect` lists what is inside.",
    ),
    "dill-python": Code(
        "error",
        "The dill file was written by another minor version of Python, whose code objects this one cannot run.",
        "Pack it again with this Python.",
    ),
    "dill-record": Code(
        "warning",
        "The record next to the dill file is missing, unreadable, or about another file.",
        "`akjob pack` writes both.",
        (("info", "where it is missing"),),
    ),
    "not-callable": Code(
        "error", "The name is there, but what it names cannot be called.", "Name a function or class."
    ),
}

_SURROUNDINGS = {
    "cwd-missing": Code(
        "error",
        "The folder of `cwd` does not exist here.",
        "Make it; a relative path is below the root.",
        (("warning", _ABSOLUTE),),
    ),
    "no-node": Code(
        "warning",
        "No node of the cluster that is up has the tags of `needs`, or is the one that `where` names.",
        "Correct the job, or `tags` in `[cluster]` of a node. Only looked for where the cluster's database answers.",
    ),
    "bad-interpreter": Code(
        "error",
        "The first line of the script names an interpreter that does not exist, or ends in a carriage return.",
        "Correct the line, or save the file with LF.",
        (("warning", "for a script or an interpreter that belongs to the machine"),),
    ),
    "not-executable": Code(
        "error", "The program has no `x` mode.", "`chmod +x` it, and commit the mode.", (("warning", _ABSOLUTE),)
    ),
    "program-missing": Code(
        "error",
        "The program of `command` does not exist.",
        "Correct the path, which is relative to the working folder, or install it where the jobs run.",
        (("warning", "for a name that is looked for in PATH, and for an absolute path"),),
    ),
    "shell-syntax": Code(
        "error", "`/bin/sh` cannot read the command: `sh -n` says why.", "Correct the quoting, or use an array."
    ),
    "env-file-missing": Code(
        "error",
        "The file of `env_file` does not exist here.",
        "Make it; a relative path is below the root.",
        (("warning", _ABSOLUTE),),
    ),
    "interpreter-missing": Code(
        "error",
        "The Python of `interpreter` does not exist here, or is not a program.",
        "Make the virtual environment; a relative path is below the root.",
        (("warning", _ABSOLUTE),),
    ),
    "path-missing": Code(
        "warning",
        "A folder of `pythonpath` in `etc/akjob.toml` does not exist.",
        "Make it, or remove it.",
    ),
    "secret-missing": Code(
        "error",
        "A file that holds a variable of `env`, or the secret of a channel, a ping or the heartbeat, does not exist.",
        "Make it, or correct its path; a relative path is below the root.",
        (("warning", _ABSOLUTE), ("warning", "for what a message or a ping needs")),
    ),
    "unknown-group": Code("warning", "This machine has no such group.", "Make it where akjobd runs."),
    "unknown-owner": Code(
        "warning",
        "This machine has no user of that name, so this entry of `[trust] owners` has no effect.",
        "Make the user where akjobd runs, or remove the name.",
    ),
    "unknown-user": Code("warning", "This machine has no such user.", "Make it where akjobd runs."),
}

CODES: dict[str, Code] = {**_FILES, **_KEYS, **_VALUES, **_SCHEDULES, **_CODE, **_SURROUNDINGS}

_CHAPTERS = {
    "Files and folders": _FILES,
    "Keys": _KEYS,
    "Values": _VALUES,
    "Schedules": _SCHEDULES,
    "Code": _CODE,
    "Surroundings": _SURROUNDINGS,
}


def page() -> str:
    """Return ``docs/reference/problems.md``."""
    introduction = (
        "# Problems\n\n"
        "Every problem that `akjob validate` and akjobd report has a code that stays the same:\n"
        "`file:line:column: severity[code] message`. An **error** makes a file unusable: the last good version of\n"
        "that job goes on; an error in what it names (its code, its folders) is for `akjob validate` to find, and\n"
        "makes the runs fail. A **warning** is taken; `akjob validate --strict` makes it fail. An **info** never\n"
        "fails.\n"
    )
    parts = [introduction]
    for title, entries in _CHAPTERS.items():
        parts.append(f"\n## {title}\n")
        for code in sorted(entries):
            entry = entries[code]
            kinds = [entry.severity.capitalize(), *(f"{severity} {when}" for severity, when in entry.milder)]
            parts.append(f"\n### {code}\n\n*{'; '.join(kinds)}.* {entry.summary} {entry.advice}\n")
    return "".join(parts)
