"""What makes jobs due besides the calendar. Each kind is one class, and is in KINDS once; events come from EVENTS."""

from akjob.schedule.events import EVENTS, Loaded
from akjob.sources.after import AfterEnd
from akjob.sources.change import FilesChange
from akjob.sources.events import AnEvent
from akjob.sources.kind import Kind
from akjob.spec.model import JobSpec

AFTER = AfterEnd()
KINDS: tuple[Kind, ...] = (*map(AnEvent, EVENTS.values()), AFTER, FilesChange())

__all__ = ["AFTER", "KINDS", "Kind", "Loaded", "may_occur"]


def may_occur(spec: JobSpec) -> bool:
    """Return True if the loading of a job may make it due: only the events of a start do."""
    return bool(spec.schedule.delays)
