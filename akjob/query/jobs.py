"""The jobs as the reading commands see them: the folder, the ledger, and what follows from both. Needs no akjobd."""

import os
import pwd
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from akjob.config import Config, Paths
from akjob.control import server
from akjob.errors import AkjobError
from akjob.instants import from_text, to_text
from akjob.jobset.loader import Loader
from akjob.jobset.model import Broken, JobSet, LastGood, Refused
from akjob.jobset.scan import SUFFIX, is_job_path
from akjob.ledger import Reader
from akjob.program import own_uid
from akjob.schedule import Memory, compile_schedule, next_slots
from akjob.spec.model import JobSpec

if TYPE_CHECKING:
    from akjob.jobset.git import Revision

WRONG_USAGE = 2


class Pause(Struct, frozen=True, kw_only=True):
    """Why a job's slots pass by. ``until_us`` None means until it is resumed."""

    since_us: int
    until_us: int | None
    reason: str
    by: str


class View(Struct, frozen=True, kw_only=True):
    """All jobs at ``now_us``; ``rows`` are the ledger's, ``running`` counts the runs of each job.

    ``claimed`` has the slots still to come whose orders are out already, the first of each job that has one;
    ``origins`` has, for each broken job, the commit that the refused version is from, and whether it differs from it.
    """

    paths: Paths
    jobset: JobSet
    rows: Mapping[str, Mapping[str, Any]]
    running: Mapping[str, int]
    now_us: int
    claimed: Mapping[str, int] = {}
    origins: Mapping[str, tuple[str | None, bool | None]] = {}

    def names(self) -> list[str]:
        """All jobs, sorted; those that are broken and never were good, too."""
        return sorted({*self.jobset.jobs, *self.jobset.broken})

    def job(self, name: str) -> "JobView":
        """Return one of ``names``."""
        return JobView(
            name=name,
            spec=self.jobset.jobs.get(name),
            broken=self.jobset.broken.get(name),
            row=self.rows.get(name),
            running=self.running.get(name, 0),
            now_us=self.now_us,
            claimed_us=self.claimed.get(name),
            origin=self.origins.get(name, (None, None)),
        )

    def find(self, wanted: str) -> "JobView":
        """Return the job that a person means by ``wanted``: its name, or its file. Raises AkjobError (exit code 2)."""
        for candidate in names_meant(self.paths, wanted):
            if candidate in self.jobset.jobs or candidate in self.jobset.broken:
                return self.job(candidate)
        raise unknown_job(wanted, self.names())


