"""Everything that is wrong in a folder or a file, in one go: found, where it stands, and what to do."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from akjob.config import Paths
from akjob.errors import AkjobError, Problem
from akjob.jobset import scan
from akjob.spec.codes import CODES
from akjob.validate import parse_file, render_github, render_json, render_sarif, render_text, validate
from akjob.validate.split import parts_of

NOW_US = 1_800_000_000_000_000
GOOD = 'command = "true"\n'


class Root:
    """A root whose files are nobody else's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = Paths(folder)
        self.paths.jobs_d.mkdir(parents=True, mode=0o755)

    def write(self, path: str, text: str = GOOD) -> Path:
        """Write a file below the root."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def problems(self, *targets: str | Path) -> list[tuple[str, int, int, str, str]]:
        """Validate, and return file, line, column, severity and code of each problem."""
        found = validate(self.paths, targets, now_us=NOW_US)
        return [(one.file, one.line, one.column, one.severity, one.code) for one in found]


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return an empty root."""
    return Root(tmp_path / "root")


def test_nothing_wrong(root: Root) -> None:
    """A good folder has no problems."""
    root.write("jobs.d/a.toml")
    root.write("jobs.d/sub/b.toml")
    root.write("jobs.d/_defaults.toml", '[run]\ntimeout = "5m"\n')
    root.write("etc/akjob.toml", 'timezone = "Europe/Berlin"\n')
    assert root.problems() == []


def test_all_at_once(root: Root) -> None:
    """Problems of all files come at once, sorted by file and line."""
    root.write("jobs.d/b.toml", GOOD + "evry = 1\n[run]\ntimout = 1\n")
    root.write("jobs.d/a.toml", "command = \n")
    root.write("jobs.d/c.toml")
    assert root.problems() == [
        ("jobs.d/a.toml", 1, 11, "error", "toml-syntax"),
        ("jobs.d/b.toml", 2, 1, "error", "unknown-key"),
        ("jobs.d/b.toml", 4, 1, "error", "unknown-key"),
    ]


def test_defaults_are_shown_where_they_are(root: Root) -> None:
    """What is wrong in ``_defaults.toml`` is said once, there, however many jobs are below."""
    root.write("jobs.d/_defaults.toml", "[run]\ntimout = 1\n")
    root.write("jobs.d/a.toml")
    root.write("jobs.d/b.toml")
    assert root.problems() == [("jobs.d/_defaults.toml", 2, 1, "error", "unknown-key")]


def test_configuration(root: Root) -> None:
    """``etc/akjob.toml`` is validated too: its keys, its job defaults, the users and folders that it names."""
    root.write(
        "etc/akjob.toml",
        'pythonpath = ["lib"]\nmax_runing = 1\n[trust]\nowners = ["root", "no-such-user"]\n[run]\ntimout = 1\n',
    )
    root.write("jobs.d/a.toml")
    assert root.problems() == [
        ("etc/akjob.toml", 1, 15, "warning", "path-missing"),
        ("etc/akjob.toml", 2, 1, "error", "unknown-key"),
        ("etc/akjob.toml", 4, 19, "warning", "unknown-owner"),
        ("etc/akjob.toml", 6, 1, "error", "unknown-key"),
    ]


@pytest.mark.parametrize(
    ("key", "code", "severity"),
    [
        ('cwd = "nowhere"', "cwd-missing", "error"),
        ('cwd = "/nowhere"', "cwd-missing", "warning"),
        ('env_file = "etc/none.env"', "env-file-missing", "error"),
        ('interpreter = ".venv/bin/none"', "interpreter-missing", "error"),
        ('user = "no-such-user"', "unknown-user", "warning"),
        ('group = "no-such-group"', "unknown-group", "warning"),
    ],
)
def test_surroundings(root: Root, key: str, code: str, severity: str) -> None:
    """What a job needs around it is looked for; what belongs to the machine is a warning only."""
    root.write("mod.py", "def main(): ...\n")
    root.write("jobs.d/a.toml", f'callable = "mod:main"\n[run]\n{key}\n')
    assert root.problems() == [("jobs.d/a.toml", 3, key.index('"') + 1, severity, code)]


