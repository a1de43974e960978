"""The reference in the terminal: what each key of a job file, each problem code and each event of the log means."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from re import compile as pattern
from typing import Any, Literal

from msgspec import Struct

from akjob.spec.canonical import value_text
from akjob.spec.codes import CODES
from akjob.spec.job import SECTIONS, TOP
from akjob.spec.keys import Key

_SOURCE = pattern(r"## `source` is `(\w+)`")
_EVENT = pattern(r"\| (?P<names>`[a-z]+\.[a-z_]+`(?:, `[a-z]+\.[a-z_]+`)*) \| (?P<fields>.*) \|$")
_PACKAGED = Path(__file__).parents[1] / "data" / "events.md"
_IN_SOURCE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"


class Entry(Struct, frozen=True, kw_only=True):
    """One entry: its ``name``, what it is, its first sentence, and ``facts`` as pairs of a label and a string."""

    name: str
    kind: Literal["key", "problem", "event"]
    summary: str
    facts: tuple[tuple[str, str], ...]


def entries() -> tuple[Entry, ...]:
    """Return all entries: keys, problem codes, events. Names are not unique: ``run.missed`` is a key and an event."""
    return (*_keys(), *_problems(), *_events())


def _keys() -> Iterator[Entry]:
    for key in TOP.values():
        yield _key(key, "")
        for inner in SECTIONS.get(key.name, {}).values():
            yield _key(inner, f"{key.name}.")


def _key(key: Key, above: str) -> Entry:
    facts = [("type", type_words(key.schema))]
    if key.default is not None:
        facts.append(("default", value_text(key.default)))
    facts += [("example", value_text(one)) for one in key.schema.get("examples", ())]
    facts.append(("where", _where(key.name, above)))
    return Entry(name=f"{above}{key.name}", kind="key", summary=key.doc, facts=tuple(facts))


def _where(name: str, above: str) -> str:
    if not above:
        return "[[expect]] tables of a job file" if name == "expect" else "the top of a job file"
    settings = ", or in etc/akjob.toml" if above in {"run.", "notify."} else ""
    return f"[{above[:-1]}] in a job file or _defaults.toml{settings}"


def type_words(schema: Mapping[str, Any]) -> str:
    """Return what a JSON Schema accepts, in words: ``string or array of strings``."""
    if "anyOf" in schema or "oneOf" in schema:
        words = [type_words(one) for one in schema.get("anyOf", schema.get("oneOf", ()))]
        return " or ".join(dict.fromkeys(words))
    if "enum" in schema:
        return " or ".join(value_text(one) for one in schema["enum"])
    if "const" in schema:
        return value_text(schema["const"])
    kind = str(schema.get("type", "value"))
    if kind == "array":
        return f"array of {type_words(schema['items'])}" if isinstance(schema.get("items"), Mapping) else "array"
    if kind == "object":
        properties = schema.get("properties", {})
        return f"table {{ {', '.join(properties)} }}" if properties else "table"
    return kind


def _problems() -> Iterator[Entry]:
    for code, one in CODES.items():
        milder = "".join(f"; {severity} {when}" for severity, when in one.milder)
        facts = (("severity", f"{one.severity}{milder}"), ("advice", one.advice))
        yield Entry(name=code, kind="problem", summary=one.summary, facts=facts)


def _events() -> Iterator[Entry]:
    """Yield the events of ``reference/events.md``, which the package carries, each with its fields by who logs it."""
    source, found = "", defaultdict[str, dict[str, str]](dict)
    page = _PACKAGED if _PACKAGED.exists() else _IN_SOURCE
    for line in page.read_text(encoding="utf-8").splitlines():
        head, row = _SOURCE.match(line), _EVENT.match(line)
        source = head[1] if head else source
        for name in row["names"].replace("`", "").split(", ") if row else ():
            found[name][source] = row["fields"].replace("`", "") if row else ""
    for name, of_source in found.items():
        summary = f"An event of the log, from {' and '.join(of_source)}."
        yield Entry(name=name, kind="event", summary=summary, facts=tuple(of_source.items()))
