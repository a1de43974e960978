"""Where each value of a definition comes from: its own file, a ``_defaults.toml``, the settings, or the default."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from akjob.config import DEFAULTS, Config, Paths
from akjob.keys.key import Keys
from akjob.spec.canonical import value_text
from akjob.spec.instances import INSTANCES, SEPARATOR
from akjob.spec.job import CODE, SECTIONS, TOP
from akjob.spec.model import JobSpec
from akjob.toml.read import read_table

_BUILT_IN = "default"
_MOST_BYTES = 1 << 20


class Value(Struct, frozen=True, kw_only=True):
    """One value: its key with its table, what it is as TOML, and the file it stands in, ``default`` for none."""

    key: str
    value: str
    origin: str

    @property
    def is_given(self) -> bool:
        """True if a file says it."""
        return self.origin != _BUILT_IN


def values_of(paths: Paths, config: Config, spec: JobSpec) -> list[Value]:
    """Return all values of a definition that have one, in the order of a job file.

    The files are read as they are now: a value that none of them has any more is said to be of the version that runs.
    """
    table, _, _ = read_table(spec.file, spec.definition)
    layers = list(_layers(paths, config, spec))
    found = list(_values("", table, {name: key for name, key in TOP.items() if name not in SECTIONS}, layers))
    for section, members in SECTIONS.items():
        own = table.get(section, {})
        found += _values(section, own, members, [(file, _inner(given, section)) for file, given in layers])
    return found


def _inner(table: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    inner = table.get(section)
    return inner if isinstance(inner, dict) else {}


def _values(
    section: str, table: Mapping[str, Any], members: Keys, layers: list[tuple[str, Mapping[str, Any]]]
) -> Iterator[Value]:
    for name, key in members.items():
        shown = f"{section}.{name}" if section else name
        if name in table:
            origin = next((file for file, given in layers if name in given), "the version that runs")
            yield Value(key=shown, value=value_text(table[name]), origin=origin)
        elif key.default is not None and name not in CODE:
            yield Value(key=shown, value=value_text(key.default), origin=_BUILT_IN)


def _layers(paths: Paths, config: Config, spec: JobSpec) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the tables that a job is made of, the nearest first, each with its file."""
    own = _table(paths, spec.file)
    instance = spec.name.partition(SEPARATOR)[2]
    several = own.get(INSTANCES)
    if instance and isinstance(several, dict) and isinstance(several.get(instance), dict):
        yield f"{spec.file} [{INSTANCES}.{instance}]", several[instance]
    yield spec.file, own
    folders = [source for source in spec.sources if source.rpartition("/")[2] == DEFAULTS]
    for source in sorted(folders, key=lambda one: -one.count("/")):
        yield source, _table(paths, source)
    settings = {"run": config.run_defaults, "notify": config.notify_defaults, "schedule": {}, "limits": {}}
    yield config.file, {**settings, "schedule": {"timezone": config.timezone}} if config.timezone != "UTC" else settings


def _table(paths: Paths, file: str) -> Mapping[str, Any]:
    """Return the table of a file that the job set named; empty where it cannot be read now."""
    try:
        with open(paths.root / file, "rb") as opened:
            data = opened.read(_MOST_BYTES)
    except OSError:
        return {}
    return read_table(file, data)[0]
