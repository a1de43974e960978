"""The keys of etc/akjob.toml, from the tables that it is read with."""

from collections.abc import Iterator, Mapping

from akjob.config import TABLES
from akjob.query.reference.entry import Entry, examples_with, facts_of, texts

_LIVE = "akjobd takes a change within a second of the file being saved."


def setting_names() -> tuple[str, ...]:
    """Return every key, a table before its own; NAME stands for a name that the user gives."""
    found: list[str] = []
    for table, members in TABLES.items():
        if table and table not in found:
            found.append(table)
        found += [f"{table}.{name}" if table else name for name in members]
    return tuple(dict.fromkeys(found))


def setting_entries() -> Iterator[Entry]:
    """Yield the settings."""
    written = texts("settings")
    for name in setting_names():
        one = written[name]
        facts = [("type", one["type"])]
        if "default" in one:
            facts.append(("default", one["default"]))
        table, _, _ = name.rpartition(".")
        facts.append(("where", f"[{table}] in etc/akjob.toml" if table else "etc/akjob.toml"))
        live = written.get(name.partition(".")[0], {}).get("live", _LIVE)
        facts += facts_of({"live": live, **_examples(name, written), **one})
        yield Entry(name=name, kind="setting", summary=one["summary"], facts=tuple(facts))


def _examples(name: str, written: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the examples of the nearest table around a key that have it."""
    table = name
    while table := table.rpartition(".")[0]:
        if table in written and (found := examples_with(name, written[table])):
            return found
    return {}
