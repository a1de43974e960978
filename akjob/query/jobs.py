"""The jobs: what the folder and the ledger have of them, and what follows from both. Needs no akjobd."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from akjob.config import Config, Paths
from akjob.control.status import BrokenFile
from akjob.instants import SECOND, from_text, to_text
from akjob.jobset.loader import Loader
from akjob.jobset.model import BrokenJob, JobSet, LastGood, RefusedVersion
from akjob.jobset.names import file_of
from akjob.ledger import Reader, open_reader
from akjob.program import own_uid
from akjob.query import broken as broken_files
from akjob.query.delays import Underway, underway
from akjob.query.names import names_meant, unknown_job
from akjob.query.slots import NEVER, runs_left, slots_of, without_slots
from akjob.schedule import describe
from akjob.spec import definition_table
from akjob.spec.model import JobSpec

if TYPE_CHECKING:
    from akjob.jobset.git import Revision


_MOMENT_US = 3 * SECOND


class Pause(Struct, frozen=True, kw_only=True):
    """Why a job's slots are skipped. ``until_us`` None means until it is resumed."""

    since_us: int
    until_us: int | None
    reason: str
    by: str


class ListedJob(Struct, frozen=True, kw_only=True):
    """A line of ``akjob list --json``. Instants are UTC text; ``running`` is a number of runs."""

    job: str
    file: str
    enabled: bool | None
    paused: bool
    paused_until: str | None
    pause_reason: str | None
    paused_by: str | None
    broken: bool
    running: int
    next: str | None
    last_state: str | None
    last_ended: str | None


class ShownJob(ListedJob, frozen=True, kw_only=True):
    """What ``akjob show --json`` prints. ``schedule`` is in words, ``definition`` resolved, both of what is loaded."""

    description: str
    tags: tuple[str, ...]
    owner: str | None
    runbook: str | None
    schedule: str
    definition: dict[str, Any] | None
    definition_sha256: str | None
    runs_started: int
    git_commit: str | None
    refused: BrokenFile | None


class Snapshot(Struct, frozen=True, kw_only=True):
    """All jobs at ``now_us``; ``rows`` are the ledger's, ``running`` counts the runs of each job.

    ``claimed`` has the slots still to come whose orders are out already, the first of each job that has one;
    ``origins`` has, for each broken job, the commit that the refused version is from, and whether it differs from it;
    ``underway`` are the runs that have not ended.
    """

    paths: Paths
    jobset: JobSet
    rows: Mapping[str, Mapping[str, Any]]
    running: Mapping[str, int]
    now_us: int
    claimed: Mapping[str, int] = {}
    origins: Mapping[str, tuple[str | None, bool | None]] = {}
    underway: tuple[Underway, ...] = ()

    def names(self) -> list[str]:
        """Return all jobs, sorted; also those that are broken and never were good."""
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

    def jobs(self) -> list["JobView"]:
        """Return all jobs, sorted by name."""
        return [self.job(name) for name in self.names()]

    def find(self, wanted: str) -> "JobView":
        """Return the job that a person means by ``wanted``: its name, or its file. Raises AkjobError (exit code 2)."""
        for candidate in names_meant(self.paths, wanted):
            if candidate in self.jobset.jobs or candidate in self.jobset.broken:
                return self.job(candidate)
        raise unknown_job(wanted, self.names())

    def broken(self) -> list[BrokenFile]:
        """Return what was refused, by job."""
        return [refusal for name in sorted(self.jobset.broken) if (refusal := self.job(name).refusal) is not None]


