"""``on_start`` and ``on_boot``: akjobd's start, and the machine's."""

from collections.abc import Iterator

from akjob.ledger.model import Occurrence
from akjob.sources.kind import Kind, Loaded
from akjob.spec.model import JobSpec


class OnStart(Kind):
    """Each start of akjobd; never a loading later on."""

    name = "on_start"

    def on_load(self, spec: JobSpec, loaded: Loaded) -> Iterator[Occurrence]:
        """Yield akjobd's start."""
        if loaded.first and spec.schedule.on_start:
            yield _occurrence(spec, self.name, loaded.started_us)

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if the job is still to run at a start: it has been one."""
        del occurrence
        return spec.schedule.on_start


class OnBoot(Kind):
    """The boot of the machine, once, when akjobd starts for the first time after it."""

    name = "on_boot"

    def on_load(self, spec: JobSpec, loaded: Loaded) -> Iterator[Occurrence]:
        """Yield the boot while nothing is decided about it, for a job that was there before it.

        A slot that was claimed ahead, or a clock that was ahead once, may have put the watermark past the boot: the
        first akjobd after it knows better.
        """
        at_us = loaded.boot_us
        if at_us is None or not spec.schedule.on_boot:
            return
        is_open = at_us > loaded.watermark_us or (loaded.first and loaded.booted)
        if is_open and not loaded.is_new:
            yield _occurrence(spec, self.name, at_us)

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if the job is still to run after a boot: it has been one."""
        del occurrence
        return spec.schedule.on_boot


def _occurrence(spec: JobSpec, name: str, at_us: int) -> Occurrence:
    return Occurrence(job=spec.name, key=f"{name}:{at_us}", at_us=at_us, trigger="start")
