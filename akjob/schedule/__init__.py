"""WHEN a job is due: triggers, limits, time zones and the next slot. Pure: no clock, no logging.

The one question is :func:`next_slot`: the first slot strictly after an instant. Everything is an ``int`` of
microseconds since 1970 (see :mod:`akjob.instants`).
"""

from akjob.schedule.cron import check_cron, cron_both_days, expand_alias
from akjob.schedule.never import never_fires
from akjob.schedule.plan import (
    Memory,
    Plan,
    compile_schedule,
    count_between,
    jitter_us,
    next_slot,
    next_slots,
    previous_slot,
    slots_between,
)
from akjob.schedule.words import describe
from akjob.schedule.zones import get_zone, is_zone, near_zones, zone_error, zone_names

__all__ = [
    "Memory",
    "Plan",
    "check_cron",
    "compile_schedule",
    "count_between",
    "cron_both_days",
    "describe",
    "expand_alias",
    "get_zone",
    "is_zone",
    "jitter_us",
    "near_zones",
    "never_fires",
    "next_slot",
    "next_slots",
    "previous_slot",
    "slots_between",
    "zone_error",
    "zone_names",
]
