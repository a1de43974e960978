"""What usually goes wrong on a machine, looked for before it does: paths, rights, limits, clock, disk, programs."""

from akjob.doctor.checks import CHECKS, examine
from akjob.doctor.finding import Finding, Subject

__all__ = ["CHECKS", "Finding", "Subject", "examine"]