def test_secret(root: Root) -> None:
    """A secret's file is looked for, and not read."""
    root.write("jobs.d/a.toml", GOOD + '[run.env]\nTOKEN = { file = "secrets/none" }\n')
    assert root.problems() == [("jobs.d/a.toml", 3, 18, "error", "secret-missing")]


def test_secrets_of_messages(root: Root) -> None:
    """What a channel, a ping or the heartbeat needs may well be on another machine: its lack is a warning."""
    root.write("etc/akjob.toml", CHANNELS)
    root.write("jobs.d/a.toml", GOOD + '[notify]\nping = { url = { file = "none" } }\n')
    assert root.problems() == [
        ("etc/akjob.toml", 2, 25, "warning", "secret-missing"),
        ("etc/akjob.toml", 2, 64, "warning", "secret-missing"),
        ("etc/akjob.toml", 6, 16, "warning", "secret-missing"),
        ("jobs.d/a.toml", 3, 25, "warning", "secret-missing"),
    ]


CHANNELS = """[channels.ops]
smtp = { url = { file = "/run/none/url" }, password = { file = "none" } }
from = "a@example.org"
to = ["b@example.org"]
[heartbeat]
url = { file = "none" }
"""


def test_surroundings_of_defaults(root: Root) -> None:
    """What a ``_defaults.toml`` names and is not there is said once, there."""
    root.write("jobs.d/sub/_defaults.toml", '[run]\nnice = 5\ncwd = "nowhere"\n')
    root.write("jobs.d/sub/a.toml")
    root.write("jobs.d/sub/b.toml", GOOD + "[run]\nnice = 6\n")
    assert root.problems() == [("jobs.d/sub/_defaults.toml", 3, 7, "error", "cwd-missing")]


def test_callable_is_found_without_importing(root: Root) -> None:
    """A callable is looked up by reading its module; a missing one stands where it is written."""
    root.write("mod.py", "raise SystemExit('imported')\ndef main(): ...\n")
    root.write("jobs.d/a.toml", 'callable = "mod:main"\n')
    root.write("jobs.d/b.toml", '\ncallable = "mod:mian"\n')
    assert root.problems() == [("jobs.d/b.toml", 2, 12, "error", "callable-not-found")]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('callable = "mm:f7"\nfoo = 1\n[run]\ncwd = "nope"\n', ["callable-not-found", "unknown-key", "cwd-missing"]),
        ('callable = "mod:mian"\n[schedule]\nevry = "1h"\n', ["callable-not-found", "unknown-key"]),
        ('callable = "mod:main"\nargs = [1]\n[run]\ntimout = 1\n', ["arguments", "unknown-key"]),
        ('callable = 1\n[run]\nsetup = ["mod:mian"]\n', ["wrong-type", "callable-not-found"]),
        ('args = [1]\n[run]\ncwd = "nope"\n', ["no-code", "cwd-missing"]),
        ('command = "x"\ncallable = "mod:main"\n[run]\ncwd = "nope"\n', ["several-codes", "cwd-missing"]),
        ('callable = "mod:mian"\n[run]\nenv = { A = 1, B = { file = "none" } }\n', ["wrong-type", "secret-missing"]),
        (
            'dill = { file = "x.dill", sha256 = "0", python = "3.11" }\n[run]\nenv_file = "none"\n',
            ["bad-dill", "env-file-missing"],
        ),
        ('command = "x"\n[schedule]\nmonthly = { days = [1] }\n[run]\ncwd = "nope"\n', ["missing-key", "cwd-missing"]),
        # what is said follows from what is wrong, or may do so: nothing more is said
        ('callable = "mod:takes"\nkwarg = { a = 1 }\n[schedule]\ndaily = 00:00:00\n', ["unknown-key"]),
        ('callable = "mod:takes"\nargs = 1\n[schedule]\ndaily = 00:00:00\n', ["wrong-type"]),
        ('callable = "mm:f7"\n[run]\ninterpretr = ".venv/bin/python"\n', ["unknown-key"]),
        ('callable = "mm:f7"\ninterpreter = ".venv/bin/python"\n', ["unknown-key"]),
        ('callable = "mm:f7"\n[run]\ncwd = 1\n', ["wrong-type"]),
        ('callable = "mm:f7"\nrun = 1\n', ["wrong-type"]),
        ('callable = "mm:f7"\n[run\n', ["toml-syntax"]),
    ],
)
def test_what_is_right_of_a_refused_file_is_looked_at(root: Root, text: str, codes: list[str]) -> None:
    """Code and surroundings are judged in the same go as the keys, as far as the keys concerned are right."""
    root.write("mod.py", "def main(): ...\ndef takes(a): ...\n")
    root.write("jobs.d/a.toml", text)
    assert [code for *_, code in root.problems()] == codes


