"""Finding modules and the names in them without importing anything: on the path, by their source, through imports."""

import ast
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from pathlib import Path
from pkgutil import get_importer

from msgspec import Struct

DEPTH = 12
_OWN_FINDERS = (BuiltinImporter, FrozenImporter, PathFinder)
# A module that speaks of these may put names and modules where no parser sees them.
_MAGIC = (
    "sys.modules",
    "__path__",
    "meta_path",
    "globals()",
    "vars()",
    "locals()",
    "exec(",
    "setattr(",
    "import_module",
)


# A module that speaks of these may have modules looked for elsewhere too.
_PATHS = re.compile(rb"\bsys\b.*\bpath\b|\baddsitedir\b")


class NameMissingError(Exception):
    """A name that is certainly not there: what to say, and what was perhaps meant."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ModuleMissingError(NameMissingError):
    """A module that is not where it was looked for; it may be elsewhere."""


class UndecidedError(Exception):
    """Only running the code would tell."""


# Modules


class Module(Struct, frozen=True):
    """A module that was found: its source file (None for one without), its folders when it is a package.

    ``only_folders`` is a namespace package: there is nothing of it but its folders.
    """

    name: str
    file: str | None
    folders: tuple[str, ...] | None
    path: tuple[str, ...]
    only_folders: bool = False


# What was found meanwhile; None unless it is being remembered.
_seen: dict[tuple[str, tuple[str, ...]], Module | NameMissingError | UndecidedError] | None = None
_read: dict[str, "Namespace"] = {}


@contextmanager
def remembering() -> Iterator[None]:
    """Look at each module once as long as this lasts: thousands of jobs name few modules."""
    global _seen  # noqa: PLW0603 - one process validates one thing at a time
    _seen = {}
    try:
        yield
    finally:
        _seen = None
        _read.clear()


def find_module(name: str, path: Sequence[str]) -> Module:
    """Find a module on the path without importing it or its parents. Raises NameMissingError and UndecidedError."""
    if _seen is None:
        return _find_module(name, path)
    key = (name, tuple(path))
    known = _seen.get(key)
    if known is None:
        try:
            known = _find_module(name, path)
        except (NameMissingError, UndecidedError) as none:
            known = none
        _seen[key] = known
    if isinstance(known, Module):
        return known
    raise known.with_traceback(None)


def _find_module(name: str, path: Sequence[str]) -> Module:
    folders: tuple[str, ...] | None = tuple(path)
    module = None
    parts = name.split(".")
    for size in range(1, len(parts) + 1):
        full = ".".join(parts[:size])
        if folders is None:
            _unless_magic(module)
            raise ModuleMissingError(
                f"{full} cannot be there: {module.name if module else ''} is a module and no package"
            )
        found = _find_spec(full, folders, top=size == 1)
        if found is None:
            _unless_magic(module)
            where = ", ".join(folders) or "no folder"
            near = get_close_matches(parts[size - 1], _modules_in(folders), 1)
            hint = f"did you mean {'.'.join([*parts[: size - 1], near[0]])}?" if near else ""
            raise ModuleMissingError(f"there is no module {full}; looked in {where}", hint)
        if isinstance(found, ModuleSpec):
            inner = found.submodule_search_locations
            folders = None if inner is None else tuple(inner)
            file = found.origin if found.has_location and (found.origin or "").endswith(".py") else None
            module = Module(full, file, folders, tuple(path))
        else:
            folders = found
            module = Module(full, None, folders, tuple(path), only_folders=True)
    if module is None:
        raise UndecidedError
    return module


def _find_spec(name: str, folders: Sequence[str], *, top: bool) -> ModuleSpec | tuple[str, ...] | None:
    """Return a module's spec, the folders of a namespace package, or None when there is neither."""
    try:
        for finder in (BuiltinImporter, FrozenImporter) if top else ():
            spec = finder.find_spec(name)
            if spec is not None:
                return spec
        portions: list[str] = []
        # PathFinder would do, were it not for namespace packages, whose parents it wants to have imported.
        for folder in folders:
            entry = get_importer(folder)
            spec = entry.find_spec(name, None) if entry is not None else None
            if spec is not None and spec.loader is not None:
                return spec
            portions += (spec.submodule_search_locations or []) if spec is not None else []
        # Editable installs may bring a finder of their own into every process of this Python.
        for other in [one for one in sys.meta_path if one not in _OWN_FINDERS] if top else ():
            spec = other.find_spec(name, None)
            if spec is not None:
                return spec
    except Exception as error:
        raise UndecidedError from error
    return tuple(portions) or None


