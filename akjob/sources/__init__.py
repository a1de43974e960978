"""What makes jobs due besides the calendar. Each kind is one class, and is in KINDS once; events come from EVENTS."""

from akjob.schedule.events import EVENTS, Loaded
from akjob.sources.after import AfterEnd
from akjob.sources.change import FilesChange
from akjob.sources.events import AnEvent
from akjob.sources.kind import Kind

AFTER = AfterEnd()
KINDS: tuple[Kind, ...] = (*map(AnEvent, EVENTS.values()), AFTER, FilesChange())

__all__ = ["AFTER", "KINDS", "Kind", "Loaded"]
