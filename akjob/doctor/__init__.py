"""What usually goes wrong on a machine, looked for before it does: paths, rights, limits, clock, disk, programs."""

from akjob.doctor.checks import CHECKS, examine
from akjob.doctor.diagnosis import Diagnosis, Subject

__all__ = ["CHECKS", "Diagnosis", "Subject", "examine"]
