"""``docs/reference/problems.md`` tells how bad each problem is: held to what is really emitted."""

import ast
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from akjob.config import Config, Paths
from akjob.errors import Problem, Severity
from akjob.instants import from_text
from akjob.jobset.loader import Loader
from akjob.jobset.trust import Access, Who, problem_of
from akjob.spec.codes import CODES
from akjob.validate import validate
from tests.unit.spec.test_golden import FILES, problems_of
from tests.unit.test_fifty_mistakes import MISTAKES, judge

ROOT = Path(__file__).parents[2]
NOW_US = from_text("2026-03-01T00:00:00Z")

# Their severity is worked out, or depends on who looks: the last test emits each that there is.
WORKED_OUT = {
    "bad-interpreter", "cwd-missing", "dill-dangerous", "dill-unknown", "env-file-missing", "foreign-owner",
    "group-writable", "in-the-past", "interpreter-missing", "never-fires", "not-a-file", "not-executable",
    "program-missing",
    "secret-missing", "trigger-never-fires",
    "unreadable", "world-writable",
}  # fmt: skip


def written(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each code with its severity where both stand in the call that makes a problem."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        code, severity = given.get("code"), given.get("severity", ast.Constant("error"))
        if name in {"bad", "_warn"} and len(node.args) > 1:
            code = node.args[1]
            severity = ast.Constant("warning") if name == "_warn" else severity
        elif name == "Finding":
            severity, code = node.args[1:3]
        if isinstance(code, ast.Constant) and isinstance(severity, ast.Constant):
            yield str(code.value), str(severity.value)


def test_no_call_gives_another_severity() -> None:
    """What stands in the calls is what the page tells, all of it where nothing is worked out."""
    given: dict[str, set[str]] = {}
    for path in sorted((ROOT / "akjob").rglob("*.py")):
        for code, severity in written(ast.parse(path.read_text(encoding="utf-8"))):
            given.setdefault(code, set()).add(severity)
    assert {code: found for code, found in given.items() if not found <= CODES[code].severities} == {}
    fixed = given.keys() - WORKED_OUT
    assert {code: given[code] for code in fixed if given[code] != CODES[code].severities} == {}


def test_what_is_said_of_bad_files_is_what_the_page_tells(tmp_path: Path) -> None:
    """Of the golden files and of the fifty mistakes."""
    found = [problem for path in FILES for problem in problems_of(path)]
    for number, mistake in enumerate(MISTAKES):
        folder = tmp_path / str(number)
        judge(mistake, folder)
        found += validate(Paths(folder), now_us=NOW_US)
    assert {str(one) for one in found if one.severity not in CODES[one.code].severities} == set()


class Both:
    """A root that ``akjob validate`` and akjobd's loader look at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs_d = root / "jobs.d"
        self.jobs_d.mkdir(parents=True, mode=0o755)

    def job(self, name: str, text: str) -> Path:
        """Write a job file."""
        file = self.jobs_d / f"{name}.toml"
        file.parent.mkdir(exist_ok=True, mode=0o755)
        file.write_text(text)
        return file

    def problems(self) -> Iterator[Problem]:
        """Yield what both say."""
        yield from validate(Paths(self.root), now_us=NOW_US)
        change = Loader(Paths(self.root), Config(), grace_us=0).load(NOW_US)
        yield from change.problems
        for broken in change.broken:
            yield from broken.problems


def of_others() -> Iterator[Problem]:
    """Yield what is said of files that belong to, or can be written by, somebody else."""
    own, stranger = 4321, 54321
    for access in (Access(0o100644, stranger, own), Access(0o100664, own, stranger)):
        problem = problem_of("/", access, Who(frozenset({0, own})))
        assert problem is not None
        yield problem


def test_the_severities_that_are_worked_out(tmp_path: Path) -> None:
    """Each of them is emitted, by the look that gives it, and no other."""
    both = Both(tmp_path / "root")
    for number, path in enumerate(("nowhere", "/nowhere")):
        both.job(f"cwd{number}", f'command = "x"\n[run]\ncwd = "{path}"\n')
        both.job(f"file{number}", f'command = "x"\n[run]\nenv_file = "{path}"\nenv.A = {{ file = "{path}" }}\n')
        both.job(f"python{number}", f'callable = "json:loads"\n[run]\ninterpreter = "{path}"\n')
    both.job(
        "never", 'command = "x"\n[schedule]\nmonthly = { days = [31], at = 00:00:00 }\n[limits]\nmonths = ["feb"]\n'
    )
    both.job("past", 'command = "x"\n[schedule]\ndaily = 00:00:00\nat = 2020-01-01T00:00:00Z\n')
    both.job("one", 'command = "x"\n[schedule]\ndaily = 00:00:00\ncron = "0 0 30 2 *"\n')
    for name, text in (("evil", b"cos\nsystem\n(S'true'\ntR."), ("odd", b"cakjob_elsewhere\nthing\n(tR.")):
        (both.jobs_d / f"{name}.dill").write_bytes(text)
        digest = hashlib.sha256(text).hexdigest()
        both.job(name, f'dill = {{ file = "{name}.dill", sha256 = "{digest}", python = "3.11" }}\n')
    for number, folder in enumerate((both.root, tmp_path)):
        for name, line, mode in (("crlf", b"#!/bin/sh\r\n", 0o755), ("plain", b"", 0o644)):
            (folder / name).write_bytes(line)
            (folder / name).chmod(mode)
            place = f"./{name}" if folder == both.root else f"{folder}/{name}"
            both.job(f"{name}{number}", f'command = ["{place}"]\n')
        both.job(f"none{number}", f'command = ["{"./none" if folder == both.root else "/none/none"}"]\n')
    both.job("everybody", 'command = "x"\n').chmod(0o646)
    os.mkfifo(both.jobs_d / "pipe.toml")
    (both.jobs_d / "link.toml").symlink_to("nowhere")
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    (both.jobs_d / "loop").symlink_to("loop")
    emitted: dict[str, set[Severity]] = {code: set() for code in WORKED_OUT}
    for problem in (*both.problems(), *of_others(), *validate(None, [str(pipe)], now_us=NOW_US)):
        emitted.setdefault(problem.code, set()).add(problem.severity)
    emitted["foreign-owner"].add("warning")  # validate gives it the severity that it gives to `world-writable`
    assert {code: frozenset(emitted[code]) for code in WORKED_OUT} == {
        code: CODES[code].severities for code in WORKED_OUT
    }
