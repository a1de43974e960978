"""One entry of the reference, and the texts that entries are made of."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

KINDS = {
    "key": "KEYS OF A JOB FILE",
    "setting": "SETTINGS: etc/akjob.toml",
    "variable": "VARIABLES OF A RUN",
    "problem": "PROBLEM CODES",
    "event": "EVENTS",
    "metric": "METRICS",
    "answer": "PROBLEMS OF THE API",
    "column": "TABLES AND COLUMNS OF THE LEDGER",
}
"""The kinds of entries in their order, with the heading of each in a list."""

# label in akjob/data/reference -> label of the fact, in the order in which an entry has them
LABELS = {
    "does": "details",
    "limits": "limits",
    "with": "with others",
    "time": "time",
    "edit": "an edit",
    "live": "an edit",
    "needs": "needs",
    "seen": "shown as",
    "example": "example",
    "real": "example",
    "cron": "cron",
    "systemd": "systemd",
    "kubernetes": "kubernetes",
}


class Entry(Struct, frozen=True, kw_only=True):
    """One entry: its ``name``, what it is, its first sentence, and ``facts`` as pairs of a label and a string."""

    name: str
    kind: Literal["key", "setting", "variable", "problem", "event", "metric", "answer", "column"]
    summary: str
    facts: tuple[tuple[str, str], ...]


def texts(name: str) -> dict[str, Any]:
    """Return a file of ``akjob/data/reference``."""
    return tomllib.loads((_data() / "reference" / f"{name}.toml").read_text(encoding="utf-8"))


def page(name: str) -> str:
    """Return a page of docs/reference/, which the package carries and a checkout has in docs/."""
    packaged = _data() / name
    in_source = Path(__file__).parents[3] / "docs" / "reference" / name
    return (packaged if packaged.exists() else in_source).read_text(encoding="utf-8")


def _data() -> Path:
    return Path(__file__).parents[2] / "data"


def examples_with(path: str, table: Mapping[str, str]) -> dict[str, str]:
    """Return those examples of a table that have the key at ``path``, which needs none of its own then."""
    key = path.removesuffix(".NAME").rpartition(".")[2]
    used = re.compile(rf"(?<![\w-]){re.escape(key)}\s*[=.\]]")
    return {label: table[label] for label in ("example", "real") if used.search(table.get(label, ""))}


def facts_of(written: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what is written of an entry as facts, in the order that all entries have."""
    return [(label, written[key].strip()) for key, label in LABELS.items() if key in written]
