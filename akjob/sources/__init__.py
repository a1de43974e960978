"""What makes jobs due besides the calendar. Each kind is one class in a file of this room, and stands in KINDS once."""

from akjob.sources.kind import Kind, Loaded
from akjob.sources.starts import OnBoot, OnStart

KINDS: tuple[Kind, ...] = (OnStart(), OnBoot())

__all__ = ["KINDS", "Kind", "Loaded"]
