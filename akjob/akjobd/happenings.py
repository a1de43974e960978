"""What the engine reports of runs, on its way to the agenda."""

from collections.abc import Iterable

from akjob.agenda import Agenda, End
from akjob.akjobd.commits import Commits
from akjob.akjobd.writer import Writer, fault_of
from akjob.daemon_log import Say
from akjob.ledger import OpenRun
from akjob.run.engine import Ended, Engine, Happening, Lost, NeverStarted, Started


class Happenings:
    """Takes in what happened, once the job set is loaded."""

    def __init__(self, agenda: Agenda, engine: Engine, commits: Commits, writer: Writer, say: Say) -> None:
        self._agenda = agenda
        self._engine = engine
        self._commits = commits
        self._writer = writer
        self._say = say

    def reconcile(self, before: Iterable[OpenRun]) -> None:
        """Find out what became of the runs that were open when the akjobd before this one ended."""
        folders = self._engine.folders()
        for one in before:
            if one.row.state == "running" or one.row.id in folders:
                self._engine.find(one.row.id, running=one.row.state == "running")

    def take_in(self, now_us: int) -> None:
        """Give the agenda what became of runs."""
        happened, self._engine.happened = self._engine.happened, []
        for what in self._commits.ready(happened, now_us):
            self._writer.take_in(what.run)
            try:
                self._take_in(what, now_us)
            except Exception as error:  # noqa: BLE001 - it must cost this run alone
                self._fail(what, fault_of(error, "what happened to the run cannot be taken in"), now_us)

    def _fail(self, what: Happening, reason: str, now_us: int) -> None:
        """End a run whose report akjobd cannot process; one that goes on is stopped."""
        self._say("error", "job.fault", job=self._agenda.job_of(what.run), run=what.run, message=reason)
        if isinstance(what, Started):
            self._engine.stop(what.run, "cancelled", reason)
        else:
            self._agenda.ended(what.run, End(state="failed", ended_us=now_us, reason=reason), now_us)

    def _take_in(self, what: Happening, now_us: int) -> None:
        match what:
            case Started(run, pid, shim_pid, started_us, _host):
                commit, dirty = self._commits.of_start(self._agenda.run(run))
                self._agenda.started(
                    run, pid=pid, shim_pid=shim_pid, at_us=started_us, git_commit=commit, git_dirty=dirty
                )
            case Ended(run, end):
                self._agenda.ended(run, end, now_us)
            case Lost(run, reason):
                self._lose(run, reason, now_us)
            case NeverStarted(run, reason):
                self._agenda.never_started(run, now_us, reason)

    def _lose(self, run: str, reason: str, now_us: int) -> None:
        row = self._agenda.run(run)
        self._agenda.lost(run, now_us, reason)
        if row is None:
            return
        duration_s = None if row.started_us is None else max(0, now_us - row.started_us) / 1e6
        unknown = dict.fromkeys(("exit_code", "signal", "error", "user_cpu_s", "system_cpu_s", "max_rss_bytes"))
        end = {"state": "lost", "reason": reason, "duration_s": duration_s, **unknown}
        self._say("error", "run.finished", job=row.job, run=run, **end)