class JobView(Struct, frozen=True, kw_only=True):
    """One job: ``spec`` is None when it is broken and never was good; ``row`` is None before akjobd loaded it."""

    name: str
    spec: JobSpec | None
    broken: Broken | None
    row: Mapping[str, Any] | None
    running: int
    now_us: int
    claimed_us: int | None = None
    origin: tuple[str | None, bool | None] = (None, None)

    @property
    def refusal(self) -> dict[str, Any] | None:
        """What was refused, as ``status`` tells it; None for a job that is not broken."""
        commit, dirty = self.origin
        return None if self.broken is None else server.refusal(self.broken, commit, dirty=dirty)

    @property
    def pause(self) -> Pause | None:
        """The pause that holds now."""
        row = self.row
        if row is None or row["paused_at"] is None:
            return None
        until = row["paused_until"]
        until_us = None if until is None else from_text(until)
        if until_us is not None and until_us <= self.now_us:
            return None
        reason, by = row["pause_reason"] or "", row["paused_by"] or ""
        return Pause(since_us=from_text(row["paused_at"]), until_us=until_us, reason=reason, by=by)

    @property
    def runs_started(self) -> int:
        """How many scheduled slots were started, as ``runs`` counts them."""
        return 0 if self.row is None else int(self.row["runs_started"])

    @property
    def runs_left(self) -> int | None:
        """How many slots ``runs`` still allows; None for no such limit."""
        if self.spec is None or self.spec.runs is None:
            return None
        return max(0, self.spec.runs - self.runs_started)

    @property
    def last(self) -> tuple[str, int] | None:
        """The last outcome and when it ended."""
        if self.row is None or self.row["last_state"] is None:
            return None
        return self.row["last_state"], from_text(self.row["last_ended"])

    def next_slots(self, after_us: int, count: int) -> list[int]:
        """Return the next slots after an instant, pauses and ``enabled`` aside, as far as ``runs`` allows."""
        if self.spec is None:
            return []
        return slots_of(self.spec, self.row, after_us, count if self.runs_left is None else min(count, self.runs_left))

    @property
    def next_start_us(self) -> int | None:
        """The next slot that will start: None for a job that is disabled, done, or paused until it is resumed."""
        if self.spec is None or not self.spec.enabled:
            return None
        if self.claimed_us is not None:
            return self.claimed_us
        # The mark is ahead after a clock was set back: those slots have been accounted for.
        pause, after_us = self.pause, self.now_us if self.row is None else max(self.now_us, from_text(self.row["mark"]))
        if pause is not None:
            if pause.until_us is None:
                return None
            after_us = max(after_us, pause.until_us - 1)
        slots = self.next_slots(after_us, 1)
        return slots[0] if slots else None

    def as_json(self) -> dict[str, Any]:
        """Return the keys of ``akjob list --json``."""
        upcoming, last = self.next_start_us, self.last
        return {
            "job": self.name,
            "file": self.file,
            "enabled": self.spec.enabled if self.spec is not None else None,
            "paused": self.pause is not None,
            "broken": self.broken is not None,
            "running": self.running,
            "next": None if upcoming is None else to_text(upcoming),
            "last_state": None if last is None else last[0],
            "last_ended": None if last is None else to_text(last[1]),
        }

    @property
    def file(self) -> str:
        """The job's own file, below the root."""
        return self.spec.file if self.spec is not None else f"jobs.d/{self.name}.toml"


def load(paths: Paths, config: Config, now_us: int, reader: Reader | None = None) -> View:
    """Read the folder and the ledger, the root's own or ``reader``'s. Raises AkjobError where that cannot be read."""
    reader = Reader(paths.db) if reader is None else reader
    rows = reader.jobs()
    known = {name: row for name, row in rows.items() if row["removed_at"] is None or row["refused"] is not None}
    last_good = {name: _last_good(row) for name, row in known.items()}
    jobset = Loader(paths, config, last_good, own_uid=own_uid(paths), settle_us=0).load(now_us).jobset
    jobset = replace(jobset, broken={name: _dated(paths, one, rows.get(name)) for name, one in jobset.broken.items()})
    open_runs = reader.open_runs()
    running = Counter(row["job"] for row in open_runs if row["state"] == "running")
    claimed: dict[str, int] = {}
    for row in open_runs:
        slot_us = from_text(row["slot"])
        if row["state"] == "queued" and row["trigger"] == "schedule" and slot_us > now_us:
            claimed[row["job"]] = min(slot_us, claimed.get(row["job"], slot_us))
    origins = _origins(paths, jobset.broken, rows)
    return View(paths=paths, jobset=jobset, rows=rows, running=running, now_us=now_us, claimed=claimed, origins=origins)


def _origins(
    paths: Paths, broken: Mapping[str, Broken], rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[str | None, bool | None]]:
    """Return which commits the refused versions are from: as akjobd noted it, else the one that is checked out."""
    from akjob.jobset.git import Provenance  # noqa: PLC0415 - git is asked for broken files only

    found: dict[str, tuple[str | None, bool | None]] = {}
    revision: Revision | None = None
    for name, one in broken.items():
        row = rows.get(name)
        if row is not None and row["refused_commit"] is not None:
            found[name] = row["refused_commit"], bool(row["refused_dirty"])
            continue
        revision = revision or Provenance(paths).refresh_now()
        found[name] = revision.commit, revision.is_dirty(one.sources)
    return found


def _last_good(row: Mapping[str, Any]) -> LastGood:
    since = row["refused_since"]
    refused = None if since is None else Refused(content=row["refused"], since_us=from_text(since))
    loaded_us = from_text(row["last_loaded_at"])
    definition = row["definition"] if row["removed_at"] is None else ""
    return LastGood(file=row["file"], definition=definition, loaded_us=loaded_us, refused=refused)


