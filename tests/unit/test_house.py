"""The house itself: what is locked, shipped and promised is what is there."""

import ast
import configparser
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from akjob.cli import schema
from akjob.config import Config, load_config

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.txt", "requirements-dev.txt")
# a distribution's name where its module's is another
MODULES = {
    "tomli-w": "tomli_w",
    "pyyaml": "yaml",
    "prometheus-client": "prometheus_client",
    "python-dateutil": "dateutil",
}
# packages that have data, or that are set up when a job imports them, and are not imported by name
NOT_IMPORTED = {"structlog", "tzdata"}


def name_of(requirement: str) -> str:
    """Return the normal form of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def locked(file: str) -> dict[str, Requirement]:
    """Return what a lock file pins, by name."""
    lines = (line for line in (ROOT / file).read_text().splitlines() if line[:1].isalnum())
    requirements = [Requirement(line.rstrip("\\ ")) for line in lines]
    return {name_of(str(requirement)): requirement for requirement in requirements}


def wanted(*groups: str) -> list[Requirement]:
    """Return what pyproject.toml asks for: the runtime's dependencies and those of ``groups``."""
    texts = [
        *PROJECT["project"]["dependencies"],
        *(text for group in groups for text in PROJECT["dependency-groups"][group]),
    ]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(
    ("file", "groups"), [("requirements.txt", ["build"]), ("requirements-dev.txt", ["build", "dev"])]
)
def test_the_lock_fits_the_project(file: str, groups: list[str]) -> None:
    """Each dependency is pinned to a version that pyproject.toml allows; fix it with ``make lock``."""
    pins = locked(file)
    for requirement in wanted(*groups):
        pin = pins.get(name_of(str(requirement)))
        assert pin is not None, f"{requirement} is not in {file}"
        (version,) = pin.specifier
        assert requirement.specifier.contains(version.version), f"{file} has {pin}, pyproject.toml wants {requirement}"


@pytest.mark.parametrize("file", LOCKS)
def test_the_lock_has_hashes_and_no_addresses(file: str) -> None:
    """Every pin has a hash, and the file names no registry: that is the machine's business."""
    text = (ROOT / file).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "index-url" not in text


def test_both_locks_agree() -> None:
    """The tests run on the versions that are installed for real."""
    development = locked("requirements-dev.txt")
    assert {name: pin for name, pin in locked("requirements.txt").items() if development.get(name) != pin} == {}


def test_dependencies_have_lower_bounds() -> None:
    """A dependency says from which version on it works, and is not capped."""
    for requirement in wanted():
        assert {part.operator for part in requirement.specifier} == {">="}, requirement


