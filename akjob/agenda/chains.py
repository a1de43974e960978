"""Jobs that run after other jobs' ends: what an end comes to, in the commit that has the end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

from akjob.agenda.book import Book
from akjob.agenda.deciding import Deciding
from akjob.agenda.faults import Faults
from akjob.agenda.jobs import AgendaJob
from akjob.due import Verdict, done
from akjob.instants import SECOND
from akjob.ledger.model import EndMeaning, Join, Occurrence, UpstreamEnd
from akjob.sources import KINDS, Kind
from akjob.sources.after import circles
from akjob.spec.model import JobSpec


class Chains:
    """Which job runs after which, and what the ends so far mean for them.

    Jobs that wait for each other in a circle wait for ever: it is said, and no end is handed on within the circle.
    """

    def __init__(self, book: Book, deciding: Deciding, faults: Faults) -> None:
        self._book = book
        self._faults = faults
        self._deciding = deciding
        self._upstreams: dict[str, tuple[str, ...]] = {}

    def reindex(self, names: Iterable[str]) -> None:
        """Take over what the definitions of these jobs now say of the jobs before them."""
        before = dict(self._upstreams)
        for name in names:
            spec = self._book.jobs[name].spec if name in self._book.jobs else None
            upstreams = () if spec is None else spec.schedule.upstreams
            if upstreams:
                self._upstreams[name] = upstreams
            else:
                self._upstreams.pop(name, None)
        if self._upstreams != before:
            self._link()

    def _link(self) -> None:
        downstreams: dict[str, list[str]] = defaultdict(list)
        for name, upstreams in self._upstreams.items():
            for upstream in upstreams:
                downstreams[upstream].append(name)
        for circle in circles(self._upstreams):
            for name in circle:
                downstreams[name] = [other for other in downstreams[name] if other not in circle]
            self._say_circle(circle)
        self._book.downstreams = {upstream: tuple(names) for upstream, names in downstreams.items() if names}

    def _say_circle(self, circle: tuple[str, ...]) -> None:
        spec = self._book.jobs[circle[0]].spec
        self._book.effects.say(
            "warning",
            "jobs.problem",
            file=None if spec is None else spec.file,
            line=None,
            column=None,
            code="after-circle",
            message=f"these jobs wait for each other in a circle: {', '.join(circle)}",
            hint="remove one `after`; until then none of them is due by it",
        )

    def follow(self) -> None:
        """Hand on the ends that came since the last time. A row that is skipped for an end is an end itself."""
        while self._book.ends:
            ended = self._book.ends.popleft()
            for name in self._book.downstreams.get(ended.job, ()):
                job = self._book.jobs[name]
                self._faults.guard(name, partial(self._hand_on, job, ended), None, ended.at_us)

    def _hand_on(self, job: AgendaJob, ended: UpstreamEnd) -> None:
        if job.spec is not None and self._may_be_due(job, job.spec, ended.at_us):
            self._meet(job, job.spec, ended)

    def _may_be_due(self, job: AgendaJob, spec: JobSpec, at_us: int) -> bool:
        """Return True if the job has slots now, and its limits allow one at the instant of the end."""
        return (
            spec.enabled
            and not self._deciding.is_of_others(spec)
            and not done(spec, job.row.runs_started)
            and job.when is not None
            and job.when.plan.limits.allows(at_us // SECOND)
        )

    def _meet(self, job: AgendaJob, spec: JobSpec, ended: UpstreamEnd) -> None:
        for kind in KINDS:
            event = spec.schedule.event(kind.event)
            if event is None or ended.job not in event.upstreams:
                continue
            if kind.joins(spec) and self._book.here is not None and spec.run.where != "every":
                meaning = partial(_meaning, kind, spec, ended)  # other nodes may have the other ends
                self._book.effects.join(Join(job=spec.name, ended=ended, prefix=kind.part, answer=meaning))
            else:
                self._take(job, spec, ended, kind.on_end(spec, job.parts, ended))

    def met(self, join: Join, found: EndMeaning, now_us: int) -> None:
        """Take in what an end meant together with those of other nodes; what it kept or used is written."""
        job = self._book.jobs.get(join.job)
        if job is None or job.spec is None or found.occurrence is None:
            return
        if found.what == "due":
            self._book.occur(job, found.occurrence)
            self._book.wake_at(job, now_us)
        elif found.what == "misfit":
            self._skip(job, job.spec, join.ended, found)

    def _take(self, job: AgendaJob, spec: JobSpec, ended: UpstreamEnd, found: EndMeaning) -> None:
        for part in found.used:
            self._book.used(job, part)
        if found.what == "keep" and found.occurrence is not None:
            self._book.keep(job, ended.job, found.occurrence)
        elif found.what == "due" and found.occurrence is not None:
            self._book.occur(job, found.occurrence)
            self._book.wake_at(job, ended.at_us)
        elif found.what == "misfit":
            self._skip(job, spec, ended, found)

    def _skip(self, job: AgendaJob, spec: JobSpec, ended: UpstreamEnd, found: EndMeaning) -> None:
        """Write a row for the slot that the end would have made, had it been another one."""
        verdict = Verdict(
            action="skipped",
            slot_us=ended.slot_us,
            slot_last_us=ended.slot_last_us,
            count=ended.count,
            trigger="after" if found.occurrence is None else found.occurrence.trigger,
            reason=f"after {ended.job}: {ended.state}",
            occurrence=found.occurrence,
        )
        self._deciding.close_slots(job, spec, verdict, ended.at_us)


def _meaning(kind: Kind, spec: JobSpec, ended: UpstreamEnd, parts: Mapping[str, Occurrence]) -> EndMeaning:
    return kind.on_end(spec, parts, ended)