class JobView(Struct, frozen=True, kw_only=True):
    """One job: ``spec`` is None when it is broken and never was good; ``row`` is None before akjobd loaded it."""

    name: str
    spec: JobSpec | None
    broken: BrokenJob | None
    row: Mapping[str, Any] | None
    running: int
    now_us: int
    claimed_us: int | None = None
    origin: tuple[str | None, bool | None] = (None, None)

    @property
    def refusal(self) -> BrokenFile | None:
        """What was refused; None for a job that is not broken."""
        commit, dirty = self.origin
        return None if self.broken is None else broken_files.of_job(self.broken, commit, dirty=dirty)

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
    def done(self) -> bool:
        """True if the job has had all its ``runs``."""
        return self.spec is not None and runs_left(self.spec, self.row) == 0

    @property
    def state(self) -> str:
        """What holds the job, what needs a person first: broken, disabled, paused, done, or else ready."""
        if self.broken is not None:
            return "broken"
        if self.spec is not None and not self.spec.enabled:
            return "disabled"
        if self.pause is not None:
            return "paused"
        return "done" if self.done else "ready"

    @property
    def shown_state(self) -> str:
        """The one word for the job: what needs a person first, then what runs, then what became of it last."""
        state, last = self.state, None if self.row is None else self.row["last_state"]
        if state not in {"ready", "done"}:
            return state
        if self.running:
            return "running"
        if last is None or (state == "done" and last in {"succeeded", "skipped", "cancelled"}):
            return state
        return str(last)

    @property
    def last(self) -> tuple[str, int] | None:
        """The last outcome and when it ended."""
        if self.row is None or self.row["last_state"] is None:
            return None
        return self.row["last_state"], from_text(self.row["last_ended"])

    def next_slots(self, after_us: int, count: int) -> list[int]:
        """Return the next slots after an instant, pauses and ``enabled`` aside, as far as ``runs`` allows."""
        return [] if self.spec is None else slots_of(self.spec, self.row, after_us, count)

    @property
    def without_slots(self) -> str:
        """What makes a job due that has no coming slot."""
        return NEVER if self.spec is None else without_slots(self.spec, self.row, self.now_us)

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

    @property
    def overdue_us(self) -> int | None:
        """The first slot that is over without a row; None where there is none, or it is only a moment ago."""
        spec, row = self.spec, self.row
        if spec is None or row is None or not spec.enabled or self.pause is not None or self.claimed_us is not None:
            return None
        slots = self.next_slots(from_text(row["mark"]), 1)
        return slots[0] if slots and slots[0] < self.now_us - _MOMENT_US else None

    @property
    def file(self) -> str:
        """The job's own file, below the root."""
        return self.spec.file if self.spec is not None else f"jobs.d/{file_of(self.name)}"

    def listed(self) -> ListedJob:
        """Return the job as ``akjob list`` has it."""
        upcoming, last, pause = self.next_start_us, self.last, self.pause
        until_us = None if pause is None else pause.until_us
        return ListedJob(
            job=self.name,
            file=self.file,
            enabled=None if self.spec is None else self.spec.enabled,
            paused=pause is not None,
            paused_until=None if until_us is None else to_text(until_us),
            pause_reason=None if pause is None else pause.reason or None,
            paused_by=None if pause is None else pause.by or None,
            broken=self.broken is not None,
            running=self.running,
            next=None if upcoming is None else to_text(upcoming),
            last_state=None if last is None else last[0],
            last_ended=None if last is None else to_text(last[1]),
        )

    def shown(self, commit: str | None) -> ShownJob:
        """Return the job as ``akjob show`` has it, where ``commit`` is checked out."""
        spec = self.spec
        return ShownJob(
            **asdict(self.listed()),
            description=spec.description if spec else "",
            tags=tuple(spec.tags) if spec else (),
            owner=spec.owner if spec else None,
            runbook=spec.runbook if spec else None,
            schedule="; ".join(describe(spec.schedule, self.now_us)) if spec else "",
            definition=definition_table(spec) if spec else None,
            definition_sha256=spec.sha256 if spec else None,
            runs_started=self.runs_started,
            git_commit=commit,
            refused=self.refusal,
        )


