"""The codes of problems, from their registry."""

from collections.abc import Iterator

from akjob.query.reference.entry import Entry
from akjob.spec.codes import CODES


def problem_entries() -> Iterator[Entry]:
    """Yield the codes."""
    for code, one in CODES.items():
        milder = "".join(f"; {severity} {when}" for severity, when in one.milder)
        facts = (("severity", f"{one.severity}{milder}"), ("advice", one.advice))
        yield Entry(name=code, kind="problem", summary=one.summary, facts=facts)
