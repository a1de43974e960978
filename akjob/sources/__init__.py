"""What makes jobs due besides the calendar. Each kind is one class in a file of this room, and is in KINDS once."""

from akjob.sources.after import AfterEnd
from akjob.sources.change import FilesChange
from akjob.sources.kind import Kind, Loaded
from akjob.sources.starts import OnBoot, OnStart

AFTER = AfterEnd()
KINDS: tuple[Kind, ...] = (OnStart(), OnBoot(), AFTER, FilesChange())

__all__ = ["AFTER", "KINDS", "Kind", "Loaded"]