class JobSetView:
    """The job set of one root, kept over many questions: a look reads only the files that changed since the last one.

    It starts from what akjobd has parsed (``var/jobs.cache``), and keeps its own last good definitions from the ledger.
    For one thread at a time.
    """

    def __init__(self, paths: Paths, config: Config) -> None:
        self.paths = paths
        self._config = config
        self._loader: Loader | None = None
        self._rows: Mapping[str, Mapping[str, Any]] = {}

    def snapshot(self, now_us: int, reader: Reader | None = None) -> Snapshot:
        """Look at the folder and read the ledger, the root's own or ``reader``'s. Raises AkjobError if it cannot."""
        reader = open_reader(self.paths.ledger_url) if reader is None else reader
        known = map(self._as_known, reader.jobs().values())
        rows = self._rows = {
            row["job"]: row for row in known
        }  # its key, too: one string holds on to the memory of many
        jobset = self._jobset(rows, now_us)
        open_runs = reader.open_runs()
        return Snapshot(
            paths=self.paths,
            jobset=jobset,
            rows=rows,
            running=Counter(row["job"] for row in open_runs if row["state"] == "running"),
            now_us=now_us,
            claimed=claimed_slots(open_runs, now_us),
            origins=_origins(self.paths, jobset.broken, rows),
            underway=underway(open_runs),
        )

    def _as_known(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the row that is held already where it says the same: of ten thousand rows there are never two sets."""
        held = self._rows.get(row["job"])
        return held if held is not None and held == row else row

    def _jobset(self, rows: Mapping[str, Mapping[str, Any]], now_us: int) -> JobSet:
        if self._loader is None:
            known = {name: row for name, row in rows.items() if row["removed_at"] is None or row["refused"] is not None}
            last_good = {name: _last_good(row) for name, row in known.items()}
            uid, cached = own_uid(self.paths), self.paths.var / "jobs.cache"
            self._loader = Loader(self.paths, self._config, last_good, own_uid=uid, grace_us=0, cache_file=cached)
        jobset = self._loader.load(now_us).jobset
        return replace(jobset, broken={n: _dated(self.paths, one, rows.get(n)) for n, one in jobset.broken.items()})


def load(paths: Paths, config: Config, now_us: int, reader: Reader | None = None) -> Snapshot:
    """Read the folder and the ledger once, the root's own or ``reader``'s. Raises AkjobError where that cannot be."""
    return JobSetView(paths, config).snapshot(now_us, reader)


def differing(old: Snapshot, new: Snapshot) -> set[str] | None:
    """Return the jobs of which two snapshots say something else; None where their definitions differ."""
    jobs = new.jobset.jobs
    if old.jobset.broken != new.jobset.broken or old.jobset.jobs.keys() != jobs.keys():
        return None
    if any(one is not jobs[name] and one != jobs[name] for name, one in old.jobset.jobs.items()):
        return None
    rows = {name for name, row in new.rows.items() if old.rows.get(name) != row}
    counts = dict(old.running).items() ^ dict(new.running).items()
    return {*rows, *(name for name, _ in counts), *(name for name, _ in old.claimed.items() ^ new.claimed.items())}


def claimed_slots(open_runs: Iterable[Mapping[str, Any]], now_us: int) -> dict[str, int]:
    """Return for each job the first slot to come that is claimed already."""
    claimed: dict[str, int] = {}
    for row in open_runs:
        slot_us = from_text(row["slot"])
        if row["state"] == "queued" and row["trigger"] == "schedule" and slot_us > now_us:
            claimed[row["job"]] = min(slot_us, claimed.get(row["job"], slot_us))
    return claimed


def _origins(
    paths: Paths, broken: Mapping[str, BrokenJob], rows: Mapping[str, Mapping[str, Any]]
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
    refused = None if since is None else RefusedVersion(content=row["refused"], since_us=from_text(since))
    loaded_us = from_text(row["last_loaded_at"])
    definition = row["definition"] if row["removed_at"] is None else ""
    return LastGood(file=row["file"], definition=definition, loaded_us=loaded_us, refused=refused)


def _dated(paths: Paths, broken: BrokenJob, row: Mapping[str, Any] | None) -> BrokenJob:
    """Return a broken job with the instant since when it is so; before akjobd saw it, since its file was written."""
    if row is not None and row["refused_since"] is not None:
        return broken
    try:
        written_us = (paths.root / broken.file).stat().st_mtime_ns // 1000
    except OSError:
        return broken
    return replace(broken, since_us=min(written_us, broken.since_us))
