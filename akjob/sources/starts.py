"""``on_start`` and ``on_boot``: akjobd's start, and the machine's."""

from collections.abc import Iterator

from akjob.ledger.model import Occurrence
from akjob.sources.kind import Kind, Loaded
from akjob.spec.model import JobSpec


class OnStart(Kind):
    """Each start of akjobd; never a loading later on."""

    name = "on_start"

    def on_load(self, spec: JobSpec, loaded: Loaded) -> Iterator[Occurrence]:
        """Yield akjobd's start, or the instant that the job wants after it."""
        delay_us = spec.schedule.on_start_us
        if loaded.first and delay_us is not None:
            yield _occurrence(spec, self.name, loaded.started_us + delay_us)

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if the job is still to run at a start: it has been one."""
        del occurrence
        return spec.schedule.on_start_us is not None


class OnBoot(Kind):
    """The boot of the machine, once, when akjobd starts for the first time after it."""

    name = "on_boot"

    def on_load(self, spec: JobSpec, loaded: Loaded) -> Iterator[Occurrence]:
        """Yield the boot, or the instant that the job wants after it, while nothing is decided about it.

        A job that is loaded after the boot has it while that instant lies ahead.
        A slot that was claimed ahead, or a clock that was ahead once, may have put the watermark past the boot: the
        first akjobd after it knows better.
        """
        delay_us = spec.schedule.on_boot_us
        if loaded.boot_us is None or delay_us is None:
            return
        at_us = loaded.boot_us + delay_us
        is_first = loaded.first and loaded.booted and not loaded.is_new
        decided_us = loaded.now_us if loaded.is_new else loaded.watermark_us
        if at_us > decided_us or is_first:
            yield _occurrence(spec, self.name, at_us)

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if the job is still to run after a boot: it has been one."""
        del occurrence
        return spec.schedule.on_boot_us is not None


def _occurrence(spec: JobSpec, name: str, at_us: int) -> Occurrence:
    return Occurrence(job=spec.name, key=f"{name}:{at_us}", at_us=at_us, trigger="start")
