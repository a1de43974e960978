"""What is worth a message: changes of runs and jobs in, notes and incidents out.

Pure: it reads no clock and does no I/O. The rules, each of which has a test:

* A failure counts when no retry follows. The ``after``-th failed slot in a row opens an incident, with one message.
* While an incident is open nothing more is told of it but a reminder every ``repeat``, until it is acknowledged.
* ``recovered`` is told only after a message of failure; other troubles end silently.
* What happens to a paused job by itself is not told.
* What akjobd's absence cost is one note, told when akjobd has come to it.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct

from akjob.instants import MINUTE, SECOND
from akjob.ledger.model import BY_ITSELF, Transition
from akjob.notify.model import FAILURES, Absence, Incident, IncidentKind, Kind, Note, PolicyState, Remembered
from akjob.spec.model import Notify

LONG_AT_LEAST_US = 5 * MINUTE
CATCHING_UP_US = 10 * SECOND
"""What akjobd accounts for within so long after its start belongs to the time in which it was down."""

_KINDS: Mapping[str, Kind] = {
    "failed": "failed",
    "timed_out": "timed_out",
    "lost": "lost",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "missed": "missed",
}


class Watched(Struct, kw_only=True):
    """A run that has not ended: when it is late, or since when it runs."""

    job: str
    slot_us: int
    due_us: int
    started_us: int | None = None


class Policy:
    """Decides what is told.

    ``rules`` gives a job's ``[notify]``, ``jitter_us`` how much after its slots it starts, ``usual_us`` how long a run
    of it may take before it is unusually long (None: not known yet). The caller keeps ``next_incident``, ``absence``,
    what ``changed`` names and ``closed`` in the same commit as the notes, and gives them to the next one as
    ``remembered``.
    """

    def __init__(
        self,
        *,
        rules: Callable[[str], Notify],
        jitter_us: Callable[[str], int],
        usual_us: Callable[[str], int | None],
        remembered: Remembered | None = None,
    ) -> None:
        before = remembered or Remembered()
        self._rules = rules
        self._jitter_us = jitter_us
        self._usual_us = usual_us
        self.next_incident = before.next_incident
        self.jobs = before.jobs
        self.absence = before.absence
        self._seen_us = before.seen_us
        self.changed: set[str] = set()
        self.closed: list[Incident] = []
        self._watched: dict[str, Watched] = {}
        self._due: list[tuple[int, str, str]] = []
        self._notes: list[Note] = []
        for name, state in self.jobs.items():
            for incident in state.incidents.values():
                self._remind_later(name, incident)

    # -- in ------------------------------------------------------------------------------------------------------------

    def take(self, transitions: Iterable[Transition]) -> None:
        """Take transitions in the order of their numbers."""
        for change in transitions:
            if change.kind == "run":
                self._run(change, change.job or "", change.run or "")
            elif change.kind == "job":
                self._job(change, change.job or "")
            else:
                self._daemon(change)
            self._seen_us = change.at_us

    def watch(self, run: str, job: str, slot_us: int, started_us: int | None, queued_us: int = 0) -> None:
        """Watch an open run. One that akjobd came to after its slot is due since it was ``queued_us``."""
        watched = self._watched[run] = Watched(
            job=job, slot_us=slot_us, due_us=max(slot_us, queued_us), started_us=started_us
        )
        self._watch(run, watched)

    def acknowledge(self, number: int, at_us: int) -> Incident | None:
        """End the reminders of an open incident; return it, or None if there is no such incident."""
        for name, state in self.jobs.items():
            for incident in state.incidents.values():
                if incident.number == number:
                    incident.acknowledged_us = at_us
                    self.changed.add(name)
                    return incident
        return None

    def tick(self, now_us: int) -> list[Note]:
        """Let the time be ``now_us``; return the notes to send, oldest first, and forget them."""
        absence = self.absence
        if absence is not None and absence.until_us is not None and now_us >= absence.until_us + CATCHING_UP_US:
            self._tell_of_absence(absence, absence.until_us)
            self.absence = None
        while self._due and self._due[0][0] <= now_us:
            at_us, what, which = heapq.heappop(self._due)
            self._come_due(at_us, what, which)
        return self.take_notes()

    def take_notes(self) -> list[Note]:
        """Return the notes to send about what was taken in, oldest first, and forget them."""
        notes, self._notes = self._notes, []
        return notes

    @property
    def wake_us(self) -> int | None:
        """When :meth:`tick` has something to do though nothing happens; None: never."""
        due_us = self._due[0][0] if self._due else None
        if self.absence is None or self.absence.until_us is None:
            return due_us
        caught_up_us = self.absence.until_us + CATCHING_UP_US
        return caught_up_us if due_us is None else min(due_us, caught_up_us)

    def open_incidents(self) -> list[Incident]:
        """Return the open incidents by number."""
        found = [incident for state in self.jobs.values() for incident in state.incidents.values()]
        return sorted(found, key=lambda incident: incident.number)

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _run(self, change: Transition, job: str, run: str) -> None:
        if change.to_state == "queued":
            if change.detail.trigger in BY_ITSELF:
                self.watch(run, job, _slot_us(change), None, queued_us=change.at_us)
            self._count_absence(change, job)
        elif change.to_state == "running":
            self._started(change, job, run)
        else:
            self._ended(change, job, run)

    def _started(self, change: Transition, job: str, run: str) -> None:
        self._close(job, "late", change.at_us, run=run)
        watched = self._watched.setdefault(run, Watched(job=job, slot_us=_slot_us(change), due_us=change.at_us))
        watched.started_us = change.at_us
        self._watch(run, watched)

    def _ended(self, change: Transition, job: str, run: str) -> None:
        self._watched.pop(run, None)
        for trouble in ("late", "long"):
            self._close(job, trouble, change.at_us, run=run)
        if self._count_absence(change, job):
            return
        if change.to_state in FAILURES:
            self._failed(change, job)
        elif change.to_state == "succeeded":
            self._succeeded(change, job)
        elif not (self._state(job).paused and change.to_state in ("skipped", "missed")):
            self._did_not_run(change, job)

    def _failed(self, change: Transition, job: str) -> None:
        if change.detail.retried:
            return
        state, rules = self._change(job), self._rules(job)
        state.failures += 1
        incident, kind = state.incidents.get("failure"), _KINDS[change.to_state]
        if incident is not None:
            incident.kind, incident.run, incident.slot_us = kind, change.run, change.slot_us
        elif state.failures >= rules.after and rules.wants(kind):
            self._open(job, "failure", kind, change)

    def _succeeded(self, change: Transition, job: str) -> None:
        state, rules = self._state(job), self._rules(job)
        if state.failures:
            self._change(job)
        failures, state.failures = state.failures, 0
        incident = self._close(job, "failure", change.at_us)
        self._close(job, "missed", change.at_us)
        if incident is not None and rules.wants("recovered"):
            self._tell("recovered", job, change, incident=incident.number, failures=failures)
        elif rules.wants("succeeded"):
            self._tell("succeeded", job, change)

    def _did_not_run(self, change: Transition, job: str) -> None:
        kind = _KINDS[change.to_state]
        if not self._rules(job).wants(kind):
            return
        if kind == "cancelled":
            self._tell(kind, job, change)
        elif "missed" not in self._state(job).incidents:
            self._open(job, "missed", kind, change)

    # -- jobs and akjobd -----------------------------------------------------------------------------------------------

    def _job(self, change: Transition, job: str) -> None:
        if change.to_state in ("paused", "resumed"):
            self._change(job).paused = change.to_state == "paused"
        elif change.to_state == "broken":
            if "broken" not in self._state(job).incidents and self._rules(job).wants("broken"):
                self._open(job, "broken", "broken", change)
        elif change.to_state in ("repaired", "loaded", "changed"):
            incident = self._close(job, "broken", change.at_us)
            if incident is not None and self._rules(job).wants("repaired"):
                self._tell("repaired", job, change, incident=incident.number)
        elif change.to_state == "removed":
            for trouble in list(self._state(job).incidents):
                self._close(job, trouble, change.at_us)

    def _daemon(self, change: Transition) -> None:
        if self.absence is None and (change.to_state == "stopping" or self._seen_us is not None):
            self.absence = Absence(since_us=change.at_us if change.to_state == "stopping" else None)
        if self.absence is not None:  # that may have ended again before it had come to everything: it is one downtime
            self.absence.until_us = change.at_us if change.to_state == "started" else None

    def _count_absence(self, change: Transition, job: str) -> bool:
        """Return True if the slot is one that akjobd's absence cost: it is told with the absence, not by itself."""
        absence, slot_us = self.absence, _slot_us(change)
        if absence is None or absence.until_us is None:
            return False
        if change.at_us > absence.until_us + CATCHING_UP_US or slot_us > absence.until_us:
            return False
        is_missed = change.to_state == "missed"
        if is_missed:
            absence.missed[job] = absence.missed.get(job, 0) + change.detail.count
        elif change.to_state == "queued" and change.detail.trigger == "missed":
            absence.made_up[job] = absence.made_up.get(job, 0) + 1
        else:
            return False
        absence.first_us = slot_us if absence.first_us is None else min(absence.first_us, slot_us)
        return is_missed

    def _tell_of_absence(self, absence: Absence, until_us: int) -> None:
        for job in sorted({*absence.missed, *absence.made_up}):
            rules = self._rules(job)
            if rules.channels and rules.wants("missed") and not self._state(job).paused:
                note = Note(
                    kind="down",
                    at_us=until_us,
                    job=job,
                    since_us=absence.first_us if absence.since_us is None else absence.since_us,
                    at_least=absence.since_us is None,
                    count=absence.missed.get(job, 0),
                    made_up=absence.made_up.get(job, 0),
                )
                self._notes.append(note)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _watch(self, run: str, watched: Watched) -> None:
        rules = self._rules(watched.job)
        if watched.started_us is None:
            late_us = watched.due_us + self._jitter_us(watched.job) + rules.late_after_us
            heapq.heappush(self._due, (late_us, "late", run))
        else:
            long_us = LONG_AT_LEAST_US if rules.long_after_us is None else rules.long_after_us
            heapq.heappush(self._due, (watched.started_us + long_us, "long", run))

    def _come_due(self, at_us: int, what: str, which: str) -> None:
        if what == "repeat":
            number, _, job = which.partition(" ")
            self._remind(at_us, int(number), job)
            return
        watched = self._watched.get(which)
        if watched is None:
            return
        if what == "late" and watched.started_us is None:
            self._say_late(at_us, which, watched)
        elif what == "long" and watched.started_us is not None:
            self._say_long(at_us, which, watched)

    def _say_late(self, at_us: int, run: str, watched: Watched) -> None:
        state = self._state(watched.job)
        if "late" not in state.incidents and not state.paused and self._rules(watched.job).wants("late"):
            self._open_for(watched, "late", at_us, run)

    def _say_long(self, at_us: int, run: str, watched: Watched) -> None:
        rules = self._rules(watched.job)
        if not rules.wants("long") or "long" in self._state(watched.job).incidents:
            return
        if rules.long_after_us is None:
            usual_us = self._usual_us(watched.job)
            if usual_us is None:
                return
            due_us = (watched.started_us or 0) + max(LONG_AT_LEAST_US, usual_us)
            if due_us > at_us:
                heapq.heappush(self._due, (due_us, "long", run))
                return
        self._open_for(watched, "long", at_us, run)

    def _open_for(self, watched: Watched, trouble: Literal["late", "long"], at_us: int, run: str) -> None:
        at = Transition(at_us=at_us, kind="run", to_state="queued", job=watched.job, run=run, slot_us=watched.slot_us)
        self._open(watched.job, trouble, trouble, at)

    def _remind_later(self, job: str, incident: Incident) -> None:
        repeat_us = self._rules(job).repeat_us
        if repeat_us is not None:
            heapq.heappush(self._due, (incident.notified_us + repeat_us, "repeat", f"{incident.number} {job}"))

    def _remind(self, at_us: int, number: int, job: str) -> None:
        state = self._state(job)
        incident = next((one for one in state.incidents.values() if one.number == number), None)
        if incident is None or incident.acknowledged_us is not None or state.paused:
            return
        self._change(incident.job)
        incident.notified_us = at_us
        self._notes.append(
            Note(
                kind=incident.kind,
                at_us=at_us,
                job=incident.job,
                run=incident.run,
                slot_us=incident.slot_us,
                incident=number,
                failures=state.failures,
                again=True,
            )
        )
        self._remind_later(incident.job, incident)

    # -- incidents -----------------------------------------------------------------------------------------------------

    def _open(self, job: str, trouble: IncidentKind, kind: Kind, change: Transition) -> None:
        if not self._rules(job).channels:
            return
        state = self._change(job)
        number, self.next_incident = self.next_incident, self.next_incident + 1
        incident = Incident(
            number=number,
            job=job,
            trouble=trouble,
            kind=kind,
            opened_us=change.at_us,
            notified_us=change.at_us,
            run=change.run,
            slot_us=change.slot_us,
        )
        state.incidents[trouble] = incident
        self._tell(kind, job, change, incident=number, failures=state.failures if trouble == "failure" else 0)
        self._remind_later(job, incident)

    def _close(self, job: str, trouble: str, at_us: int, *, run: str | None = None) -> Incident | None:
        """End an incident; with ``run`` only if it is of this run. Return it, or None if there was none."""
        incident = self._state(job).incidents.get(trouble)
        if incident is None or (run is not None and incident.run != run):
            return None
        state = self._change(job)
        del state.incidents[trouble]
        incident.closed_us = at_us
        self.closed.append(incident)
        return incident

    def _tell(
        self, kind: Kind, job: str, change: Transition, *, incident: int | None = None, failures: int = 0
    ) -> None:
        if self._rules(job).channels:
            note = Note(
                kind=kind,
                at_us=change.at_us,
                job=job,
                run=change.run,
                slot_us=change.slot_us,
                incident=incident,
                failures=failures,
                count=change.detail.count,
                message=_message(change),
            )
            self._notes.append(note)

    def _state(self, job: str) -> PolicyState:
        return self.jobs.setdefault(job, PolicyState())

    def _change(self, job: str) -> PolicyState:
        self.changed.add(job)
        return self._state(job)


def _slot_us(change: Transition) -> int:
    return change.at_us if change.slot_us is None else change.slot_us


def _message(change: Transition) -> str | None:
    detail = change.detail
    if detail.message is None or detail.file is None:
        return detail.message
    return f"{detail.file}:{detail.line}:{detail.column}: {detail.message}"
