"""Fifty kinds of mistakes that people make: found, shown where they stand, with what fixes them.

``▸`` in a text marks where a person would point: it is taken out before the file is written. ``helps`` must be in what
is said. ``python -m tests.unit.test_fifty_mistakes`` prints the table.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec import Struct, field

from akjob.config import Paths
from akjob.errors import Problem
from akjob.instants import from_text
from akjob.spec.codes import CODES
from akjob.validate import validate

NOW_US = from_text("2026-03-01T00:00:00Z")
MARK = "▸"
JOB = "jobs.d/job.toml"
COMMAND = 'command = "true"\n'
DUE = COMMAND + "[schedule]\n"
ALLOWED = DUE + "daily = 09:30:00\n[limits]\n"
HOW = COMMAND + "[run]\n"
MODULE = "def send(to, *, dry_run=False):\n    print(to)\n\n\nclass Mailer:\n    def run(self):\n        print()\n"
HASH = "0" * 64


class Mistake(Struct, frozen=True):
    """One kind of mistake: in words, the files with one mark among them, and a piece of the help that is given."""

    what: str
    text: str
    helps: str
    others: Mapping[str, str] = field(default_factory=dict)
    severity: str = "error"

    @property
    def files(self) -> dict[str, str]:
        """All files, marks included."""
        return {"reports/mail.py": MODULE, "reports/__init__.py": "", **self.others, JOB: self.text}


MISTAKES = [
    # what is not TOML
    Mistake("a time without seconds", DUE + f"daily = {MARK}09:30\n", "write 09:30:00"),
    Mistake("a duration without quotes", DUE + f"every = {MARK}5m\n", 'write "5m"'),
    Mistake("a text without quotes", f"description = {MARK}Mail the report\n{COMMAND}", 'write "Mail the report"'),
    Mistake("a colon for an equals sign", f'command{MARK}: "date"\n', "write command = …"),
    Mistake("yes for true", f"{COMMAND}enabled = {MARK}yes\n", "write true"),
    Mistake("null", HOW + f"user = {MARK}null\n", "TOML has no null"),
    Mistake("a quote that is never closed", f'command = {MARK}"date\n[schedule]\nevery = "1h"\n', 'close it with "'),
    Mistake("a comma forgotten", f'command = ["date"{MARK} "-u"]\n', "write , between the values"),
    Mistake("a table twice", DUE + f'every = "1h"\n{MARK}[schedule]\njitter = "5s"\n', "join the two"),
    Mistake("a key twice", f'{COMMAND}{MARK}command = "date"\n', "keep one of them"),
    Mistake("a Windows path in double quotes", f'command = "C:{MARK}\\dir\\run"\n', "write \\\\ for a backslash"),
    Mistake("an inline table over lines", DUE + f"weekly = {{{MARK}\n  days = []\n}}\n", "write it in one line"),
    Mistake("a day that does not exist", DUE + f"at = {MARK}2026-02-30T09:30:00\n", "does not exist"),
    # keys
    Mistake("a key misspelt", HOW + f'{MARK}timout = "5m"\n', "did you mean `timeout`?"),
    Mistake("a table misspelt", f'{COMMAND}[{MARK}shedule]\nevery = "1h"\n', "did you mean `schedule`?"),
    Mistake("a misspelt key in the wrong table", f'{COMMAND}{MARK}evry = "5m"\n', "write every below [schedule]"),
    Mistake("a range of days", DUE + f'weekly = {{ days = [{MARK}"weekdays"], at = 09:30:00 }}\n', 'write "mon-fri"'),
    Mistake("Quartz's ? in a cron expression", DUE + f'cron = {MARK}"0 9 ? * mon"\n', "write * for Quartz's ?"),
    Mistake("a key in the wrong table", f'{COMMAND}{MARK}timeout = "5m"\n', "move it below [run]"),
    Mistake("another program's word", DUE + f'{MARK}interval = "5m"\n', "write every"),
    Mistake("a key in an inline table", DUE + f'weekly = {{ {MARK}day = ["mon"], at = 09:30:00 }}\n', "`days`?"),
    Mistake("a key that is needed", DUE + f'weekly = {MARK}{{ days = ["mon"] }}\n', "add at = …"),
    # what to run
    Mistake("nothing to run", f'{MARK}description = "x"\n', 'write callable = "package.module:name"'),
    Mistake("two things to run", f'callable = "reports.mail:send"\n{MARK}{COMMAND}', "keep one of them"),
    Mistake("arguments of a command", f'{COMMAND}{MARK}args = ["x"]\n', "write them into command"),
    Mistake(
        "a path for a callable", f'callable = {MARK}"reports/mail.py"\n', 'command = ["python", "reports/mail.py"]'
    ),
    Mistake("a module that is not there", f'callable = {MARK}"reports.male:send"\n', "did you mean reports.mail?"),
    Mistake("a function that is not there", f'callable = {MARK}"reports.mail:sent"\n', "did you mean send?"),
    Mistake(
        "an argument too few",
        f'callable = {MARK}"reports.mail:send"\n[schedule]\ndaily = 09:30:00\n',
        "send(to, *, dry_run=False)",
    ),
    Mistake(
        "a keyword argument misspelt",
        f'callable = "reports.mail:send"\nargs = ["x"]\nkwargs = {{ dry_rum = {MARK}true }}\n',
        "send(to, *, dry_run=False)",
    ),
    Mistake(
        "a setup that is not there",
        f'callable = "reports.mail:Mailer"\n[run]\nsetup = [{MARK}"reports.mial:x"]\n',
        "reports.mail?",
    ),
    Mistake(
        "a dill file that is not there",
        f'dill = {{ file = {MARK}"send.dill", sha256 = "{HASH}", python = "3.11" }}\n',
        "send.dill cannot be read",
    ),
    Mistake(
        "a dill file that is another",
        f'dill = {{ file = "x.dill", sha256 = {MARK}"{HASH}", python = "3.11" }}\n',
        "look into it with akjob inspect",
        {"jobs.d/x.dill": "N."},
    ),
    # when
    Mistake("a zone misspelt", DUE + f'timezone = {MARK}"Europe/Berln"\ndaily = 09:30:00\n', 'write "Europe/Berlin"'),
    Mistake("a zone's letters", DUE + f'timezone = {MARK}"PST"\ndaily = 09:30:00\n', "America/Los_Angeles"),
    Mistake("a day misspelt", DUE + f'weekly = {{ days = [{MARK}"thurs"], at = 09:30:00 }}\n', '"thursday"?'),
    Mistake("a time in quotes", DUE + f'daily = {MARK}"09:30"\n', "write 09:30:00, without quotes"),
    Mistake("a date for a date-time", DUE + f"at = {MARK}2027-01-31\n", "write 2027-01-31T00:00:00"),
    Mistake("a duration in words", DUE + f'every = {MARK}"5 minutes"\n', 'write "5m"'),
    Mistake("a bare number for a duration", DUE + f"every = {MARK}90\n", 'write "90s"'),
    Mistake("a cron field out of range", DUE + f'cron = {MARK}"61 9 * * *"\n', "0 to 59 are possible"),
    Mistake("a cron expression of four fields", DUE + f'cron = {MARK}"30 9 * *"\n', "5 fields"),
    Mistake("@reboot", DUE + f'cron = {MARK}"@reboot"\n', "write on_boot = true"),
    Mistake("both day fields of cron", DUE + f'cron = {MARK}"0 9 13 * fri"\n', "use [limits]", {}, "warning"),
    Mistake("a fraction of a second", DUE + f"daily = {MARK}09:30:00.5\n", "write 09:30:00"),
    Mistake("an empty list", DUE + f"daily = {MARK}[]\n", "fill it"),
    Mistake(
        "a schedule that never fires",
        f"{COMMAND}{MARK}[schedule]\nmonthly = {{ days = [31], at = 09:30:00 }}\n[limits]\nmonths = [2, 4]\n",
        "so that there is a time that all allow",
    ),
    Mistake(
        "a trigger that never fires",
        DUE + f'daily = 09:30:00\ncron = {MARK}"0 0 30 2 *"\n',
        "remove it",
        {},
        "warning",
    ),
    Mistake("a date gone by", DUE + f"at = {MARK}2001-01-01T00:00:00Z\n", "no longer needed", {}, "info"),
    # limits
    Mistake(
        "a window of no length", ALLOWED + f"hours = {{ from = 09:00:00, until = {MARK}09:00:00 }}\n", "remove hours"
    ),
    Mistake("a window without an end", ALLOWED + f"hours = {MARK}{{ from = 09:00:00 }}\n", "add until = …"),
    Mistake(
        "dates the wrong way round",
        ALLOWED + f"dates = {{ first = 2026-12-31, last = {MARK}2026-01-01 }}\n",
        "exchange the two",
    ),
    Mistake("day 0", ALLOWED + f"month_days = [{MARK}0]\n", "1 to 31, or -1 to -31"),
    Mistake("a month misspelt", ALLOWED + f'months = [{MARK}"janury"]\n', '"january"?'),
    # how
    Mistake("a choice misspelt", HOW + f'overlap = {MARK}"queu"\n', '"queue"?'),
    Mistake("a size of one letter", HOW + f'output_limit = {MARK}"100M"\n', 'write "100MiB"'),
    Mistake("a signal misspelt", HOW + f'stop_signal = {MARK}"SIGTREM"\n', '"TERM"?'),
    Mistake("a umask as a number", HOW + f"umask = {MARK}0027\n", "0027"),
    Mistake("retry as a number", HOW + f"retry = {MARK}3\n", "write { attempts = 4 }"),
    Mistake("a number in env", HOW + f"env = {{ PORT = {MARK}80 }}\n", 'write "80"'),
    Mistake("a folder that is not there", HOW + f'cwd = {MARK}"nowhere"\n', "mkdir nowhere"),
    Mistake("an env_file that is not there", HOW + f'env_file = {MARK}"etc/none.env"\n', "relative to the root"),
    Mistake("a user that is not there", HOW + f'user = {MARK}"nobdy"\n', "make it where the jobs run", {}, "warning"),
    Mistake("a secret that is not there", HOW + f'env = {{ A = {{ file = {MARK}"x/y" }} }}\n', "change run.env.A"),
    # elsewhere
    Mistake(
        "code to run in _defaults.toml",
        COMMAND,
        "move it into the job files",
        {"jobs.d/_defaults.toml": f'{MARK}command = "true"\n'},
    ),
    Mistake(
        "a mistake in _defaults.toml",
        COMMAND,
        'write "5m"',
        {"jobs.d/_defaults.toml": f'[run]\ntimeout = {MARK}"5 min"\n'},
    ),
    Mistake(
        "a mistake in etc/akjob.toml",
        COMMAND,
        "did you mean `timezone`?",
        {"etc/akjob.toml": f'{MARK}timezon = "UTC"\n'},
    ),
    Mistake("names that differ in case", f"{MARK}{COMMAND}", "rename one", {"jobs.d/Job.toml": COMMAND}, "warning"),
    Mistake("a name that is not allowed", COMMAND, "rename the file", {"jobs.d/a job.toml": f"{MARK}{COMMAND}"}),
    Mistake("a file that others may write to", f"{MARK}{COMMAND}", "chmod o-w jobs.d/job.toml", {}, "warning"),
    Mistake("an empty file", f"{MARK}", 'write callable = "package.module:name"'),
]


class Verdict(NamedTuple):
    """What became of a mistake."""

    mistake: Mistake
    problem: Problem | None
    position: bool
    help: bool

    @property
    def good(self) -> bool:
        """Whether all is as it should be."""
        return self.problem is not None and self.position and self.help


def judge(mistake: Mistake, folder: Path) -> Verdict:
    """Write the files of a mistake into an empty folder and look at what is said about them."""
    marked = ("", 1, 1)
    for name, text in mistake.files.items():
        before, mark, _ = text.partition(MARK)
        if mark:
            marked = (name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        file.write_text(text.replace(MARK, ""))
        file.chmod(0o646 if "others may write" in mistake.what else 0o644)
    problems = validate(Paths(folder), now_us=NOW_US)
    here = [problem for problem in problems if (problem.file, problem.line, problem.column) == marked]
    found = [problem for problem in here or problems if problem.severity == mistake.severity]
    if not found:
        return Verdict(mistake, None, position=False, help=False)
    said = f"{found[0].message}\n{found[0].hint}"
    return Verdict(mistake, found[0], position=bool(here), help=mistake.helps in said)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_a_mistake_is_found_placed_and_helped(mistake: Mistake, tmp_path: Path) -> None:
    """The problem is found, stands where a person would point, and says what fixes it."""
    problems = [str(problem) for problem in validate(Paths(tmp_path), now_us=NOW_US)]
    verdict = judge(mistake, tmp_path)
    assert verdict.good, (verdict.problem, verdict.problem and verdict.problem.hint, problems)
    assert verdict.problem is not None
    assert verdict.problem.code in CODES


def test_they_are_of_more_than_fifty_kinds() -> None:
    """No mistake stands twice, and there are more than fifty."""
    assert len({mistake.what for mistake in MISTAKES}) == len(MISTAKES) > 50
    assert all(sum(text.count(MARK) for text in mistake.files.values()) == 1 for mistake in MISTAKES)


def table() -> Iterator[str]:
    """Yield the lines of the table: mistake by (found, position right, hint given)."""
    verdicts = []
    for mistake in MISTAKES:
        with tempfile.TemporaryDirectory() as folder:
            verdicts.append(judge(mistake, Path(os.path.realpath(folder))))
    yield "| mistake | found | position right | hint given | code |"
    yield "|---|---|---|---|---|"
    for verdict in verdicts:
        marks = ("yes" if good else "NO" for good in (verdict.problem, verdict.position, verdict.help))
        code = f"`{verdict.problem.code}`" if verdict.problem else ""
        yield f"| {verdict.mistake.what} | {' | '.join(marks)} | {code} |"
    yield f"\n{sum(verdict.good for verdict in verdicts)} of {len(verdicts)} found, placed and helped"


if __name__ == "__main__":
    print("\n".join(table()))  # noqa: T201 - what it is for