def test_what_is_right_of_defaults_is_looked_at(root: Root) -> None:
    """A mistake in shared files hides nothing of what the jobs below name, unless it may bring it about."""
    root.write("jobs.d/_defaults.toml", 'command = "x"\n[run]\ntimout = 1\ncwd = "nope"\n')
    root.write("jobs.d/a.toml", 'callable = "mm:f7"\n')
    assert root.problems() == [
        ("jobs.d/_defaults.toml", 1, 1, "error", "not-in-defaults"),
        ("jobs.d/_defaults.toml", 3, 1, "error", "unknown-key"),
        ("jobs.d/_defaults.toml", 4, 7, "error", "cwd-missing"),
        ("jobs.d/a.toml", 1, 12, "error", "callable-not-found"),
    ]
    for text in ('[run]\ninterpreter = ""\n', "[run\n"):
        root.write("jobs.d/_defaults.toml", text)
        assert [file for file, *_ in root.problems()] == ["jobs.d/_defaults.toml"]


def test_a_setup_may_change_where_modules_are_looked_for(root: Root) -> None:
    """After one that may, a missing module is not an error; after others, and for other findings, all is as ever."""
    root.write("paths.py", "import sys\ndef setup():\n    sys.path.insert(0, 'elsewhere')\n")
    root.write("plain.py", "def setup(): ...\n")
    root.write("mod.py", "def main(): ...\n")
    for name, target, setup in (
        ("a", "only.there:go", '"paths:setup", "also.there:go"'),
        ("b", "only.there:go", '"plain:setup"'),
        ("c", "mod:mian", '"paths:setup"'),
        ("d", "mod:main", '"only.there:go", "paths:setup"'),
    ):
        root.write(f"jobs.d/{name}.toml", f'callable = "{target}"\n[run]\nsetup = [{setup}]\n')
    assert root.problems() == [
        ("jobs.d/a.toml", 1, 12, "info", "callable-not-found"),
        ("jobs.d/a.toml", 3, 25, "info", "callable-not-found"),
        ("jobs.d/b.toml", 1, 12, "error", "callable-not-found"),
        ("jobs.d/c.toml", 1, 12, "error", "callable-not-found"),
        ("jobs.d/d.toml", 3, 10, "error", "callable-not-found"),
    ]
    first = validate(root.paths, now_us=NOW_US)[0]
    assert "no module only" in first.message
    assert "paths:setup is called before and may change where modules are looked for" in first.hint


def test_names(root: Root) -> None:
    """Bad names, and names that differ only in case, are problems."""
    root.write("jobs.d/Report.toml")
    root.write("jobs.d/report.toml")
    root.write("jobs.d/a b.toml")
    assert root.problems() == [
        ("jobs.d/a b.toml", 1, 1, "error", "bad-name"),
        ("jobs.d/report.toml", 1, 1, "warning", "case-twin"),
    ]


def test_what_is_no_file(root: Root) -> None:
    """Pipes and links that lead nowhere are named, and not waited for."""
    os.mkfifo(root.paths.jobs_d / "pipe.toml")
    (root.paths.jobs_d / "link.toml").symlink_to("nowhere")
    assert root.problems() == [
        ("jobs.d/link.toml", 1, 1, "error", "unreadable"),
        ("jobs.d/pipe.toml", 1, 1, "warning", "not-a-file"),
    ]


