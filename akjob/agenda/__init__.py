"""Everything akjobd decides, without its clock and its I/O: what happened goes in, what to do comes out."""

from akjob.agenda.backfills import Asked
from akjob.agenda.core import Agenda
from akjob.agenda.faults import Fault
from akjob.agenda.jobs import last_good
from akjob.agenda.life import TRANSITIONS, WAITS, Effects, FarStop, Recall, Running, Start, Stop
from akjob.run.end import End

__all__ = [
    "TRANSITIONS",
    "WAITS",
    "Agenda",
    "Asked",
    "Effects",
    "End",
    "FarStop",
    "Fault",
    "Recall",
    "Running",
    "Start",
    "Stop",
    "last_good",
]
