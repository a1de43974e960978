"""What a function that a job calls may be given, read from its source: names, types, defaults, what its docstring says.

Nothing is imported. Where only running the code would show it, there is no signature.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from akjob.code.names import FoundName, NameMissingError, UndecidedError, bound, find, namespace

_GOOGLE = re.compile(r"^\s*(?:Args|Arguments|Parameters):\s*$")
_ENTRY = re.compile(r"^(\s+)\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")
_SPHINX = re.compile(r"^\s*:param\s+(?:[\w\[\], .|]+\s+)?(\w+):\s*(.*)$")
_GIVEN = frozenset({"ownjob"})  # what akjob gives by itself


class Argument(Struct, frozen=True, kw_only=True):
    """One parameter that may be given by keyword.

    ``type`` and ``default`` are source text, empty where there is none; ``choices`` are the values that the type
    allows, where these are few and known.
    """

    name: str
    type: str = ""
    default: str = ""
    required: bool = False
    choices: tuple[str | int | bool, ...] = ()
    about: str = ""


class Signature(Struct, frozen=True, kw_only=True):
    """The parameters of what a job calls, in their order, and the first line of its docstring."""

    arguments: tuple[Argument, ...]
    about: str = ""
    any_keyword: bool = False


def signature_of(target: str, path: Sequence[str]) -> Signature | None:
    """Return the signature of a dotted callable; None where its source does not tell."""
    try:
        found = find(target, path)
        function, skipped = _function(found)
    except (NameMissingError, UndecidedError, RecursionError):
        return None
    docs = ast.get_docstring(function) or ""
    about = _entries(docs)
    names = found.module.file
    arguments = tuple(
        Argument(
            name=arg.arg,
            type="" if arg.annotation is None else ast.unparse(arg.annotation),
            default="" if default is None else ast.unparse(default),
            required=default is None,
            choices=_choices(arg.annotation, names),
            about=about.get(arg.arg, ""),
        )
        for arg, default in list(_arguments(function.args))[skipped:]
        if arg.arg not in _GIVEN
    )
    first = docs.strip().partition("\n")[0]
    return Signature(arguments=arguments, about=first, any_keyword=function.args.kwarg is not None)


def _function(found: FoundName) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]:
    """Return the function that is called in the end, and how many parameters it gets by itself."""
    node = found.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        names = [one.id if isinstance(one, ast.Name) else "?" for one in node.decorator_list]
        if found.owner is not None and names in ([], ["staticmethod"], ["classmethod"]):
            return node, 1 if names == ["classmethod"] else 0
        if not names:
            return node, 0
    if isinstance(node, ast.ClassDef):
        members = dict(bound(node.body))
        for name in ("run", "__init__"):
            method = members.get(name)
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.decorator_list:
                return method, 1
    raise UndecidedError


def _arguments(given: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Yield each parameter with its default; those that are only positional cannot be given by keyword."""
    ordered = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(ordered) - len(given.defaults))
    pairs = list(zip(ordered, [*defaults, *given.defaults], strict=True))
    yield from pairs[len(given.posonlyargs) :]
    yield from zip(given.kwonlyargs, given.kw_defaults, strict=True)


def _choices(annotation: ast.expr | None, file: str | None) -> tuple[str | int | bool, ...]:
    """Return the values of a Literal, of a bool, or of an enumeration in the same module."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return ()
    if isinstance(annotation, ast.Name) and annotation.id == "bool":
        return True, False
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).rpartition(".")[2] == "Literal":
        inner = annotation.slice
        return tuple(_plain(one) for one in (inner.elts if isinstance(inner, ast.Tuple) else [inner]) if _is_plain(one))
    if isinstance(annotation, ast.Name) and file is not None:
        return _members(namespace(file).bindings.get(annotation.id))
    return ()


def _members(node: ast.AST | None) -> tuple[str | int | bool, ...]:
    if not isinstance(node, ast.ClassDef):
        return ()
    if not any(ast.unparse(base).rpartition(".")[2] in {"Enum", "StrEnum", "IntEnum"} for base in node.bases):
        return ()
    return tuple(_plain(one.value) for one in node.body if isinstance(one, ast.Assign) and _is_plain(one.value))


def _is_plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | int | bool)


def _plain(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _entries(docs: str) -> dict[str, str]:
    """Return what a docstring says of each parameter, in Google's or Sphinx's way."""
    found: dict[str, str] = {}
    inside, last, indent = False, "", 0
    for line in docs.splitlines():
        sphinx = _SPHINX.match(line)
        entry = _ENTRY.match(line) if inside else None
        if sphinx is not None:
            found[sphinx[1]] = sphinx[2].strip()
        elif _GOOGLE.match(line):
            inside, last = True, ""
        elif inside and not line.strip():
            inside = False
        elif entry is not None and (not last or len(entry[1]) <= indent):
            last, indent = entry[2], len(entry[1])
            found[last] = entry[3].strip()
        elif inside and last:
            found[last] = f"{found[last]} {line.strip()}".strip()
    return found
