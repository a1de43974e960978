"""The events of the log and the metrics, from their pages: these are tables, which the package carries."""

from collections import defaultdict
from collections.abc import Iterator
from re import compile as pattern

from akjob.query.reference.entry import Entry, page

_SOURCE = pattern(r"## `source` is `(\w+)`")
_EVENT = pattern(r"\| (?P<names>`[a-z]+\.[a-z_]+`(?:, `[a-z]+\.[a-z_]+`)*) \| (?P<fields>.*) \|$")
_OF_A_JOB = pattern(r"\| `[^|]*` \| `(?P<names>[a-z]+\.[a-z_]+)` \| (?P<fields>.*) \|$")
_METRIC = pattern(r"\| `(?P<name>akjob_\w+)` \| (?P<labels>.*?) ?\| (?P<meaning>.*) \|$")


def event_entries() -> Iterator[Entry]:
    """Yield the events of ``reference/events.md``, each with its fields by who logs it."""
    source, found = "", defaultdict[str, dict[str, str]](dict)
    for line in page("events.md").splitlines():
        head, row = _SOURCE.match(line), _EVENT.match(line) or _OF_A_JOB.match(line)
        source = head[1] if head else source
        for name in row["names"].replace("`", "").split(", ") if row else ():
            found[name][source] = row["fields"].replace("`", "") if row else ""
    for name, of_source in found.items():
        summary = f"An event of the log, from {' and '.join(of_source)}."
        yield Entry(name=name, kind="event", summary=summary, facts=tuple(of_source.items()))


def metric_entries() -> Iterator[Entry]:
    """Yield the metrics of ``reference/metrics.md``."""
    for line in page("metrics.md").splitlines():
        row = _METRIC.match(line)
        if row is not None:
            facts = [("labels", row["labels"].replace("`", ""))] if row["labels"] else []
            where = "`/metrics/jobs`, `akjob metrics --jobs`" if row["name"].startswith("akjob_job_") else "`/metrics`"
            facts.append(("where", where))
            yield Entry(name=row["name"], kind="metric", summary=_sentence(row["meaning"]), facts=tuple(facts))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
