"""YAML documents with the lines of their parts, read with PyYAML's safe loader."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from akjob.units import format_duration


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
    """Yield each document with the nodes that it was made of. Raises NotYamlError."""
    import yaml  # noqa: PLC0415 - only these imports need it

    try:
        loader = yaml.SafeLoader(text)
        while loader.check_node():
            node: Any = loader.get_node()
            value = loader.construct_document(node)
            yield Part(value, node.start_mark.line + 1), YamlNodes(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        raise NotYamlError(f"it is not YAML: {what}", 1 if mark is None else mark.line + 1) from None
    except (ValueError, RecursionError, OverflowError, TypeError) as error:
        raise NotYamlError(f"it cannot be read: {type(error).__name__}", 1) from None


class YamlNodes:
    """The nodes of a document, for the lines of its parts."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def line(self, *path: str | int) -> int:
        """Return the line of the part at a path; that of the nearest part above it where there is none."""
        node = self._root
        for key in path:
            child = _child(node, key)
            if child is None:
                break
            node = child
        return int(node.start_mark.line) + 1


def _child(node: Any, key: str | int) -> Any:
    value = getattr(node, "value", None)
    if isinstance(key, int):
        return value[key] if isinstance(value, list) and key < len(value) and node.id == "sequence" else None
    if getattr(node, "id", "") != "mapping" or not isinstance(value, list):
        return None
    return next((inner for name, inner in value if name.value == key), None)


def table(value: Any) -> Mapping[str, Any]:
    """Return a value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Any]:
    """Return a value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def seconds(value: Any) -> str | None:
    """Return a number of seconds as a duration; None if it is not a number of at least a millisecond."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 < value < 10**9:
        return None
    milliseconds = round(value * 1000)
    return format_duration(milliseconds * 1000) if milliseconds else None
