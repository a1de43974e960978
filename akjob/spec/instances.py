"""One file for several alike jobs: ``[instances.NAME]`` tables, or ``instances = ["emea", "apac"]``.

Each instance is the file without its ``instances``, with the instance's own table laid over it: key by key, the nearest
winning, values whole; only ``env`` and ``kwargs`` are merged. What an instance says to run replaces what the file says.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from akjob.spec.job import CODE, SECTIONS
from akjob.toml.faults import PathProblem, PathProblems
from akjob.toml.scan import Path

INSTANCES = "instances"
SEPARATOR = "@"
MOST = 1_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAME_HINT = "letters, digits, `.`, `_` and `-`, the first one a letter or a digit"


class Instance(Struct, frozen=True):
    """One instance: where it is in the file, its own table, and the merged one.

    With ``faults`` it is refused, and nothing else is known of it.
    """

    name: str
    place: Path
    own: Mapping[str, Any] = {}
    table: Mapping[str, Any] = {}
    faults: tuple[PathProblem, ...] = ()

    def origin(self, fault: PathProblem) -> PathProblem:
        """Return a fault of the merged table at the place in the file that it is from."""
        if not fault.path or _is_in(self.own, fault.path):
            return fault._replace(path=(*self.place, *fault.path))
        return fault


def instances_of(table: Mapping[str, Any], out: PathProblems) -> tuple[Instance, ...]:
    """Return the instances of a file that has some; none if what is wrong is about all of them."""
    value = table[INSTANCES]
    common = {key: one for key, one in table.items() if key != INSTANCES}
    if type(value) not in {list, dict}:
        hint = f'write instances = ["{value}"]' if type(value) is str else "write [instances.NAME] on a line of its own"
        out.wrong_type((INSTANCES,), "an array of names or a table of tables", value, hint)
        return ()
    if not value:
        out.bad((INSTANCES,), "empty-list", "`instances` is empty", "add an instance, or remove the key", at_key=True)
    if len(value) > MOST:
        message = f"there are {len(value):,} instances; a file has at most {MOST:,}"
        out.bad((INSTANCES,), "too-many-instances", message, "divide them among several files", at_key=True)
        return ()
    return tuple(_named(value, common) if type(value) is list else _tables(value, common))


def _named(value: list[Any], common: Mapping[str, object]) -> Iterator[Instance]:
    """Yield the instances of an array of names."""
    for index, name in enumerate(value):
        place, out = (INSTANCES, index), PathProblems()
        if type(name) is not str:
            out.wrong_type(place, "a string", name, f'write "{name}"')
        elif name in value[:index]:
            out.bad(place, "duplicate-instance", f'the instance "{name}" is there more than once', "remove one")
        else:
            _check_name(name, place, out)
        number = "" if name not in value[:index] else f"-{index + 1}"
        yield Instance(f"{name}{number}", place, {}, common, tuple(out.found))


def _tables(value: Mapping[str, Any], common: Mapping[str, Any]) -> Iterator[Instance]:
    """Yield the instances of a table of tables."""
    for name, own in value.items():
        place, out = (INSTANCES, name), PathProblems()
        _check_name(name, place, out)
        if type(own) is not dict:
            out.wrong_type(place, "a table", own, f"write [instances.{name}] on a line of its own")
        elif INSTANCES in own:
            message = "an instance cannot have instances of its own"
            out.bad((*place, INSTANCES), "nested-instances", message, "write them all below [instances]", at_key=True)
        if out.found:
            yield Instance(name, place, faults=tuple(out.found))
        else:
            yield Instance(name, place, own, merged(common, own))


def _check_name(name: str, place: Path, out: PathProblems) -> None:
    if not _NAME.fullmatch(name):
        message = f'"{name}" cannot be the name of an instance'
        out.bad(place, "bad-name", message, _NAME_HINT, at_key=type(place[-1]) is str)


def merged(common: Mapping[str, object], own: Mapping[str, object]) -> dict[str, Any]:
    """Return an instance's own table, laid over what the file says for all."""
    table = dict(common)
    code = next((key for key in CODE if key in own), None)
    if code is not None:
        for key in (*CODE, *(("args", "kwargs") if code == "command" else ())):
            table.pop(key, None)
    for key, value in own.items():
        before = table.get(key)
        if type(before) is not dict or type(value) is not dict:
            table[key] = value
        elif key == "kwargs":
            table[key] = {**before, **value}
        elif key in SECTIONS:
            table[key] = _section(before, value)
        else:
            table[key] = value
    return table


def _section(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    table = {**common, **own}
    variables = common.get("env"), own.get("env")
    if all(type(one) is dict for one in variables):
        table["env"] = {**common["env"], **own["env"]}
    return table


def _is_in(table: Any, path: Path) -> bool:
    """Return True if a table has a value at a path."""
    for part in path:
        if isinstance(part, int):
            if type(table) is not list or part >= len(table):
                return False
        elif type(table) is not dict or part not in table:
            return False
        table = table[part]
    return True
