"""Everything between a transition and a delivered message: policy, outbox and children, joined in one order.

What a reading comes to is committed with the number of the last transition that was read; only then is anything sent.
"""

import selectors
from collections.abc import Callable, Sequence

from akjob.config import Config, Paths
from akjob.config.notify import Channel
from akjob.instants import from_text
from akjob.ledger import Reader, Transition
from akjob.ledger.model import BY_ITSELF
from akjob.notify.children import BATCH, Child, TryResult
from akjob.notify.facts import JobFacts
from akjob.notify.gathering import paces_of
from akjob.notify.model import FAILURES, Incident, Note
from akjob.notify.outbox import FALLBACK_AFTER, PING, Delivery, Outbox
from akjob.notify.policy import Policy
from akjob.notify.redact import Redactor
from akjob.notify.sending import DeliveryBatch
from akjob.notify.text import Origin, payload
from akjob.notify.transports import Message
from akjob.program import Holding
from akjob.spec.model import Ping

_READ = 1000
_TELLERS = 20_000
_DETAILED = 500
"""So many notes of one message are told with all that is known; those over it by their job and slot."""


class PostOffice:
    """Owns the outbox. ``say(level, event, **fields)`` puts a line on the log stream."""

    def __init__(  # noqa: PLR0913 - what it works on, and how it is heard of
        self,
        paths: Paths,
        config: Config,
        reader: Reader,
        selector: selectors.BaseSelector,
        *,
        host: str,
        say: Callable[..., None],
        node: str | None = None,
    ) -> None:
        self._paths = paths
        self._reader = reader
        self._selector = selector
        self._origin = Origin(host=host, root=str(paths.root))
        self._say = say
        self._children: dict[str, Child] = {}
        self._outbox = Outbox(paths.notify_db)
        self._config = config
        self._facts = JobFacts(paths, config, reader)
        self._node = node
        self._tellers: dict[str, str | None] = {}  # of runs and jobs: the node that wrote of them last
        self._policy = self._restored()

    def holding(self) -> Holding:
        """Return the outbox as something that may be removed while it is open."""
        return self._outbox.holding()

    def reconfigure(self, config: Config) -> None:
        """Work by other settings from now on."""
        self._config = config
        self._facts.reconfigure(config)
        with self._outbox.commit():
            self._outbox.release_held()

    def _restored(self) -> Policy:
        policy = Policy(
            rules=self._facts.notify,
            jitter_us=self._facts.jitter_us,
            usual_us=self._facts.usual_us,
            remembered=self._outbox.remembered(self._last_seen_us()),
        )
        for row in self._reader.open_runs():
            if row["state"] == "running" and row["started_at"] is not None:
                policy.watch(row["id"], row["job"], from_text(row["slot"]), from_text(row["started_at"]))
            elif row["trigger"] in BY_ITSELF:
                queued_us = from_text(row["queued_at"])
                policy.watch(row["id"], row["job"], from_text(row["slot"]), None, queued_us=queued_us)
        return policy

    def _last_seen_us(self) -> int | None:
        """Return when the last transition that was read happened; None for the first start, which reads none before."""
        seq = self._outbox.seq()
        if seq is None:
            with self._outbox.commit():
                self._outbox.keep_seq(self._reader.last_seq())
            return None
        last = self._reader.transitions(seq - 1, 1)
        return last[0].at_us if last and last[0].seq == seq else None

    # -- from transitions to notes -------------------------------------------------------------------------------------

    def read(self, now_us: int) -> bool:
        """Take in what the ledger has; return True if that was all."""
        found = self._reader.transitions(self._outbox.seq() or 0, _READ)
        for change in found:
            if change.kind == "job" and change.job is not None:
                self._facts.forget(change.job)
        notes: list[Note] = []
        for change in found:
            if change.kind != "daemon" or self._is_mine(change.node):  # another node's downtime is its own to tell
                self._policy.take([change])
            self._learn(change)
            notes += self._mine(self._policy.take_notes())
        with self._outbox.commit():
            for change in found:
                if self._is_mine(change.node):
                    self._ping(change, now_us)
            if found:
                self._outbox.keep_seq(found[-1].seq)
            self._keep([*notes, *self._mine(self._policy.tick(now_us))], now_us)
        return len(found) < _READ

    def _is_mine(self, node: str | None) -> bool:
        return self._node is None or node in (None, self._node)

    def _learn(self, change: Transition) -> None:
        """Note which node tells of a run or a job: the one that wrote what happened. All nodes follow all incidents."""
        if self._node is not None:
            self._tellers[change.run or change.job or ""] = change.node
            if len(self._tellers) > _TELLERS:
                del self._tellers[next(iter(self._tellers))]

    def _mine(self, notes: Sequence[Note]) -> list[Note]:
        """Return the notes that this node tells."""
        return [note for note in notes if self._is_mine(self._tellers.get(note.run or note.job))]

    def _keep(self, notes: Sequence[Note], now_us: int) -> None:
        """Write the notes, and what the policy remembers, within the commit."""
        for note in notes:
            for channel in self._facts.notify(note.job).channels:
                self._outbox.add(channel, note, now_us)
        changed, self._policy.changed = self._policy.changed, set()
        for job in sorted(changed):
            self._outbox.keep_job(job, self._policy.jobs[job])
        closed: list[Incident] = self._policy.closed
        self._policy.closed = []
        self._outbox.keep_absence(self._policy.absence)
        for incident in closed:
            self._outbox.keep_incident(incident)

    def _ping(self, change: Transition, now_us: int) -> None:
        """Put the ping for a start or an end into the outbox. A failure that is retried pings nothing."""
        if change.kind != "run" or change.job is None or change.run is None:
            return
        notify = self._facts.notify(change.job)
        event = _ping_event(change)
        if notify.ping is None or event is None or (notify.ping.style == "url" and event != "complete"):
            return
        lines = self._facts.output(change.job, change.run, notify.lines) if event != "run" else ()
        body = {"event": event, "run": change.run, "exit_code": change.detail.exit_code, "body": "\n".join(lines)}
        self._outbox.post(PING + change.job, "ping", [change.job], body, now_us)

    # -- from notes to messages ----------------------------------------------------------------------------------------

    def work(self, now_us: int, steady: float) -> None:
        """Do everything that is due: notes by time, messages that are complete, tries, answers, limits of time."""
        for number in self._outbox.acknowledged():
            self._policy.acknowledge(number, now_us)
        if self._policy.wake_us is not None and now_us >= self._policy.wake_us:
            with self._outbox.commit():
                self._keep(self._mine(self._policy.tick(now_us)), now_us)
        self._seal(now_us)
        self._collect(now_us, steady)
        self._send(now_us, steady)

    def _seal(self, now_us: int) -> None:
        wake_us = self._outbox.wake_us()
        if wake_us is None or wake_us > now_us:
            return
        with self._outbox.commit():
            for delivery in self._outbox.ripe(paces_of(self._config), now_us):
                notes = self._outbox.notes(delivery.id)
                reports = [self._facts.report(note) for note in notes[:_DETAILED]]
                reports += [self._facts.brief(note) for note in notes[_DETAILED:]]
                message = payload(delivery.id, delivery.kind, now_us, self._origin, reports)
                redact = Redactor(self._facts.channel_secrets())
                message |= {"subject": redact(message["subject"]), "text": redact(message["text"])}
                self._outbox.seal(delivery.id, message, now_us)

    # -- from messages to the other side -------------------------------------------------------------------------------

    def _send(self, now_us: int, steady: float) -> None:
        waiting: dict[str, list[Delivery]] = {}
        for delivery in self._outbox.due(now_us):
            if delivery.channel not in self._children:
                waiting.setdefault(delivery.channel, []).append(delivery)
        for name, batch in waiting.items():
            target = self._target(name)
            if target is None:  # perhaps only for a moment: an edit of the settings costs no message
                self._put_off(batch, f"there is no channel {name}", now_us)
                continue
            self._start(name, target, batch[:BATCH], steady)

    def _target(self, name: str) -> Channel | Ping | None:
        if name.startswith(PING):
            return self._facts.notify(name.removeprefix(PING)).ping
        return self._config.channels.get(name)

    def _start(self, name: str, target: Channel | Ping, batch: Sequence[Delivery], steady: float) -> None:
        messages = tuple(
            Message(id=one.id, payload=one.payload or {}, thread=self._outbox.thread(one.incident, name))
            for one in batch
        )
        order = DeliveryBatch(
            root=str(self._paths.root),
            messages=messages,
            channel=target if isinstance(target, Channel) else None,
            ping=target if isinstance(target, Ping) else None,
        )
        child = self._children[name] = Child(order, batch, steady)
        self._selector.register(child.stdout, selectors.EVENT_READ, lambda: None)  # every turn collects

    def _collect(self, now_us: int, steady: float) -> None:
        for name, child in list(self._children.items()):
            over, late = child.is_over, steady >= child.deadline
            results = list(child.results())
            if over or late:
                self._selector.unregister(child.stdout)
                results += child.end("it took too long" if late else "the process that delivers ended early")
                del self._children[name]
            self._note(results, now_us)

    def _note(self, results: Sequence[TryResult], now_us: int) -> None:
        if not results:
            return
        with self._outbox.commit():
            for result in results:
                if result.error is None:
                    self._outbox.sent(result.delivery, now_us)
                else:
                    self._failed(result.delivery, result.error, now_us)

    def _failed(self, delivery: Delivery, error: str, now_us: int) -> None:
        state = self._outbox.failed(delivery, error, now_us)
        self._say(
            "error" if state == "dead" else "warning",
            "notify.dead" if state == "dead" else "notify.failed",
            channel=delivery.channel,
            delivery=delivery.id,
            attempts=delivery.attempts + 1,
            message=error,
        )
        channel = self._config.channels.get(delivery.channel)
        if channel is None or channel.fallback not in self._config.channels or delivery.payload is None:
            return
        if delivery.attempts + 1 == FALLBACK_AFTER and delivery.payload.get("fallback_for") is None:
            copy = delivery.payload | {"fallback_for": delivery.channel}
            self._outbox.post(str(channel.fallback), delivery.kind, delivery.jobs, copy, now_us)

    def _put_off(self, batch: Sequence[Delivery], error: str, now_us: int) -> None:
        with self._outbox.commit():
            for delivery in batch:
                self._failed(delivery, error, now_us)

    # -- when there is something to do ---------------------------------------------------------------------------------

    @property
    def wake_us(self) -> int | None:
        """Return when something is due by the wall clock; None if nothing is."""
        times = [at for at in (self._policy.wake_us, self._outbox.wake_us(set(self._children))) if at is not None]
        return min(times, default=None)

    def deadline(self, _steady: float) -> float | None:
        """Return when the first child has had its time, in seconds of the steady clock."""
        return min((child.deadline for child in self._children.values()), default=None)

    def close(self) -> None:
        """End the children and close the outbox; what they had not delivered stays due."""
        for child in self._children.values():
            for result in child.end(""):
                if result.error is None:
                    with self._outbox.commit():
                        self._outbox.sent(result.delivery, from_text(result.delivery.due_at))
        self._outbox.close()


def _ping_event(change: Transition) -> str | None:
    if change.to_state == "running":
        return "run"
    if change.to_state == "succeeded":
        return "complete"
    if change.to_state in FAILURES and not change.detail.retried:
        return "fail"
    return None
