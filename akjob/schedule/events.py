"""The triggers that are events: a job is due when one happens, or some time after it.

EVENTS is the registry: the reader of ``[schedule]``, the JSON Schema, `akjob help`, the words of `akjob show` and what
akjobd decides at a loading are all made from it, so a new trigger is one class here and its paragraph in the docs.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct


class Loaded(Struct, frozen=True, kw_only=True):
    """The loading of a definition, as the events see it.

    ``started_us`` is akjobd's start, ``boot_us`` the instant that stands for the machine's boot (None: unknown).
    ``first``: akjobd has just started; ``booted``: and no akjobd has since the boot; ``is_new``: the job has no
    history; ``watermark_us`` is the instant up to which all is accounted for.
    """

    now_us: int
    started_us: int
    boot_us: int | None
    first: bool
    booted: bool
    is_new: bool
    watermark_us: int


class Event:
    """One of these triggers. Its value in a file is ``true``, or how long after the event the job is due."""

    name = ""
    """The key in ``[schedule]``."""
    doc = ""
    """What it means, for the schema and `akjob help`."""
    words = ""
    """The trigger in words."""
    later = ""
    """The same with a delay, which replaces ``{}``."""
    example = "true"

    def due(self, delay_us: int, loaded: Loaded) -> Iterator[int]:
        """Yield the instants at which the loading of a definition makes its job due."""
        raise NotImplementedError


class OnStart(Event):
    """Each start of akjobd; never a loading later on."""

    name = "on_start"
    doc = "Each time akjobd starts, never on reload; or this long after it."
    words = "each time akjobd starts"
    later = "{} after each start of akjobd"

    def due(self, delay_us: int, loaded: Loaded) -> Iterator[int]:
        """Yield akjobd's start, or the instant that the job wants after it."""
        if loaded.first:
            yield loaded.started_us + delay_us


class OnBoot(Event):
    """The boot of the machine, once, when akjobd starts for the first time after it."""

    name = "on_boot"
    doc = "Once after each boot of the machine; or this long after it."
    words = "once after each boot of the machine"
    later = "once {} after each boot of the machine"
    example = '"2m"'

    def due(self, delay_us: int, loaded: Loaded) -> Iterator[int]:
        """Yield the boot, or the instant that the job wants after it, while nothing is decided about it.

        A job that is loaded after the boot has it while that instant lies ahead.
        A slot that was claimed ahead, or a clock that was ahead once, may have put the watermark past the boot: the
        first akjobd after it knows better.
        """
        if loaded.boot_us is None:
            return
        at_us = loaded.boot_us + delay_us
        is_first = loaded.first and loaded.booted and not loaded.is_new
        decided_us = loaded.now_us if loaded.is_new else loaded.watermark_us
        if at_us > decided_us or is_first:
            yield at_us


EVENTS: Mapping[str, Event] = {event.name: event for event in (OnStart(), OnBoot())}
