"""The log's own lines as a terminal shows them: the start and the end of a run, one short line each."""

from collections.abc import Mapping
from typing import Any

import msgspec

from akjob.instants import SECOND
from akjob.query.runs import ReportedEnd, explain
from akjob.query.text import span

_KEPT = ("timestamp", "level", "job", "source")


def shortened(line: Mapping[str, object]) -> dict[str, Any]:
    """Return a line with one sentence in place of its fields, where it tells of the start or the end of a run."""
    if line.get("source") == "job" or line.get("event") not in _SENTENCES:
        return dict(line)
    kept = {key: line[key] for key in _KEPT if key in line}
    return {**kept, "event": _SENTENCES[str(line["event"])](line)}


def _started(line: Mapping[str, object]) -> str:
    attempt = f", attempt {line['attempt']}" if line.get("attempt", 1) != 1 else ""
    trigger = f", {line['trigger']}" if line.get("trigger", "schedule") != "schedule" else ""
    return f"run {line.get('run')} started{trigger}{attempt}"


def _finished(line: Mapping[str, object]) -> str:
    end = msgspec.convert(line, ReportedEnd)
    took = "" if end.duration_s is None else f" in {span(round(end.duration_s * SECOND))}"
    why = explain(end)
    return f"run {line.get('run')} {end.state}{took}" + (f": {why}" if why else "")


_SENTENCES = {"run.started": _started, "run.finished": _finished}
