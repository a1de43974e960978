"""Imports go one way: the rooms of akjob, in the order in which the data takes its way through them."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A module imports from its own room and from those above it, in function bodies too. The map for people is the list.
MAP = (ROOT / "docs" / "architecture.md").read_text()
ROOMS = tuple(re.findall(r"^\| `(\w+)` \|", MAP.split("<!-- rooms -->")[1].split("<!-- /rooms -->")[0], re.MULTILINE))
LEVEL = {room: level for level, room in enumerate(ROOMS)}
MODULES = sorted((ROOT / "akjob").rglob("*.py"))


def room_of(dotted: str) -> str:
    """Return the room of ``akjob.run.shim``: ``run``. The package itself has none: an empty text."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def imported(tree: ast.AST, module: str, *, package: bool) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything of akjob that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names if name.name.split(".")[0] == "akjob")
        elif isinstance(node, ast.ImportFrom):
            source = absolute(node, module, package=package)
            if source == "akjob":
                yield from ((node.lineno, f"akjob.{name.name}") for name in node.names)
            elif source.startswith("akjob."):
                yield node.lineno, source
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"}:
            text = node.args[0] if node.args else None
            if isinstance(text, ast.Constant) and str(text.value).split(".")[0] == "akjob":
                yield node.lineno, str(text.value)


def absolute(node: ast.ImportFrom, module: str, *, package: bool) -> str:
    """Return the dotted name of what an import statement imports from, relative ones resolved."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + package]
    return ".".join([*base, *filter(None, [node.module])])


def called(node: ast.Call) -> str:
    """Return the last part of the name of what is called."""
    function = node.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def wrong(source: str, module: str, *, package: bool = False) -> list[str]:
    """Return a line for each import of ``source``, the text of ``module``, that goes up."""
    room = room_of(module)
    found = []
    for line, name in imported(ast.parse(source), module, package=package):
        other = room_of(name)
        if other not in LEVEL or room == other:
            if other and other not in LEVEL and not other.startswith("__"):
                found.append(f"{module}:{line} imports {name}, which is in no room")
        elif LEVEL[other] > LEVEL[room]:
            found.append(f"{module}:{line} imports {name}, but {other} comes after {room}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "akjob")))
def test_imports_go_one_way(path: Path) -> None:
    """A module imports only from rooms above its own, function bodies included."""
    package = path.name == "__init__.py"
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = ".".join(parts[:-1] if package else parts)
    if module == "akjob":
        at_import = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not at_import, "akjob/__init__.py imports something: whoever imports a room would pay for it"
        return
    assert room_of(module) in LEVEL, f"{module} is in no room: name it in docs/architecture.md, in its place"
    assert wrong(path.read_text(), module, package=package) == []


@pytest.mark.parametrize(
    "source",
    [
        "import akjob.akjobd.daemon",
        "from akjob.akjobd.daemon import main",
        "from akjob import akjobd",
        "def late():\n    from akjob.cli.common import now_us",
        "if TYPE_CHECKING:\n    from akjob.cli import common",
        "from ..akjobd import daemon",
        "import_module('akjob.cli.list')",
        "import akjob.attic",
    ],
)
def test_an_import_that_goes_up_is_found(source: str) -> None:
    """Every way to write an import counts; a room that nobody listed is none."""
    assert len(wrong(source, "akjob.spec.model")) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from akjob import __version__",
        "from akjob.spec.other import x",
        "from . import other",
        "from akjob.errors import Problem",
        "import json",
    ],
)
def test_an_import_that_goes_down_is_fine(source: str) -> None:
    """A module may use its own room and what stands above it."""
    assert wrong(source, "akjob.spec.model") == []


def test_every_room_of_the_map_exists_or_is_listed_once() -> None:
    """The map names each room once, and at least all that there are."""
    there = {
        path.stem for path in (ROOT / "akjob").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert len(ROOMS) == len(set(ROOMS))
    assert there - {"__init__"} <= set(ROOMS)


DOORS = sorted(
    {
        name
        for name in re.findall(r"`([a-z]\w*(?:\.\w+)+)`", MAP.split("<!-- /rooms -->")[1])
        if name.split(".")[0] in LEVEL
    }
)


@pytest.mark.parametrize("door", DOORS)
def test_every_door_of_the_walks_exists(door: str) -> None:
    """The map names a function or class by its path, and it is there."""
    parts = door.split(".")
    module = next(
        found
        for size in range(len(parts), 0, -1)
        if (found := ROOT.joinpath("akjob", *parts[:size]).with_suffix(".py")).exists()
    )
    rest = parts[len(module.relative_to(ROOT / "akjob").parts) :]
    there: object = importlib.import_module(".".join(["akjob", *parts[: len(parts) - len(rest)]]))
    for name in rest:
        assert hasattr(there, name), f"{door} is not there any more: {there} has no {name}"
        there = getattr(there, name)


def test_the_map_has_two_walks_and_a_short_glossary() -> None:
    """A newcomer finds the way of a job and of a line, and at most forty words to learn."""
    assert len(DOORS) > 20
    words = re.findall(r"^\| ([a-z ]+) \|", MAP.split("## Words")[1], re.MULTILINE)[1:]
    assert 20 < len(words) <= 40
    assert words == sorted(words)