def _dated(paths: Paths, broken: Broken, row: Mapping[str, Any] | None) -> Broken:
    """Say since when a job is broken that akjobd has not refused yet: since its file was written."""
    if row is not None and row["refused_since"] is not None:
        return broken
    try:
        written_us = (paths.root / broken.file).stat().st_mtime_ns // 1000
    except OSError:
        return broken
    return replace(broken, since_us=min(written_us, broken.since_us))


def slots_of(spec: JobSpec, row: Mapping[str, Any] | None, after_us: int, count: int) -> list[int]:
    """Return the next ``count`` slots strictly after ``after_us``; ``again_after`` as if each run ended at once."""
    if count < 1:
        return []
    again_us, from_us = spec.schedule.again_after_us, after_us
    if again_us is not None and row is not None:
        from_us, watermark_us = from_text(row["again_from"] or row["first_loaded_at"]), from_text(row["mark"])
        if from_us + again_us <= watermark_us:  # that slot came to no run: akjobd counts from it
            from_us = watermark_us
        from_us += max(0, (after_us - from_us) // again_us) * again_us  # the last end, had each run ended at once
    memory = Memory(loaded_us=from_us, last_end_us=from_us)
    return next_slots(compile_schedule(spec.schedule), after_us, count, memory)


def name_of_file(wanted: str) -> str:
    """Return the job that ``jobs.d/reports/nightly.toml`` means; any other text as it is."""
    if not wanted.endswith(SUFFIX):
        return wanted
    return wanted.removeprefix("./").removeprefix("jobs.d/").removesuffix(SUFFIX)


def names_meant(paths: Paths, wanted: str) -> list[str]:
    """Return the jobs that a person may mean by ``wanted``, which need not exist, the likeliest first.

    The job of exactly this name; the one whose file it is the path of; the one whose file it is below the root or below
    ``jobs.d/``, wherever one is. None of them lies outside of ``jobs.d/``.
    """
    names = [wanted]
    if wanted.endswith(SUFFIX):
        folder, file = os.path.split(os.path.abspath(wanted))
        # As it is written, for jobs.d/ may lead elsewhere in parts; and as it is, for the root may have been given so.
        for top, place in ((str(paths.jobs_d), folder), (os.path.realpath(paths.jobs_d), os.path.realpath(folder))):
            names.append(os.path.relpath(os.path.join(place, file), top).removesuffix(SUFFIX))
        names.append(name_of_file(wanted))
    return [name for name in dict.fromkeys(names) if is_job_path(name + SUFFIX)]


def has_file(paths: Paths, name: str) -> bool:
    """Say whether there is a file of the job ``name``, one of :func:`names_meant`."""
    return (paths.jobs_d / (name + SUFFIX)).is_file()


def known_job(paths: Paths, wanted: str) -> str | None:
    """Return which job a person means by ``wanted``: one that is there, or else one that the ledger remembers."""
    names = names_meant(paths, wanted)
    reader = Reader(paths.db)
    rows = reader.jobs()
    there = {name for name, row in rows.items() if row["removed_at"] is None}
    there.update(row["job"] for row in reader.open_runs())
    present = (name for name in names if name in there or has_file(paths, name))
    past = (name for name in names if name in rows or reader.history(name, 1))
    return next(present, None) or next(past, None)


def unknown_job(wanted: str, names: Sequence[str]) -> AkjobError:
    """Return the error for a name that no job has, with the nearest ones."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a name that nobody has

    near = get_close_matches(wanted, names, n=3, cutoff=0.5)
    near += [name for name in names if name.rpartition("/")[2] == wanted and name not in near]
    hint = f"Did you mean {' or '.join(near)}?" if near else "`akjob list` shows all jobs."
    return AkjobError(f"there is no job {wanted!r}", hint=hint, exit_code=WRONG_USAGE)


def user_name() -> str:
    """Return who calls, for the record of a pause or a stop."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
