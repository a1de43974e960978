"""The codes of the problems that the API answers with."""

from collections.abc import Iterator

from akjob.query.reference.entry import Entry, texts


def answer_entries() -> Iterator[Entry]:
    """Yield the codes."""
    for code, summary in texts("answers").items():
        facts = (("where", f"`code` of application/problem+json; `type` is urn:akjob:problem:{code}"),)
        yield Entry(name=code, kind="answer", summary=summary, facts=facts)
