"""What `akjob help` knows: every key, every code, every event."""

import pytest

from akjob.query.reference import Entry, entries, type_words


def of(kind: str) -> dict[str, Entry]:
    """Return the entries of one kind by name."""
    return {entry.name: entry for entry in entries() if entry.kind == kind}


def test_a_key_says_type_default_and_where() -> None:
    """As the tables of the parser have them."""
    facts = dict(of("key")["run.overlap"].facts)
    assert facts["type"] == '"skip" or "queue" or "replace" or "allow"'
    assert facts["default"] == '"skip"'
    assert facts["where"] == "[run] in a job file or _defaults.toml, or in etc/akjob.toml"


def test_an_event_of_two_programs_has_the_fields_of_both() -> None:
    """Of a run's end akjobd logs what its shim cannot."""
    assert [label for label, _ in of("event")["run.finished"].facts] == ["akjobd", "run"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, "string or array of string"),
        ({"type": "object", "properties": {"a": {}, "b": {}}}, "table { a, b }"),
        ({"const": "none"}, '"none"'),
        ({}, "value"),
    ],
)
def test_types_in_words(schema: dict[str, object], words: str) -> None:
    """In TOML's words."""
    assert type_words(schema) == words
