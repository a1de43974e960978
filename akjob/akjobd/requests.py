"""What the commands ask of akjobd: a table from request to function, and the answers that are given later."""

from collections.abc import Callable, Mapping
from typing import Any

from akjob.agenda import Agenda, Asked
from akjob.akjobd.cluster import Cluster
from akjob.akjobd.commits import Commits
from akjob.akjobd.loop import Loop
from akjob.akjobd.scanning import Scanning
from akjob.akjobd.status import StatusOf
from akjob.akjobd.writer import Writer
from akjob.control import requests as asked
from akjob.control.server import Peer
from akjob.errors import AkjobError, UnreachableError, UsageError
from akjob.instants import from_text, to_text
from akjob.ledger import Reader
from akjob.toml.wire import from_json

Serve = Callable[[Any, int], asked.Answer]

_WRITING = (asked.RunJob, asked.StopRuns, asked.BeginBackfill, asked.PauseJob, asked.ResumeJob, asked.ResetJob)
_GIT_PATIENCE_US = 2_000_000
_AWAY_HINT = "try again when it is back, or on a node that reaches it: `akjob status` says when it is"
_GOING_DOWN = AkjobError("akjobd is being stopped and starts no more runs", hint="start it again with `akjob up`")


class Requests:
    """Serves requests. ``send`` is how an answer that comes later is sent.

    Yes is said to what was asked after it was written; while the ledger cannot be written, without that. ``status`` is
    answered with the commit of now: when git has answered, or did not for a while.
    """

    def __init__(  # noqa: PLR0913 - all that a request may be about
        self,
        loop: Loop,
        *,
        agenda: Agenda,
        writer: Writer,
        scanning: Scanning,
        commits: Commits,
        status: StatusOf,
        reader: Reader,
        send: Callable[[Peer, asked.Answer], None],
        cluster: Cluster,
    ) -> None:
        self._clock = loop.clock
        self._agenda = agenda
        self._writer = writer
        self._scanning = scanning
        self._commits = commits
        self._status = status
        self._reader = reader
        self._send = send
        self._cluster = cluster
        self._answers: list[tuple[Peer, asked.Answer]] = []
        self._ends: dict[Peer, str] = {}
        self._drained: dict[Peer, bool] = {}
        self._asking_status: list[Peer] = []
        self._git_patience = loop.timer("status", self._answer_status, _GIT_PATIENCE_US)
        self._table: Mapping[type[Any], Serve] = {
            asked.GetRunning: lambda _request, _now: asked.RunningAre(running=status.running()),
            asked.RunJob: self._run,
            asked.TakeRun: self._take,
            asked.StopRuns: self._stop,
            asked.BeginBackfill: self._backfill,
            asked.PauseJob: self._pause,
            asked.ResumeJob: self._resume,
            asked.ResetJob: self._reset,
            asked.Scan: self._scan,
        }
        self._later: Mapping[type[Any], Callable[[Peer, Any, int], asked.Answer | None]] = {
            asked.GetStatus: self._tell_status,
            asked.WaitForRun: self._wait,
            asked.Drain: self._drain,
        }

    def serve(self, peer: Peer, request: asked.AnyRequest) -> asked.Answer | None:
        """Answer a request; None: later."""
        now_us = self._clock.now_us()
        kind = type(request)
        try:
            if kind in self._later:
                return self._later[kind](peer, request, now_us)
            answer = self._done(request, now_us)
        except AkjobError as error:
            return asked.Refused.of(error)
        except ValueError as error:
            return asked.Refused(message=f"the request is malformed: {error}", kind="usage")
        except Exception as error:  # noqa: BLE001 - what one request comes to must not end akjobd
            return asked.Refused(message=f"a fault of akjob: {type(error).__name__}: {error}")
        if not isinstance(request, _WRITING):
            return answer
        self._writer.hurry()
        self._answers.append((peer, answer))
        return None

    def _done(self, request: asked.AnyRequest, now_us: int) -> asked.Answer:
        """Do what is asked; where it is refused, look first whether another node has changed that just now."""
        serve = self._table[type(request)]
        if isinstance(request, _WRITING) and not isinstance(request, asked.StopRuns):
            self._must_be_writable("")
        try:
            return serve(request, now_us)
        except AkjobError:
            if not isinstance(request, _WRITING) or not self._cluster.catch_up(now_us):
                raise
        return serve(request, now_us)

    def gone(self, peer: Peer) -> None:
        """Forget a connection that was closed."""
        self._ends.pop(peer, None)
        if self._drained.pop(peer, None) is not None and not self._drained:
            self._agenda.end_drain("down")

    def answer(self, _now_us: int) -> None:
        """Send the answers for which the time has come; call it after the writer has written."""
        answers, self._answers = self._answers, []
        for peer, answer in answers:
            self._send(peer, self._unless_away(answer))
        for peer, run in list(self._ends.items()):
            if not self._writer.is_open(run):
                del self._ends[peer]
                self._send(peer, self._end_or_refusal(run))
        if self._drained and self._is_drained:
            # The agenda stays drained until the command hangs up: it is about to stop akjobd.
            for peer in [peer for peer, waits in self._drained.items() if waits]:
                self._drained[peer] = False
                self._send(peer, asked.Done())
        if self._asking_status and self._commits.current().fresh:
            self._answer_status(_now_us)

    def _unless_away(self, answer: asked.Answer) -> asked.Answer:
        """Return the answer to what was written, or in a cluster the refusal of what could not be."""
        if isinstance(answer, asked.RunsStopped) or not self._writer.is_held:
            return answer  # what runs here is ended without the database
        try:
            self._must_be_writable("; it is done once the ledger can be written, unless akjobd is restarted before")
        except AkjobError as error:
            return asked.Refused.of(error)
        return answer

    # -- at once ------------------------------------------------------------------------------------------------------

    def _run(self, request: asked.RunJob, now_us: int) -> asked.Answer:
        self._must_be_ready()
        kwargs = {key: from_json(value) for key, value in request.args.items()}
        return asked.RunClaimed(run=self._agenda.ask_run(request.job, kwargs, now_us, request.by))

    def _take(self, request: asked.TakeRun, now_us: int) -> asked.Answer:
        self._must_be_ready()
        return self._cluster.take(request.run, now_us)

    def _stop(self, request: asked.StopRuns, now_us: int) -> asked.Answer:
        self._must_be_ready()
        backfill = self._agenda.stop_backfill(request.target)
        if backfill is not None:
            return asked.RunsStopped(stopped=(backfill,))
        try:
            return asked.RunsStopped(stopped=tuple(self._agenda.ask_stop(request.target, request.by or "", now_us)))
        except UsageError:  # it is neither a job nor a run
            backfill = self._cluster.stop_backfill(request.target, request.by)
            if backfill is None:
                raise
        return asked.RunsStopped(stopped=(backfill,))

    def _backfill(self, request: asked.BeginBackfill, now_us: int) -> asked.Answer:
        self._must_be_ready()
        wanted = Asked(
            job=request.job,
            from_us=from_text(request.begin),
            until_us=from_text(request.until),
            only=request.only,
            parallel=request.parallel,
            newest_first=request.newest_first,
            by=request.by,
        )
        if request.dry_run:
            slots = self._agenda.backfill_slots(wanted, now_us)
            return asked.BackfillBegun(job=wanted.job, slots=tuple(map(to_text, slots)))
        begun = self._agenda.ask_backfill(wanted, now_us)
        return asked.BackfillBegun(id=begun.id, job=begun.job, slots=tuple(map(to_text, begun.slots)))

    def _pause(self, request: asked.PauseJob, now_us: int) -> asked.Answer:
        self._must_be_ready()
        until_us = None if request.until is None else from_text(request.until)
        self._agenda.pause(request.job, until_us, request.reason or "", request.by or "", now_us)
        return asked.Done()

    def _resume(self, request: asked.ResumeJob, now_us: int) -> asked.Answer:
        self._must_be_ready()
        self._agenda.resume(request.job, now_us, request.by)
        return asked.Done()

    def _reset(self, request: asked.ResetJob, now_us: int) -> asked.Answer:
        self._must_be_ready()
        self._agenda.reset(request.job, now_us)
        return asked.Done()

    def _scan(self, _request: asked.Scan, _now_us: int) -> asked.Answer:
        self._scanning.soon()
        return asked.Done()

    def _must_be_ready(self) -> None:
        if self._scanning.jobset is None:
            raise UnreachableError("akjobd is still loading jobs.d", hint="try again in a moment")

    def _must_be_writable(self, more: str) -> None:
        """Raise AkjobError on a node whose database is away: only the database can say what all nodes allow."""
        away = self._cluster.away
        if away is not None:
            raise AkjobError(f"{away.said}{more}", hint=_AWAY_HINT)

    # -- later --------------------------------------------------------------------------------------------------------

    def _tell_status(self, peer: Peer, _request: asked.GetStatus, now_us: int) -> asked.Answer | None:
        if self._commits.current().fresh:
            return asked.StatusIs(status=self._status.at(now_us))
        self._asking_status.append(peer)
        self._git_patience.bring_forward(now_us + _GIT_PATIENCE_US)
        return None

    def _answer_status(self, now_us: int) -> None:
        peers, self._asking_status = self._asking_status, []
        self._git_patience.at_us = None
        answer = asked.StatusIs(status=self._status.at(now_us))
        for peer in peers:
            self._send(peer, answer)

    def _wait(self, peer: Peer, request: asked.WaitForRun, _now_us: int) -> asked.Answer | None:
        if self._writer.is_open(request.run):
            self._ends[peer] = request.run
            return None
        self._must_be_writable("")
        return self._end_of(request.run)

    def _drain(self, peer: Peer, request: asked.Drain, now_us: int) -> asked.Answer | None:
        self._agenda.drain("down", _GOING_DOWN, now_us, kill=request.kill)
        waits = not self._is_drained
        self._drained[peer] = waits
        return None if waits else asked.Done()

    @property
    def _is_drained(self) -> bool:
        return not self._agenda.under_way and not self._writer.is_held

    def _end_of(self, run: str) -> asked.Answer:
        return asked.RunEnded(row=dict(self._reader.run(run)))

    def _end_or_refusal(self, run: str) -> asked.Answer:
        try:
            return self._end_of(run)
        except AkjobError as error:  # another program keeps even readers out of the ledger
            return asked.Refused.of(error)