def test_a_mistake_that_jobs_share_is_told_once(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it stands, with how many jobs have it from there, in however many parts the files are looked at."""
    root.write("mod.py", "def no(): ...\ndef one(a): ...\n")
    root.write("jobs.d/_defaults.toml", '[run]\ntimeout = "5 minutes"\n')
    root.write("jobs.d/sub/_defaults.toml", 'args = [1, 2]\n[run]\nsetup = ["nomod:x"]\n')
    root.write("etc/akjob.toml", "[run]\nnice = 99\n")
    for number in range(6):
        text = f'callable = "mod:{"no" if number % 2 else "one"}"\n[run]\ncwd = "/tmp"\n'
        root.write(f"jobs.d/{'sub/' if number else ''}job{number}.toml", text if number else GOOD)
    wrong = [
        ("etc/akjob.toml", 2, 8, "error", "out-of-range"),
        ("jobs.d/_defaults.toml", 2, 11, "error", "bad-duration"),
        ("jobs.d/sub/_defaults.toml", 1, 8, "error", "arguments"),
        ("jobs.d/sub/_defaults.toml", 3, 10, "error", "callable-not-found"),
    ]
    assert root.problems() == wrong
    told = validate(root.paths, now_us=NOW_US)
    assert [one.hint[-26:] for one in told] == [f"({count} jobs have it from here)" for count in (6, 6, 5, 5)]
    root.write("jobs.d/_defaults.toml", '[run]\ntimeout = "5m"\n')
    root.write("etc/akjob.toml", "")
    del wrong[:2]
    assert root.problems() == wrong
    told = validate(root.paths, now_us=NOW_US)
    monkeypatch.setattr("akjob.validate.split.WORTH_IT", 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1, 2})
    assert validate(root.paths, now_us=NOW_US) == told
    files = sorted((root.paths.jobs_d / "sub").glob("job*.toml"))
    assert [place[1:] for place in root.problems(*files)] == [place[1:] for place in wrong]


def test_defaults_that_are_no_file(root: Root) -> None:
    """A folder of that name is said once and passed over, as akjobd does."""
    root.write("jobs.d/a.toml")
    (root.paths.jobs_d / "_defaults.toml").mkdir()
    [problem] = validate(root.paths, now_us=NOW_US)
    assert str(problem).startswith(
        "jobs.d/_defaults.toml:1:1: warning[not-a-file] this is a folder, not a regular file"
    )


def test_trust_is_a_warning(root: Root) -> None:
    """What akjobd will refuse because of its mode is a warning here, with the command that fixes it."""
    root.write("jobs.d/a.toml").chmod(0o666)
    [problem] = validate(root.paths, now_us=NOW_US)
    assert (problem.file, problem.severity, problem.code) == ("jobs.d/a.toml", "warning", "world-writable")
    assert problem.message == "everybody may write to this file; akjobd refuses it where it is so"
    assert problem.hint == "chmod o-w jobs.d/a.toml"


def test_trust_of_modules(root: Root) -> None:
    """A module's folder is part of what runs."""
    root.write("pkg/__init__.py", "")
    root.write("pkg/mod.py", "def main(): ...\n")
    (root.folder / "pkg").chmod(0o777)
    root.write("jobs.d/a.toml", 'callable = "pkg.mod:main"\n')
    assert root.problems() == [("pkg", 1, 1, "warning", "world-writable")]


def test_no_jobs_folder(root: Root) -> None:
    """A root without ``jobs.d`` is worth a warning."""
    root.paths.jobs_d.rmdir()
    assert root.problems() == [("jobs.d", 1, 1, "warning", "no-jobs-folder")]


# single files and folders


def test_file_without_root(tmp_path: Path) -> None:
    """A file needs no root, and is named as it was given."""
    file = tmp_path / "x.toml"
    file.write_text(GOOD + "evry = 1\n")
    [problem] = validate(None, [str(file)], now_us=NOW_US)
    assert (problem.file, problem.line) == (str(file), 2)


def test_file_named_from_elsewhere(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name stays as it was given; other files of its root are named from the same place."""
    root.write("jobs.d/sub/a.toml", GOOD + "evry = 1\n")
    root.write("jobs.d/sub/_defaults.toml", "[run]\ntimout = 1\n")
    monkeypatch.chdir(root.paths.jobs_d)
    found = [(problem.file, problem.line) for problem in validate(None, ["./sub/a.toml"], now_us=NOW_US)]
    assert found == [("../jobs.d/sub/_defaults.toml", 2), ("./sub/a.toml", 2)]


def test_file_takes_the_roots_defaults(root: Root) -> None:
    """A file in a root is seen as part of it, also without one named."""
    root.write("etc/akjob.toml", 'timezone = "Europe/Berlin"\n')
    root.write("jobs.d/_defaults.toml", '[run]\ntimeout = "5m"\n')
    file = root.write("jobs.d/sub/a.toml", GOOD + "[schedule]\ndaily = 09:00:00\n")
    [result] = parse_file(file)
    assert result.spec is not None
    assert result.spec.name == "sub/a"
    assert result.spec.schedule.zone == "Europe/Berlin"
    assert result.spec.run.timeout_us == 300_000_000


def test_folder(root: Root) -> None:
    """A folder means all job files in it, and no others."""
    root.write("jobs.d/sub/a.toml", "evry = 1\n")
    root.write("jobs.d/b.toml", "evry = 1\n")
    found = root.problems(root.paths.jobs_d / "sub")
    assert {file for file, *_ in found} == {f"{root.paths.jobs_d}/sub/a.toml"}


def test_folder_outside_any_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is no root's is validated as if it were a ``jobs.d``."""
    (tmp_path / "examples").mkdir(mode=0o755)
    (tmp_path / "examples" / "a.toml").write_text("evry = 1\n")
    monkeypatch.chdir(tmp_path)
    assert {problem.file for problem in validate(None, ["examples"], now_us=NOW_US)} == {"examples/a.toml"}


def test_other_root(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is a root is validated as one."""
    root.write("jobs.d/a.toml", "evry = 1\n")
    root.write("etc/akjob.toml", "x = 1\n")
    monkeypatch.chdir(root.folder.parent)
    found = {problem.file for problem in validate(None, ["root"], now_us=NOW_US)}
    assert found == {"root/jobs.d/a.toml", "root/etc/akjob.toml"}


@pytest.mark.parametrize("target", ["jobs.d/_defaults.toml", "etc/akjob.toml"])
def test_file_that_is_no_job(root: Root, target: str) -> None:
    """``_defaults.toml`` and ``etc/akjob.toml`` can be named too, as a hook before a commit does."""
    file = root.write(target, "x = 1\n")
    assert root.problems(file) == [(str(file), 1, 1, "error", "unknown-key")]


def test_missing_target(root: Root) -> None:
    """A target that does not exist is wrong usage."""
    with pytest.raises(AkjobError) as caught:
        root.problems("none.toml")
    assert caught.value.exit_code == 2
    with pytest.raises(AkjobError):
        validate(None, now_us=NOW_US)


def test_progress(root: Root) -> None:
    """Progress runs from none to all."""
    for number in range(100):
        root.write(f"jobs.d/job{number}.toml")
    seen: list[tuple[int, int]] = []
    validate(root.paths, now_us=NOW_US, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 100), (64, 100), (100, 100)]


def test_many_files_in_parts() -> None:
    """Few files are one part; many are cut into parts of nearly the same length that miss none."""
    names = [str(number) for number in range(10_001)]
    assert parts_of(names[:1999], 8) == [names[:1999]]
    parts = parts_of(names, 3)
    assert [len(part) for part in parts] == [3333, 3334, 3334]
    assert [name for part in parts for name in part] == names


def test_parts_in_children(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """What children find is what one process finds; of a child that dies this process does the work."""
    monkeypatch.setattr("akjob.validate.split.WORTH_IT", 5)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1, 2})
    for number in range(20):
        root.write(f"jobs.d/job{number:02}.toml", f"evry = {number}\n" if number % 5 == 0 else GOOD)
    wanted = [f"jobs.d/job{number:02}.toml" for number in (0, 5, 10, 15)]
    assert sorted({file for file, *_ in root.problems()}) == wanted
    monkeypatch.setattr("msgspec.msgpack.encode", lambda _problems: b"torn")
    assert sorted({file for file, *_ in root.problems()}) == wanted


def test_each_file_is_read_once(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is opened again only if it may name other jobs and one does; a program is looked at once for all."""
    read: list[str] = []
    really_read, really_open = scan.read, open

    def counted(path: str) -> tuple[bytes, scan.Signature]:
        read.append(os.path.basename(path))
        return really_read(path)

    def opened(path: str, mode: str) -> Any:
        read.append(os.path.basename(path))
        return really_open(path, mode)

    monkeypatch.setattr(scan, "read", counted)
    monkeypatch.setattr("akjob.validate.commands.open", opened, raising=False)
    for number in range(20):
        root.write(f"jobs.d/job{number:02}.toml", 'command = ["/bin/cat"]\n')
    root.write("jobs.d/plain.toml", 'command = "true"\ndescription = "after all"\n')
    assert root.problems() == []
    once = Counter(["cat", "_defaults.toml", *(f"job{number:02}.toml" for number in range(20))])
    assert Counter(read) == once + Counter({"plain.toml": 3})  # to check it, to find the word, and what it is for


def test_after_in_children(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that run after one another are compared whichever processes have read them."""
    monkeypatch.setattr("akjob.validate.split.WORTH_IT", 5)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1, 2})
    for number in range(20):
        after = f"job{number - 5:02}" if number >= 5 else "job22"
        root.write(f"jobs.d/job{number:02}.toml", f'command = "true"\n[schedule]\nafter = "{after}"\n')
    wanted = [f"jobs.d/job{number:02}.toml" for number in range(5)]
    assert [file for file, *_ in root.problems()] == wanted


# rendering

PROBLEM = Problem(
    file="jobs.d/a,b:c.toml",
    line=2,
    column=8,
    severity="warning",
    code="bad-value",
    key="run.nice",
    message="100% wrong\nreally",
    hint="do better",
)


def test_text(tmp_path: Path) -> None:
    """Text shows the line with a caret under the column, wide characters and tabs minded."""
    (tmp_path / "x.toml").write_text('a = 1\n\t"é漢" = 5\n')
    problem = Problem(file="x.toml", line=2, column=8, code="c", message="m", hint="do better")
    assert list(render_text([problem], tmp_path)) == [
        "x.toml:2:8: error[c] m",
        ' 2 | \t"é漢" = 5',
        "   | \t        ^".replace("        ^", "       ^"),
        "    = do better",
    ]


def test_text_of_long_lines(tmp_path: Path) -> None:
    """Of a long line the part around the column is shown; what cannot be printed is replaced."""
    (tmp_path / "x.toml").write_text("x" * 500 + "\x1b[31mhere" + "y" * 500)
    problem = Problem(file="x.toml", line=1, column=506, code="c", message="m")
    _, line, caret = render_text([problem], tmp_path)
    assert "\x1b" not in line
    assert line[caret.index("^") :].startswith("here")
    assert len(line) < 200


def test_text_without_the_file(tmp_path: Path) -> None:
    """A file that cannot be shown any more costs the line, not the problem."""
    assert next(render_text([PROBLEM], tmp_path)) == str(PROBLEM)


def test_json() -> None:
    """JSON has one object a line, with the documented keys in their order."""
    [line] = render_json([PROBLEM])
    assert list(json.loads(line)) == ["file", "line", "column", "severity", "code", "key", "message", "hint"]


def test_github() -> None:
    """GitHub's workflow commands are escaped as their own format needs."""
    assert list(render_github([PROBLEM])) == [
        "::warning file=jobs.d/a%2Cb%3Ac.toml,line=2,col=8,title=akjob bad-value::100%25 wrong%0Areally%0Ado better"
    ]


def test_sarif() -> None:
    """SARIF names the tool, a rule for each code, and where each result is."""
    log = json.loads(render_sarif([PROBLEM], CODES))
    [run] = log["runs"]
    assert log["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["bad-value"]
    [result] = run["results"]
    assert result["level"] == "warning"
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "jobs.d/a%2Cb%3Ac.toml"},
        "region": {"startLine": 2, "startColumn": 8},
    }


def test_instances_are_looked_at_one_by_one(tmp_path: Path) -> None:
    """A mistake in the common part is one problem; what an instance names is looked for, and reported in its table."""
    jobs = tmp_path / "jobs.d"
    jobs.mkdir(mode=0o755)
    common = 'command = "true"\n[run]\nnise = 1\n'
    (jobs / "a.toml").write_text(common + '[instances.x]\n[instances.y]\n[instances.z.run]\ncwd = "none"\n')
    problems = validate(Paths(tmp_path), now_us=NOW_US)
    assert [(one.line, one.code, one.key) for one in problems] == [
        (3, "unknown-key", "run.nise"),
        (7, "cwd-missing", "instances.z.run.cwd"),
    ]
    assert [result.name for result in parse_file(jobs / "a.toml")] == ["a@x", "a@y", "a@z"]
