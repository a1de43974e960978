"""What the agenda wants done: collected during a turn, handed out as one :class:`~akjob.agenda.life.Effects`."""

import copy
from collections.abc import Callable

from akjob.agenda.life import Effects, FarStop, LiveRun, Recall, Start, Stop
from akjob.instants import to_text
from akjob.ledger.model import (
    BackfillRow,
    DaemonEvent,
    Definition,
    Detail,
    JobEvent,
    JobRow,
    Join,
    Occurrence,
    Permit,
    RunRow,
    SeenFiles,
    State,
    Transition,
    Wait,
    Writes,
)

_UNKNOWN = dict.fromkeys(
    ("exit_code", "signal", "error", "duration_s", "user_cpu_s", "system_cpu_s", "max_rss_bytes")
)  # what `run.finished` has of a run that never started
_NOTHING = Detail()


class EffectsBuilder:
    """Collects effects. However often a row changes in a turn, it is written once, as it is at the end."""

    def __init__(self) -> None:
        self._effects = Effects()
        self._new: dict[str, RunRow] = {}
        self._changed: dict[str, RunRow] = {}
        self._jobs: set[str] = set()
        self._loaded: set[str] = set()
        self._occurrences: dict[tuple[str, str], Occurrence] = {}
        self._decided: dict[tuple[str, str], None] = {}
        self._new_backfills: dict[str, BackfillRow] = {}
        self._backfills: dict[str, BackfillRow] = {}

    @property
    def pending(self) -> bool:
        """True if there is anything to be done."""
        rows = self._new or self._changed or self._jobs or self._loaded or self._occurrences or self._decided
        return bool(rows or self._new_backfills or self._backfills or self._effects)

    @property
    def urgent(self) -> bool:
        """True if a run waits for one of the effects: a start, a stop, a recall."""
        return bool(self._effects.starts or self._effects.stops or self._effects.recalls or self._effects.far_stops)

    def claim(self, row: RunRow) -> None:
        """Write a new row of ``runs``."""
        self._new[row.id] = row

    def change(self, row: RunRow) -> None:
        """Write a row of ``runs`` again."""
        self._changed[row.id] = row

    def correct(self, row: RunRow) -> None:
        """Write a row of ``runs`` as it is, and emit nothing of an end that it had before in this turn."""
        writes = self._effects.writes
        writes.transitions = [
            moved for moved in writes.transitions if moved.run != row.id or moved.to_state == "running"
        ]
        self._changed[row.id] = row

    def unchange(self, run_id: str) -> None:
        """Do not write a row after all: the ledger refused it."""
        self._changed.pop(run_id, None)

    def job(self, name: str) -> None:
        """Write what changes in a job's row as it runs."""
        self._jobs.add(name)

    def loaded(self, name: str) -> None:
        """Write all of a job's row."""
        self._loaded.add(name)

    def wait(self, run: LiveRun, wait: Wait) -> None:
        """Write what a run needs beyond its row."""
        run.has_wait = True
        self._effects.writes.waits.append(wait)

    def waited(self, run: LiveRun) -> None:
        """Delete that again."""
        if run.has_wait:
            writes = self._effects.writes
            writes.waits = [wait for wait in writes.waits if wait.run != run.row.id]
            self._effects.writes.waited.append(run.row.id)

    def join(self, join: Join) -> None:
        """Ask what an end means together with those of other nodes."""
        self._effects.writes.joins.append(join)

    def occur(self, occurrence: Occurrence) -> None:
        """Keep an occurrence."""
        self._occurrences[occurrence.job, occurrence.key] = occurrence

    def decided(self, occurrence: Occurrence) -> None:
        """Delete it again."""
        key = (occurrence.job, occurrence.key)
        self._occurrences.pop(key, None)
        self._decided[key] = None

    def saw(self, seen: SeenFiles) -> None:
        """Write what a job has seen of its files."""
        self._effects.writes.seen.append(seen)

    def backfill(self, backfill: BackfillRow, *, new: bool) -> None:
        """Write a backfill, or what has changed of it."""
        kept = self._new_backfills if new or backfill.id in self._new_backfills else self._backfills
        kept[backfill.id] = backfill

    def run_moved(
        self, row: RunRow, from_state: State | None, at_us: int, detail: Detail, slot_us: int | None = None
    ) -> None:
        """Emit a change of a run's state."""
        self._effects.writes.transitions.append(
            Transition(
                at_us=at_us,
                kind="run",
                job=row.job,
                run=row.id,
                slot_us=row.slot_us if slot_us is None else slot_us,
                attempt=row.attempt,
                from_state=from_state,
                to_state=row.state,
                detail=detail,
            )
        )

    def job_moved(self, name: str, to_state: JobEvent, at_us: int, detail: Detail = _NOTHING) -> None:
        """Emit a change of a job."""
        self._effects.writes.transitions.append(
            Transition(at_us=at_us, kind="job", job=name, to_state=to_state, detail=detail)
        )

    def daemon_moved(self, to_state: DaemonEvent, at_us: int) -> None:
        """Emit a change of akjobd."""
        self._effects.writes.transitions.append(Transition(at_us=at_us, kind="daemon", to_state=to_state))

    def start(self, start: Start, now_us: int) -> None:
        """Send an order."""
        spec = start.spec
        self._effects.writes.definitions.append(Definition(spec.sha256, spec.file, spec.definition, now_us))
        self._effects.starts.append(start)

    def permit(self, permit: Permit) -> None:
        """Ask the cluster whether a run may start."""
        self._effects.writes.permits.append(permit)

    def free(self, run: LiveRun) -> None:
        """Let the cluster know that a run holds nothing any more, although it is open."""
        self._effects.writes.freed.append(run.row.id)

    def recall(self, run: LiveRun) -> bool:
        """Call an order back; return True when it has not been handed out yet, and simply is withdrawn."""
        starts = self._effects.starts
        for index, start in enumerate(starts):
            if start.run == run.row.id:
                del starts[index]
                writes = self._effects.writes
                writes.permits = [permit for permit in writes.permits if permit.run != run.row.id]
                return True
        self._effects.recalls.append(Recall(run=run.row.id))
        return False

    def stop(self, run: LiveRun, reason: str) -> None:
        """End a run."""
        self._effects.stops.append(Stop(run=run.row.id, reason=reason))

    def stop_elsewhere(self, run: LiveRun, reason: str, by: str | None) -> None:
        """Have another node end its run."""
        node = run.row.node or ""
        self._effects.far_stops.append(FarStop(run=run.row.id, node=node, reason=reason, by=by))

    def delete(self, file: str) -> None:
        """Delete a job's file."""
        self._effects.delete_files.append(file)

    def say(self, level: str, event: str, **fields: object) -> None:
        """Log an event."""
        self._effects.events.append({"event": event, "level": level} | fields)

    def say_of(self, event: str, row: RunRow, **fields: object) -> None:
        """Log an event of a run."""
        level = "info" if event == "run.retrying" or row.state == "skipped" else "warning"
        ended = {"state": row.state, "reason": row.reason} if row.state != "queued" else {}
        known = _UNKNOWN if event == "run.finished" else {}
        slot = to_text(row.slot_us)
        self.say(level, event, job=row.job, run=row.id, slot=slot, attempt=row.attempt, **ended, **known, **fields)

    def take_actions(self) -> Effects:
        """Return what to do besides writing; what to write is collected further."""
        effects, self._effects = self._effects, Effects(writes=self._effects.writes)
        effects.writes = Writes()
        return effects

    def take(self, row_of: Callable[[str], JobRow]) -> Effects:
        """Return what was collected, with copies of the rows, and begin again."""
        effects, self._effects = self._effects, Effects()
        writes = effects.writes
        writes.claims = [copy.copy(row) for row in self._new.values()]
        writes.changes = [copy.copy(row) for run_id, row in self._changed.items() if run_id not in self._new]
        writes.loaded = [copy.copy(row_of(name)) for name in sorted(self._loaded)]
        writes.occurrences = list(self._occurrences.values())
        writes.decided = list(self._decided)
        writes.new_backfills = list(self._new_backfills.values())
        writes.backfills = list(self._backfills.values())
        writes.jobs = [copy.copy(row_of(name)) for name in sorted(self._jobs - self._loaded)]
        self._new, self._changed, self._jobs, self._loaded = {}, {}, set(), set()
        self._occurrences, self._decided = {}, {}
        self._new_backfills, self._backfills = {}, {}
        return effects
