"""What to simulate, as people write it: the options of ``akjob simulate``, and the fields of the page."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo

from msgspec import Struct

from akjob.errors import UsageError
from akjob.query.moments import moment
from akjob.query.names import unknown_job
from akjob.query.plan import DEFAULT_US, check_order
from akjob.units import parse_duration


class Scenario(Struct, frozen=True, kw_only=True):
    """What is pretended in [from, until): downtimes, jobs or single slots that fail, how long jobs take.

    How long others take is the median of their last runs; with a ``seed`` it is one of them, by chance. ``machines``
    says how many share the runs; None: what the settings have for this one.
    """

    from_us: int
    until_us: int
    downs: tuple[tuple[int, int], ...] = ()
    failures: tuple[tuple[str, int | None], ...] = ()
    takes: Mapping[str, int] = {}
    seed: int | None = None
    machines: int | None = None


class Wish(Struct, frozen=True, kw_only=True):
    """A simulation as it was asked for, text by text."""

    since: str | None = None
    until: str | None = None
    downs: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    seed: int | None = None
    machines: int | None = None
    rev: str | None = None

    def command(self) -> str:
        """Return the same as a command line."""
        return shlex.join(["akjob", "simulate", *self._options()])

    def _options(self) -> Iterator[str]:
        single = {
            "--from": self.since, "--until": self.until, "--rev": self.rev, "--machines": self.machines,
            "--seed": self.seed,
        }  # fmt: skip
        several = {"--down": self.downs, "--fail": self.failures, "--takes": self.takes}
        for name, value in single.items():
            yield from () if value is None else (name, str(value))
        for name, values in several.items():
            for one in values:
                yield from (name, one)


def read(wish: Wish, names: Sequence[str], now_us: int, zone: tzinfo) -> Scenario:
    """Return what a wish means for the jobs of these names. Raises UsageError for what it cannot mean."""
    from_us = now_us if wish.since is None else moment(wish.since, "--from", now_us, zone, past=False)
    until_us = from_us + DEFAULT_US if wish.until is None else moment(wish.until, "--until", from_us, zone, past=False)
    check_order(from_us, until_us)
    return Scenario(
        from_us=from_us,
        until_us=until_us,
        downs=tuple(_down(one, from_us, zone) for one in wish.downs),
        failures=tuple(_failure(names, one, from_us, zone) for one in wish.failures),
        takes=dict(_duration(names, one) for one in wish.takes),
        seed=wish.seed,
        machines=wish.machines,
    )


def _down(text: str, from_us: int, zone: tzinfo) -> tuple[int, int]:
    """Read ``A..B``."""
    first, dots, last = text.partition("..")
    if not dots:
        raise UsageError(f"--down {text}: this is not A..B", hint="Write --down 2026-03-29T01:00..2026-03-29T04:00.")
    start_us = moment(first, "--down", from_us, zone, past=False)
    end_us = moment(last, "--down", start_us, zone, past=False)
    if end_us <= start_us:
        raise UsageError(f"--down {text}: it ends before it begins", hint="The later time comes second.")
    return start_us, end_us


def _failure(names: Sequence[str], text: str, from_us: int, zone: tzinfo) -> tuple[str, int | None]:
    """Read ``JOB`` or ``JOB@SLOT``; an instance has an @ in its own name."""
    if text in names:
        return text, None
    job, _, slot = text.rpartition("@")
    if job not in names:
        raise unknown_job(job or text, sorted(names))
    return job, moment(slot, "--fail", from_us, zone, past=False)


def _duration(names: Sequence[str], text: str) -> tuple[str, int]:
    """Read ``JOB=DURATION``."""
    job, _, duration = text.partition("=")
    if job not in names:
        raise unknown_job(job, names)
    try:
        return job, parse_duration(duration)
    except ValueError as error:
        raise UsageError(f"--takes {text}: {error}", hint=f"Write --takes {job}=90s.") from None