def test_what_is_imported_is_declared() -> None:
    """No import needs what pip would not install with akjob, and nothing is declared that is not used."""
    declared = {MODULES.get(name_of(text), name_of(text)) for text in PROJECT["project"]["dependencies"]}
    extras = {
        MODULES.get(name_of(text), name_of(text))
        for texts in PROJECT["project"]["optional-dependencies"].values()
        for text in texts
    }
    used: set[str] = set()
    for path in (ROOT / "akjob").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used.update(name.name.split(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                used.add(node.module.split(".")[0])
    # A leading underscore is C's half of a standard module; which there are differs between Pythons.
    foreign = {name for name in used if not name.startswith("_")} - set(sys.stdlib_module_names) - {"akjob"}
    assert foreign - declared - extras == {"pytest"}, "the plug-in is loaded by pytest alone"
    assert declared - NOT_IMPORTED - foreign == {"supervisor"}, "supervisor is run, not imported"


def test_pytest_is_imported_by_its_plug_in_alone() -> None:
    """What a test uses without pytest does not need it."""
    importing = [
        path.relative_to(ROOT / "akjob" / "testing").as_posix()
        for path in (ROOT / "akjob").rglob("*.py")
        if re.search(r"^\s*(import|from) pytest", path.read_text(), re.MULTILINE)
    ]
    assert sorted(importing) == ["checking.py", "plugin.py"]


@pytest.mark.parametrize("name", ["supervisord.conf", "akjob.toml", "job.schema.json"])
def test_init_ships_what_this_repository_uses(name: str) -> None:
    """``akjob init`` writes the very files of ``etc/``."""
    assert (ROOT / "akjob" / "data" / name).read_bytes() == (ROOT / "etc" / name).read_bytes()


def test_the_schema_is_that_of_the_code() -> None:
    """etc/job.schema.json, which editors read, is what ``akjob schema`` prints; fix it with ``make schema``."""
    printed = CliRunner().invoke(schema.command).output
    assert (ROOT / "etc" / "job.schema.json").read_text() == printed


def test_the_commented_settings_are_the_defaults(tmp_path: Path) -> None:
    """etc/akjob.toml as it stands changes nothing, nor does taking the ``#`` off its defaults."""
    text = (ROOT / "etc" / "akjob.toml").read_text()
    as_it_stands, problems = load_config(ROOT / "etc" / "akjob.toml")
    assert problems == []
    examples = ("pythonpath", "max_running", "owners", "public_url")
    lines = []
    for line in text.splitlines():
        setting = re.fullmatch(r"# (([a-z_]+) = .*)", line)
        lines.append(setting[1] if setting and setting[2] not in examples else line)
    uncommented = tmp_path / "akjob.toml"
    uncommented.write_text("\n".join(lines))
    written_out, problems = load_config(uncommented)
    assert problems == []
    plain = Config()
    for name in ("timezone", "pythonpath", "max_running", "log", "ledger", "trust", "web"):
        assert getattr(as_it_stands, name) == getattr(plain, name), name
        assert getattr(written_out, name) == getattr(plain, name), name


def supervisord_conf() -> configparser.RawConfigParser:
    """Return etc/supervisord.conf, read as supervisord does."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=True)
    parser.read(ROOT / "etc" / "supervisord.conf")
    return parser


@pytest.mark.parametrize(("program", "priority"), [("akjob-collector", "10"), ("akjobd", "20"), ("akjob-web", "30")])
def test_supervisord_never_gives_up_and_signals_nobody_else(program: str, priority: str) -> None:
    """A program is started again however often it is killed, and the runs get none of its signals."""
    section = supervisord_conf()[f"program:{program}"]
    assert section["command"] == program
    assert section["priority"] == priority
    assert section["autorestart"] == "true"
    assert section["startsecs"] == "0"
    assert int(section["startretries"]) >= 10**9
    assert section["stopasgroup"] == section["killasgroup"] == "false"
    assert section["stdout_logfile"].startswith("%(here)s/../var/")
    assert section["stdout_logfile_maxbytes"] != "0"


def test_supervisord_is_reached_by_its_user_only() -> None:
    """The socket is private, and supervisorctl looks for the one that supervisord makes."""
    conf = supervisord_conf()
    assert conf["unix_http_server"]["chmod"] == "0700"
    assert conf["supervisorctl"]["serverurl"] == "unix://" + conf["unix_http_server"]["file"]


def test_every_path_of_supervisord_is_relative_to_its_file() -> None:
    """The root may stand anywhere."""
    conf = supervisord_conf()
    values = [value for name in conf.sections() for value in conf[name].values() if "/" in value]
    assert values
    assert [value for value in values if "%(here)s/.." not in value] == []


@pytest.mark.parametrize("shipped", [".gitignore", "akjob/data/gitignore"])
def test_git_keeps_supervisords_folders_and_nothing_that_akjob_writes(shipped: str, tmp_path: Path) -> None:
    """A fresh clone has the folders that supervisord opens its files in; what akjob writes never shows up."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_bytes((ROOT / shipped).read_bytes())
    written = ["var/akjob.db", "var/log/akjob.jsonl", "var/log/archive/x.gz", "var/run/akjobd.sock", "var/runs/x/order"]
    kept = ["jobs.d/a.toml", "var/log/.gitkeep", "var/run/.gitkeep"]
    for name in (*written, *kept):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    argv = ["git", "ls-files", "--others", "--exclude-standard"]
    seen = subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert sorted(seen) == [".gitignore", *kept]


def test_supervisords_folders_are_here() -> None:
    """In a fresh clone ``supervisord -c etc/supervisord.conf`` finds the folders of its own files."""
    assert [folder for folder in ("log", "run") if not (ROOT / "var" / folder / ".gitkeep").exists()] == []


@pytest.mark.parametrize(
    ("what", "file"), [("validate-manifest", ".pre-commit-hooks.yaml"), ("validate-config", ".pre-commit-config.yaml")]
)
def test_pre_commit_reads_our_files(what: str, file: str) -> None:
    """pre-commit takes both files: ours, and the hook that users name."""
    argv = [sys.executable, "-m", "pre_commit", what, file]
    checked = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def references() -> list[tuple[str, str, str]]:
    """Return document, test file and test name for every ``tests/….py::test_…`` that a document mentions."""
    found = []
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", document.read_text()):
            found.append((document.name, file, name))
    return found


def test_each_guarantee_names_a_test() -> None:
    """Of the five promises each section has a list of tests, and each row of the table names one."""
    text = (ROOT / "docs" / "explain" / "guarantees.md").read_text()
    sections = re.split(r"^### ", text.partition("## What else")[0], flags=re.MULTILINE)[1:]
    assert [section[:2] for section in sections] == ["1.", "2.", "3.", "4.", "5."]
    assert [section for section in sections if "\n- `tests/" not in section] == []
    rows = [line for line in text.splitlines() if line.startswith("| ") and "held by" not in line]
    assert len(rows) > 10
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py::test_\w+`", row)] == []


def test_each_promise_names_a_test_that_exists() -> None:
    """Where a document says which test holds a promise, that test is there."""
    assert references(), "docs/explain/guarantees.md links its promises to tests"
    missing = []
    for document, file, name in references():
        path = ROOT / file
        if not path.exists() or not re.search(rf"^\s*def {name}\(", path.read_text(), re.MULTILINE):
            missing.append(f"{document}: {file}::{name}")
    assert missing == []


NOT_WRITTEN = {
    r"(?<!here )\b(is|are|was|were) no (?!longer|more|less|later|matter)\w": "is not a",
    r"(?<!here )\b(is|are|was|were) none\b(?! %}| and | or )": "what it is",
    r"\b[Mm]end(s|ed|ing)?\b": "fix",
    r"\banew\b": "again",
    r"\b[Pp]ut by\b": "recycle",
    r"\b([Tt]akes?|took|taken|taking) (it |them |one )?away\b": "remove",
    r"\b[Ll]ets? go of\b": "close",
    r"\b[Ss]ay whether\b|\"\"\"(Tells?|Whether|Say) ": "Return whether",
    r"\b(is|are|was|were) to be (told|said)\b": "the message",
    r"(must be|not|expects?|needs) a text\b(?! file)": "a string",
    r"\b(akjobd|akjob-\w+|supervisord|systemd|shim|collector|zygote|ledger|loop) (knows?|hears?)\b": "has, receives",
}
"""What a sentence of the product does not say, and what it says in its place."""
WRITTEN = {".py", ".toml", ".html", ".conf", ".md"}
NOT_OF_PROGRAMS = r"(?<![\"(])\b([Nn]obody|[Ss]omebody|[Ww]hoever|[Aa]nybody|[Ss]omeone)\b(?![\",])"


@cache
def prose() -> list[tuple[str, str]]:
    """Return every line that a user or a reader of the code meets, with its file and number."""
    files = [ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md")]
    for folder in ("akjob", "docs", "etc"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in WRITTEN]
    return [
        (f"{path.relative_to(ROOT)}:{number}", line)
        for path in sorted(files)
        for number, line in enumerate(path.read_text().splitlines(), 1)
    ]


@pytest.mark.parametrize("pattern", NOT_WRITTEN)
def test_the_words_are_those_of_the_field(pattern: str) -> None:
    """Messages, help, pages, docstrings and comments say it the usual way."""
    assert [f"{at}: {line}" for at, line in prose() if re.search(pattern, line)] == [], NOT_WRITTEN[pattern]


def test_a_program_is_called_by_its_name() -> None:
    """In the code's words a program, a node or a thread is not somebody."""
    lines = [(at, line) for at, line in prose() if at.startswith("akjob/")]
    assert len(lines) > 50_000
    assert [f"{at}: {line}" for at, line in lines if re.search(NOT_OF_PROGRAMS, line)] == []


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield every class of akjob/ with the path of its file."""
    for path in sorted((ROOT / "akjob").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield path.relative_to(ROOT).as_posix(), node


def test_no_two_classes_have_one_name() -> None:
    """The name of a class, a private one's too, leads to one class."""
    homes: dict[str, list[str]] = {}
    for path, node in classes():
        homes.setdefault(node.name, []).append(path)
    assert len(homes) > 500
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


RECORDS = {"Struct", "TypedDict", "NamedTuple"}
"""A record of values may have as many fields as there are: a row of the ledger has its columns."""
MOST_ATTRIBUTES = 20
MOST_LINES = 60


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the names that a class sets on itself."""
    targets = [each for each in ast.walk(node) if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)]
    return {each.attr for each in targets if isinstance(each.value, ast.Name) and each.value.id == "self"}


def test_no_class_owns_too_much() -> None:
    """A class that is not a record has at most twenty attributes."""
    bases: dict[str, set[str]] = {}
    found: dict[str, tuple[str, int]] = {}
    for path, node in classes():
        bases[node.name] = {ast.unparse(base).partition("[")[0] for base in node.bases}
        found[node.name] = (path, len(attributes(node)))

    def is_record(name: str) -> bool:
        return name in RECORDS or any(is_record(base) for base in bases.get(name, ()))

    assert max(count for _, count in found.values()) > MOST_ATTRIBUTES // 2
    assert {name: at for name, at in found.items() if at[1] > MOST_ATTRIBUTES and not is_record(name)} == {}


def test_a_function_fits_on_a_page() -> None:
    """No function is longer than a page; what is longer has two things to do."""
    found = [
        (f"{path.relative_to(ROOT)}::{node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for path in sorted((ROOT / "akjob").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert max(lines for _, lines in found) > MOST_LINES // 2
    assert [one for one in found if one[1] > MOST_LINES] == []
