"""The code blocks of a page: found, and run or checked in a root; docs/README.md has the convention.

``python -m tests.docs.blocks`` lists them all.
"""

import ast
import configparser
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from io import StringIO
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

from akjob.config import Paths, load_config
from akjob.spec import config_problems
from akjob.validate import validate

ROOT = Path(__file__).parents[2]
# What a fragment names may be elsewhere; what a whole file names must be there.
ELSEWHERE = frozenset(
    {
        *("callable-not-found", "program-missing", "dill-missing", "cwd-missing", "env-file-missing", "secret-missing"),
        *("interpreter-missing", "path-missing", "after-unknown", "after-circle"),
        *("unknown-calendar", "unknown-pool", "unknown-channel"),
    }
)
Action = Literal["run", "run, output compared", "validated", "compiled", "parsed", "written", "shown"]
_ACTIONS: dict[str, Action] = {
    "sh": "run", "console": "run, output compared", "toml": "validated", "python": "compiled",
    "json": "parsed", "yaml": "parsed", "ini": "parsed",
}  # fmt: skip
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_HIDDEN = re.compile(r"^<!-- run\n(?P<text>.*?)^-->$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (?P<what>not run|broken): (?P<why>[^>]+?) -->\s*\Z")
_PATH = re.compile(r"(?:#|//|;) (?P<path>[\w@][\w@./-]*\.\w+|[\w-]+/[\w./-]+)\s*\n")
_PORTS = (8470, 2525, 8025, 9090, 9093)
"""The ports of the pages; free ones stand in for them."""
_TIMEOUT_S = 120.0
DATABASE = "postgresql"


class Block(NamedTuple):
    """One block of a ``page`` at its ``line``; ``not_run`` why it is not run, ``broken`` a problem's code."""

    page: str
    line: int
    language: str
    text: str
    not_run: str = ""
    broken: str = ""
    hidden: bool = False

    @property
    def path(self) -> str:
        """Return the path below the root that the first line names; an empty string without one."""
        named = _PATH.match(self.text)
        return named["path"] if named else ""

    @property
    def action(self) -> str:
        """Return what is done with the block."""
        if self.not_run:
            return f"not run: {self.not_run}"
        return _ACTIONS.get(self.language, "written" if self.path else "shown")

    def __str__(self) -> str:
        """Return where the block is."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return the pages that people read, in the order of their paths."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order, hidden set-up among them."""
    return blocks_of(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix())


def blocks_of(text: str, name: str) -> list[Block]:
    """Return the blocks of the text of the page ``name``."""
    found = []
    for match in _FENCE.finditer(text):
        mark = _MARK.search(text, 0, match.start())
        what, why = (mark["what"], mark["why"].strip()) if mark else ("", "")
        body = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        block = Block(name, _line(text, match.start()), match["language"], body)
        block = block._replace(not_run=why if what == "not run" else "", broken=why if what == "broken" else "")
        found.append((match.start(), block))
    for match in _HIDDEN.finditer(text):
        hidden = Block(name, _line(text, match.start()), "sh", match["text"], hidden=True)
        found.append((match.start(), hidden))
    return [block for _, block in sorted(found)]


