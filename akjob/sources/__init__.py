"""What makes jobs due besides the calendar. Each event of :data:`akjob.schedule.events.EVENTS` is a kind.

Those that more makes due than the loading of a job have a class of their own here.
"""

from akjob.ledger.model import EndMeaning, UpstreamEnd
from akjob.schedule.event import Loaded
from akjob.schedule.events import EVENTS
from akjob.sources.after import AfterEnd
from akjob.sources.kind import Kind

AFTER = AfterEnd()
_OWN: dict[str, Kind] = {AFTER.name: AFTER}
KINDS: tuple[Kind, ...] = tuple(_OWN.get(name) or Kind(event) for name, event in EVENTS.items())

__all__ = ["AFTER", "KINDS", "EndMeaning", "Kind", "Loaded", "UpstreamEnd"]
