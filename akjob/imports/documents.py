"""YAML documents with the lines of their parts, read with PyYAML's safe loader."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from akjob.units import format_duration

_DEEPEST = 64
_DIGITS = 100
_LEAST = 8  # what a value counts for besides its characters
_LARGEST = 32 << 20
_SURROGATE = re.compile("[\ud800-\udfff]")


class Part(Struct, frozen=True):
    """A value of a document and the line that it begins in."""

    value: Any
    line: int


class NotYamlError(ValueError):
    """The input is not YAML: what is wrong, and in which line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def documents(text: str) -> Iterator[tuple[Part, "YamlNodes"]]:
    """Yield each document with the nodes that it was made of. Raises NotYamlError.

    What its aliases stand for is counted before anything is made of it, and so is how deep it goes.
    """
    import yaml  # noqa: PLC0415 - only these imports need it

    broken = _SURROGATE.search(text)
    if broken is not None:
        line = text.count("\n", 0, broken.start()) + 1
        raise NotYamlError("it cannot be read: its bytes are not UTF-8", line)
    try:
        _measure(yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        loader = _loader(text)
        while loader.check_node():
            node: Any = loader.get_node()
            value = loader.construct_document(node)
            yield Part(value, node.start_mark.line + 1), YamlNodes(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        raise NotYamlError(f"it is not YAML: {what}", 1 if mark is None else mark.line + 1) from None
    except NotYamlError:
        raise
    except (ValueError, RecursionError, OverflowError, TypeError, AttributeError, KeyError) as error:
        raise NotYamlError(f"it cannot be read: {type(error).__name__}", 1) from None


def _loader(text: str) -> Any:
    """Return PyYAML's safe loader, in C where it is there; a whole number of any length is a number or a text."""
    import yaml  # noqa: PLC0415 - as above

    kind: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class BoundedYamlLoader(kind):  # type: ignore[misc]
        """The safe loader, for which a number of thousands of digits is a text."""

    def number(loader: Any, node: Any) -> Any:
        return loader.construct_yaml_int(node) if len(node.value) <= _DIGITS else node.value

    BoundedYamlLoader.add_constructor("tag:yaml.org,2002:int", number)
    return BoundedYamlLoader(text)


def _measure(events: Iterable[Any]) -> None:
    """Go through a text's events; raise NotYamlError where it is deeper or, with its aliases, larger than allowed."""
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = 0
    for event in events:
        kind = type(event).__name__
        anchor = getattr(event, "anchor", None)
        line = event.start_mark.line + 1
        if kind == "DocumentStartEvent":
            sizes, total, open_ = {}, 0, []
        elif kind == "AliasEvent":
            if anchor not in sizes:
                raise NotYamlError(f"the alias *{anchor} is for what it stands in, or for nothing", line)
            total += sizes[anchor]
        elif kind == "ScalarEvent":
            size = _LEAST + len(event.value)
            total += size
            sizes |= {anchor: size} if anchor else {}
        elif kind in {"SequenceStartEvent", "MappingStartEvent"}:
            sizes.pop(anchor or "", None)
            open_.append((anchor, total))
            total += _LEAST
        elif kind in {"SequenceEndEvent", "MappingEndEvent"}:
            name, before = open_.pop()
            sizes |= {name: total - before} if name else {}
        if len(open_) > _DEEPEST:
            raise NotYamlError(f"it is nested more than {_DEEPEST} deep", line)
        if total > _LARGEST:
            raise NotYamlError(f"with its aliases written out it has more than {_LARGEST >> 20} MiB", line)


class YamlNodes:
    """The nodes of a document, for the lines of its parts."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._members: dict[int, dict[Any, Any]] = {}

    def line(self, *path: str | int) -> int:
        """Return the line of the part at a path; that of the nearest part above it where there is none."""
        node = self._root
        for key in path:
            child = self._child(node, key)
            if child is None:
                break
            node = child
        return int(node.start_mark.line) + 1

    def _child(self, node: Any, key: str | int) -> Any:
        value = getattr(node, "value", None)
        if isinstance(key, int):
            return value[key] if isinstance(value, list) and key < len(value) and node.id == "sequence" else None
        if getattr(node, "id", "") != "mapping" or not isinstance(value, list):
            return None
        if id(node) not in self._members:
            self._members[id(node)] = {name.value: inner for name, inner in reversed(value) if name.id == "scalar"}
        return self._members[id(node)].get(key)


def table(value: object) -> Mapping[str, Any]:
    """Return a value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows(value: object) -> list[Any]:
    """Return a value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def seconds(value: object) -> str | None:
    """Return a number of seconds as a duration; None if it is not a number of at least a millisecond."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 < value < 10**9:
        return None
    milliseconds = round(value * 1000)
    return format_duration(milliseconds * 1000) if milliseconds else None