def needs(page: Path) -> list[str]:
    """Return the programs that a page needs and that are not here: ``<!-- needs: prometheus -->`` names some."""
    named = re.findall(r"^<!-- needs: (.*) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
    wanted = [program for names in named for program in names.split() if program != DATABASE]
    return [program for program in wanted if shutil.which(program) is None]


def needs_database(page: Path) -> bool:
    """Return True if a page needs a PostgreSQL server; the tests start it."""
    return f"<!-- needs: {DATABASE} -->" in page.read_text(encoding="utf-8")


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


class Reader:
    """Somebody who does what a page says, in a fresh ``root``."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self._home = root.with_name(f"{root.name}.home")
        self._state = self._home / "state.sh"
        self._home.mkdir()
        outer = {name: os.environ[name] for name in os.environ if not name.startswith(("AKJOB_ROOT", "SUPERVISOR_"))}
        path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
        self._environment = outer | {"PATH": path, "HOME": str(self._home), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
        self._environment |= {"COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1", "REPOSITORY": str(ROOT)}
        self._environment |= environment
        self._shell(f"akjob init {shlex.quote(str(root))}")
        self._state.unlink()
        self._listen()

    def follow(self, block: Block) -> list[str]:
        """Do what a block says; return what is wrong with it."""
        if block.not_run:
            return []
        do = getattr(self, f"_{block.language}", None)
        wrong = do(block) if do else []
        if block.path and block.language not in {"sh", "console"}:
            self._write(block)
        return [f"{block}: {one}" for one in wrong]

    def leave(self) -> None:
        """End what the page started."""
        if (self.root / "var" / "run" / "supervisord.pid").exists():
            self._shell(f"akjob --root {shlex.quote(str(self.root))} down --kill")
        home = f"HOME={self._home}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended, or is another user's
                if home in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGTERM)

    def _write(self, block: Block) -> None:
        path = self.root / block.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._ported(block.text), encoding="utf-8")
        # Older than the two seconds in which akjobd looks twice; and a page's files may follow each other quickly.
        os.utime(path, (time.time() - 5,) * 2)  # noqa: TID251 - a file's time
        self._listen()

    def _listen(self) -> None:
        """Have akjob-web listen on a port that is free, whatever the page's settings say of it."""
        file = self.root / "etc" / "akjob.toml"
        text = file.read_text(encoding="utf-8")
        table = tomllib.loads(text).get("web", {})
        if "listen" in table:
            return
        line = f'listen = "127.0.0.1:{self._ports[_PORTS[0]]}"'
        has = re.search(r"^\[web\].*$", text, re.MULTILINE)
        text = f"{text[: has.end()]}\n{line}{text[has.end() :]}" if has else f"{text}\n[web]\n{line}\n"
        file.write_text(text, encoding="utf-8")

    def _ported(self, text: str) -> str:
        return re.sub(r":(\d{4})\b", lambda found: f":{self._ports.get(int(found[1]), found[1])}", text)

    # -- what is done with each language

    def _sh(self, block: Block) -> list[str]:
        code, printed = self._shell(self._ported(block.text))
        return [f"exit code {code}\n{printed}"] if code else []

    def _console(self, block: Block) -> list[str]:
        for number, (command, expected) in enumerate(_commands(self._ported(block.text))):
            if command == "":
                return [f"line {number + 1} of the block has no `$ ` above it"]
            code, printed = self._shell(command)
            if expected and not _fits(expected, printed):
                return [f"`{command}` printed\n{printed}\nand not\n" + "\n".join(expected)]
            if not expected and (code or printed):
                return [f"`{command}`: exit code {code}\n{printed}"]
        return []

    def _toml(self, block: Block) -> list[str]:
        if block.path.startswith("etc/") or block.path.partition("/")[0] == "contrib":
            return self._settings(block)
        if block.path and not block.path.startswith("jobs.d/"):
            tomllib.loads(block.text)
            return []
        text = block.text
        table = tomllib.loads(text)
        fragment = not block.path
        if fragment and not {"callable", "command", "dill", "$schema"} & table.keys():
            text = f'command = "true"\n{text}'
        file = self.root / (block.path or "jobs.d/fragment-of-the-page.toml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        found = [one for one in validate(Paths(self.root), [str(file)], now_us=_NOW_US) if one.severity == "error"]
        if fragment:
            file.unlink()
            found = [one for one in found if one.code not in ELSEWHERE]
        return _judged(block, [(one.code, one.message) for one in found])

    def _settings(self, block: Block) -> list[str]:
        file = self.root / block.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        config, problems = load_config(file)
        found = [*problems, *config_problems(config)]
        if "reference/" in block.page:  # its examples name files of a root that is not there
            found = [one for one in found if one.code != "calendar-unreadable"]
        return _judged(block, [(one.code, one.message) for one in found if one.severity == "error"])

    def _python(self, block: Block) -> list[str]:
        try:
            ast.parse(block.text)
        except SyntaxError as error:
            return [str(error)]
        return []

    def _json(self, block: Block) -> list[str]:
        try:
            for line in block.text.splitlines() if block.text.count("\n{") else [block.text]:
                json.loads(line)
        except ValueError as error:
            return [str(error)]
        return []

    def _yaml(self, block: Block) -> list[str]:
        try:
            list(yaml.safe_load_all(block.text))
        except yaml.YAMLError as error:
            return [str(error)]
        return []

    def _ini(self, block: Block) -> list[str]:
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        text = block.text if "[" in block.text else f"[a]\n{block.text}"
        try:
            parser.read_file(StringIO(text))
        except configparser.Error as error:
            return [str(error)]
        return []

    def _shell(self, text: str) -> tuple[int, str]:
        """Run commands with what those before them left: variables, functions, the folder."""
        here = shlex.quote(str(self._state))
        script = (
            f"cd {shlex.quote(str(self.root if self.root.exists() else self._home))}\n"
            f"[ ! -e {here} ] || . {here}\n"
            f'trap \'code=$?; {{ declare -p | grep -Ev "^declare -[a-zA-Z]*r|BASH|FUNCNAME|PIPESTATUS|GROUPS|DIRSTACK";'
            f' declare -f; printf "cd %q\\n" "$PWD"; }} > {here}; exit $code\' EXIT\n'
            f"set -eo pipefail\n{text}"
        )
        output = self._home / "output"
        with output.open("wb") as out:  # a file: what is started in the background may keep it open
            done = subprocess.run(
                ["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
                env=self._environment, timeout=_TIMEOUT_S,
            )  # fmt: skip
        return done.returncode, output.read_text(encoding="utf-8", errors="replace")


_NOW_US = int(os.environ.get("SOURCE_DATE_EPOCH", "1790000000")) * 1_000_000  # examples must not go stale with time


def _judged(block: Block, found: Sequence[tuple[str, str]]) -> list[str]:
    if block.broken:
        codes = [code for code, _ in found]
        return [] if block.broken in codes else [f"is to be refused with {block.broken}, has {codes}"]
    return [f"{code}: {message}" for code, message in found]


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a console with the lines that it prints."""
    command, expected, goes_on = "", list[str](), False
    for line in text.splitlines():
        if goes_on:
            command += f"\n{line.removeprefix('> ')}"
        elif line.startswith("$ "):
            if command:
                yield command, expected
            command, expected = line[2:], []
        else:
            expected.append(line)
            continue
        goes_on = command.endswith("\\")
    if command or expected:
        yield command, expected


def _fits(expected: Sequence[str], printed: str) -> bool:
    """Return True if the lines are those expected; an ellipsis stands for anything."""
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r"[^\n]*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n"
    lines = "\n".join(line.rstrip() for line in printed.rstrip("\n").splitlines())
    return re.fullmatch(pattern, f"{lines}\n") is not None


def listing() -> Iterator[str]:
    """Yield a line for each block that a reader sees."""
    for page in pages():
        for block in blocks(page):
            if not block.hidden:
                yield f"{block!s:<48} {block.language or '-':<8} {block.action}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(listing()) + "\n")
