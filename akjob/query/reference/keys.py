"""The keys of a job file, from the schema that the parser's tables make."""

from collections.abc import Iterator, Mapping
from typing import Any

from akjob.keys.schemas import DURATION, SIZE
from akjob.query.reference.entry import Entry, examples_with, facts_of, texts
from akjob.spec.canonical import value_text
from akjob.spec.job import CODE, SECTIONS
from akjob.spec.schema import json_schema
from akjob.spec.when import TRIGGERS

Schema = Mapping[str, Any]
_SETTINGS = {"run", "notify"}
_OWN = {*CODE, "args", "kwargs", "expect", "instances"}


def key_entries() -> Iterator[Entry]:
    """Yield the keys at the top, those of each table, and those of the tables within these."""
    written = texts("keys")
    for name, schema in json_schema()["properties"].items():
        yield from _entries(name, schema, written["top"].get(name, {}), written["top"]["*"])
        for inner, inner_schema in schema.get("properties", {}).items() if name in SECTIONS else ():
            section = written[name]
            yield from _entries(f"{name}.{inner}", inner_schema, section[inner], section.get("*", {}))


def _entries(name: str, schema: Schema, written: Schema, of_all: Schema) -> Iterator[Entry]:
    """Yield a key, and the keys of the tables that may be its value."""
    shared = {} if name in {*SECTIONS, "instances"} else of_all
    known = {**shared, **written}
    yield _entry(name, schema, known)
    if name not in SECTIONS:
        # a table and an array of it have the same keys
        for path, (inner, needed) in {path: (inner, needed) for path, inner, needed in _inner(name, schema)}.items():
            yield _entry(path, inner, {"edit": known["edit"], **examples_with(path, known)}, needed=needed)


def _inner(name: str, schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
    """Yield the path and the schema of each key within a value, and whether its table must have it."""
    for one in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        for key, inner in one.get("properties", {}).items():
            yield f"{name}.{key}", inner, key in one.get("required", ())
            yield from _inner(f"{name}.{key}", inner)
        if isinstance(one.get("items"), Mapping):
            yield from _inner(name, one["items"])
        if isinstance(one.get("additionalProperties"), Mapping):
            yield from _inner(f"{name}.NAME", one["additionalProperties"])


def _entry(name: str, schema: Schema, written: Schema, *, needed: bool = False) -> Entry:
    facts = [("type", type_words(schema))]
    if name not in SECTIONS:
        facts.append(("default", _default(name, schema, needed=needed)))
    facts += [("example", value_text(one)) for one in schema.get("examples", ())]
    facts.append(("where", _where(name)))
    return Entry(name=name, kind="key", summary=schema["description"], facts=(*facts, *facts_of(written)))


def _default(name: str, schema: Schema, *, needed: bool) -> str:
    if schema.get("default") is not None:
        return value_text(schema["default"])
    if name in CODE:
        return f"none: exactly one of {', '.join(CODE)} must be given"
    return "none: it must be given" if needed else "none"


def _where(name: str) -> str:
    section, _, rest = name.partition(".")
    key, _, inner = rest.partition(".")
    if inner:
        return f"the table of {section}.{key}"
    if section == "expect":
        return "[[expect]] tables of a job file"
    if section not in SECTIONS:
        if rest:
            return f"the table of {section}"
        return "the top of a job file" + ("" if section in _OWN else ", or of _defaults.toml")
    if not rest:
        return "a job file, _defaults.toml" + (", etc/akjob.toml" if section in _SETTINGS else "")
    if key in TRIGGERS or key == "runs":
        return f"[{section}] in a job file; not in _defaults.toml"
    settings = ", or in etc/akjob.toml" if section in _SETTINGS else ""
    as_timezone = ", or `timezone` in etc/akjob.toml" if name == "schedule.timezone" else ""
    return f"[{section}] in a job file or _defaults.toml{settings}{as_timezone}"


def type_words(schema: Schema) -> str:
    """Return what a JSON Schema accepts, in words: ``string or array of strings``."""
    if "anyOf" in schema or "oneOf" in schema:
        words = [type_words(one) for one in schema.get("anyOf", schema.get("oneOf", ()))]
        words = [word for word in words if word != "value"] or [str(schema.get("type", "value"))]
        return " or ".join(dict.fromkeys(words))
    if "enum" in schema:
        return " or ".join(value_text(one) for one in schema["enum"])
    if "const" in schema:
        return value_text(schema["const"])
    kind = str(schema.get("type", "value"))
    if schema.get("pattern") in _PATTERNS:
        return _PATTERNS[schema["pattern"]]
    if kind == "array":
        return f"array of {type_words(schema['items'])}" if isinstance(schema.get("items"), Mapping) else "array"
    if kind == "object":
        properties = schema.get("properties", {})
        return f"table {{ {', '.join(properties)} }}" if properties else "table"
    return _FORMATS.get(str(schema.get("format", "")), kind)


_PATTERNS = {DURATION["pattern"]: "duration", SIZE["pattern"]: "size"}
_FORMATS = {
    "date": "date",
    "partial-time": "time",
    "date-time": "date-time",
    "partial-date-time": "date-time",
    "uri": "URL",
}