def _unless_magic(module: Module | None) -> None:
    """Raise UndecidedError for a parent that may offer submodules without a file: ``os.path``, ``six.moves``."""
    if module is None or module.only_folders:
        return
    if module.file is None or namespace(module.file).magic:
        raise UndecidedError


def _modules_in(folders: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for folder in folders:
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        names.update((entry.partition(".")[0], None) for entry in entries if "." not in entry or entry.endswith(".py"))
    return [name for name in names if name.isidentifier()]


# Names of a module


class Namespace:
    """What a module's source binds: each name with its binding, or None when there are several or it is unclear.

    ``moves_path`` says that its code may change where modules are looked for; ``modules`` are the names that nothing
    but ``import`` binds, under whatever condition.
    """

    def __init__(self, tree: ast.Module | None, *, magic: bool, fault: str = "", moves_path: bool = False) -> None:
        self.fault = fault
        self.magic = magic or tree is None
        self.moves_path = self.magic or moves_path
        self.bindings: dict[str, ast.AST | None] = {}
        self.stars: list[ast.ImportFrom] = []
        self.modules: frozenset[str] = frozenset()
        if tree is not None:
            for name, node in bound(tree.body):
                if name == "*" and isinstance(node, ast.ImportFrom):
                    self.stars.append(node)
                else:
                    self.bindings[name] = None if name in self.bindings else node
            for node in ast.walk(tree):
                if isinstance(node, ast.Global):
                    self.bindings.update(dict.fromkeys(node.names))
            self.modules = frozenset(_only_imported(tree) & self.bindings.keys())
        self.magic = self.magic or "__getattr__" in self.bindings


def _only_imported(tree: ast.Module) -> set[str]:
    """Return the names that are bound by ``import`` somewhere, and by nothing else anywhere."""
    imported: set[str] = set()
    otherwise: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                imported.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom():
                otherwise.update(alias.asname or alias.name for alias in node.names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                otherwise.add(node.name)
            case ast.Name(ctx=ast.Store()):
                otherwise.add(node.id)
    return imported - otherwise


def namespace(file: str) -> Namespace:
    """Return the names of a source file; a file that cannot be read or parsed may have any."""
    known = _read.get(file)
    if known is not None:
        return known
    try:
        stat = os.stat(file)
        found = _namespace(file, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
    except OSError:
        found = Namespace(None, magic=True)
    if _seen is not None:
        _read[file] = found
    return found


@lru_cache(maxsize=1024)
def _namespace(file: str, *_stamp: int) -> Namespace:
    try:
        source = Path(file).read_bytes()
        tree = ast.parse(source)
    except SyntaxError as error:
        fault = f"{file}:{error.lineno or 1}:{error.offset or 1}: {error.msg}"
        return Namespace(None, magic=True, fault=fault)
    except (OSError, ValueError, RecursionError, MemoryError):
        return Namespace(None, magic=True)
    magic = any(word.encode() in source for word in _MAGIC)
    return Namespace(tree, magic=magic, moves_path=_PATHS.search(source) is not None)


def bound(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.AST | None]]:
    """Yield each name that statements of a module or class bind, with the node that says to what."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name, statement
            case ast.Import():
                for alias in statement.names:
                    yield (alias.asname or alias.name.partition(".")[0]), (alias if alias.asname else None)
            case ast.ImportFrom():
                for alias in statement.names:
                    yield (alias.asname or alias.name), statement
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                if value is not None:
                    yield name, value
            case _:
                yield from _bound_within(statement)


def _bound_within(statement: ast.stmt) -> Iterator[tuple[str, ast.AST | None]]:
    """Yield what a compound or odd statement may bind. What is bound under a condition counts, but not to what."""
    bodies = [getattr(statement, field, []) for field in ("body", "orelse", "finalbody")]
    bodies += [part.body for part in getattr(statement, "handlers", []) + getattr(statement, "cases", [])]
    for body in bodies:
        for name, node in bound(body):
            yield name, (node if name == "*" else None)
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node.id, None
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name, None


# What a target is


class FoundName(Struct, frozen=True):
    """What a target leads to: a function, a class or a value in the source, with the class it was found in."""

    node: ast.AST
    module: Module
    owner: ast.ClassDef | None = None

    def signature(self) -> str:
        """Return its signature as a hint, or nothing."""
        node = self.node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return f"it is defined as {node.name}({ast.unparse(node.args)}) at {self.module.file}:{node.lineno}"
        if isinstance(node, ast.ClassDef):
            return f"it is the class {node.name} at {self.module.file}:{node.lineno}"
        return ""


def find(target: str, path: Sequence[str]) -> FoundName:
    """Find what ``pkg.module:name.attr`` or ``pkg.module.name`` names. Raises NameMissingError and UndecidedError."""
    name, colon, attributes = target.partition(":")
    if colon:
        return _member(find_module(name, path), attributes.split("."))
    parts = target.split(".")
    first: NameMissingError | None = None
    for size in range(len(parts) - 1, 0, -1):
        try:
            module = find_module(".".join(parts[:size]), path)
        except NameMissingError as missing:
            first = missing
            continue
        try:
            return _member(module, parts[size:])
        except NameMissingError as missing:
            if size < len(parts) - 1 and module.folders is not None:
                near = get_close_matches(parts[size], _modules_in(module.folders), 1)
                hint = missing.hint or (f"did you mean {module.name}.{near[0]}?" if near else "")
                raise NameMissingError(missing.message, hint) from None
            raise
    raise first or UndecidedError


def imports_module(module: Module, name: str) -> bool:
    """Return True if a name of a module is bound by ``import``, and by nothing else: ``os.path``."""
    return module.file is not None and name in namespace(module.file).modules


def may_move_path(target: str, path: Sequence[str]) -> bool:
    """Return whether calling a target may change where modules are looked for; not for one that is not there itself."""
    try:
        found = find(target, path)
    except NameMissingError:
        return False
    except (UndecidedError, RecursionError):
        return True
    return found.module.file is None or namespace(found.module.file).moves_path


def _member(module: Module, names: Sequence[str], depth: int = 0) -> FoundName:
    if module.file is None or depth > DEPTH:
        raise UndecidedError
    space = namespace(module.file)
    if space.fault:
        raise NameMissingError(f"module {module.name} cannot be imported: {space.fault}", "fix its syntax")
    name, rest = names[0], names[1:]
    if name not in space.bindings:
        _from_stars(module, space, name)
        if space.magic or (name.startswith("__") and name.endswith("__")) or name in _modules_in(module.folders or ()):
            raise UndecidedError
        near = get_close_matches(name, list(space.bindings), 1)
        hint = f"did you mean {near[0]}?" if near else ""
        raise NameMissingError(f"module {module.name} ({module.file}) has no {name}", hint)
    node = space.bindings[name]
    if isinstance(node, ast.ImportFrom):
        return _imported(module, node, name, rest, depth)
    if isinstance(node, ast.alias):
        if not rest:
            raise UndecidedError
        return _unsure_if_missing(node.name, rest, module, depth)
    if node is None:
        raise UndecidedError
    return _attribute(FoundName(node, module), rest)


def _from_stars(module: Module, space: Namespace, name: str) -> None:
    """Raise UndecidedError when a ``from x import *`` may bring the name; ``__all__`` is not looked at."""
    for star in space.stars:
        try:
            other = find_module(_absolute(module, star), module.path)
        except NameMissingError as missing:
            raise UndecidedError from missing
        if other.file is None:
            raise UndecidedError
        inner = namespace(other.file)
        if inner.magic or inner.stars or name in inner.bindings:
            raise UndecidedError


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name if module.folders is not None else module.name.rpartition(".")[0]
    parts = package.split(".")
    if node.level > len(parts):
        raise UndecidedError
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _imported(module: Module, node: ast.ImportFrom, name: str, rest: Sequence[str], depth: int) -> FoundName:
    original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
    return _unsure_if_missing(_absolute(module, node), [original, *rest], module, depth)


def _unsure_if_missing(name: str, names: Sequence[str], module: Module, depth: int) -> FoundName:
    """Follow an import. One that fails may be caught, or made good by code that is not looked at."""
    try:
        return _member(find_module(name, module.path), names, depth + 1)
    except NameMissingError as missing:
        raise UndecidedError from missing


def _attribute(found: FoundName, names: Sequence[str]) -> FoundName:
    for name in names:
        cls = found.node
        if not isinstance(cls, ast.ClassDef):
            raise UndecidedError
        members: dict[str, ast.AST | None] = {}
        for key, node in bound(cls.body):
            members[key] = None if key in members else node
        if name not in members:
            if not plain(cls) or hasattr(type, name) or "__getattr__" in members:
                raise UndecidedError
            near = get_close_matches(name, list(members), 1)
            hint = f"did you mean {near[0]}?" if near else ""
            raise NameMissingError(f"class {cls.name} ({found.module.file}:{cls.lineno}) has no {name}", hint)
        inner = members[name]
        if inner is None:
            raise UndecidedError
        found = FoundName(inner, found.module, cls)
    return found


def plain(cls: ast.ClassDef) -> bool:
    """Return whether a class is just what its body says."""
    bases = [base for base in cls.bases if not (isinstance(base, ast.Name) and base.id == "object")]
    return not bases and not cls.keywords and not cls.decorator_list
