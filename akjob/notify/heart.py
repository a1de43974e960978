"""The heartbeat: a URL is asked while akjobd answers and is up to date, so that "alive but stuck" goes silent."""

from collections.abc import Callable

from akjob.config import Paths
from akjob.config.notify import Heartbeat
from akjob.errors import AkjobError
from akjob.instants import MINUTE
from akjob.notify.children import Child
from akjob.notify.outbox import Delivery
from akjob.notify.sending import DeliveryBatch
from akjob.notify.transports import Message
from akjob.spec.model import Ping

_STALE_US = MINUTE


class Heart:
    """Beats every ``every_us``; ``due`` is the next time, in seconds of the steady clock."""

    def __init__(self, paths: Paths, heartbeat: Heartbeat, say: Callable[..., None]) -> None:
        self._paths = paths
        self._heartbeat = heartbeat
        self._say = say
        self._child: Child | None = None
        self.due = 0.0

    def beat(self, steady: float, now_us: int) -> None:
        """Beat if it is time, and if akjobd is well."""
        if steady < self.due:
            return
        self.due = steady + self._heartbeat.every_us / 1e6
        self._end_last()
        reason = unwell(self._paths, now_us)
        if reason is not None:
            self._say("warning", "notify.heartbeat_withheld", message=reason)
            return
        ping = Ping(url=self._heartbeat.url, style="url")
        order = DeliveryBatch(
            root=str(self._paths.root),
            messages=(Message(id="heartbeat", payload={"event": "complete", "run": ""}),),
            ping=ping,
        )
        self._child = Child(order, (_BEAT,), steady)

    def _end_last(self) -> None:
        if self._child is None:
            return
        for result in self._child.end("it took too long"):
            if result.error is not None:
                self._say("warning", "notify.heartbeat_failed", message=result.error)
        self._child = None

    def close(self) -> None:
        """End a beat that is under way."""
        if self._child is not None:
            self._child.end("")


def unwell(paths: Paths, now_us: int) -> str | None:
    """Return why there is no heartbeat, or None: akjobd answers, and accounted for everything up to a minute ago."""
    from akjob.query.liveness import accounted_until_us  # noqa: PLC0415 - only where there is a heartbeat

    try:
        until_us = accounted_until_us(paths)
    except AkjobError as error:
        return error.message
    if now_us - until_us > _STALE_US:
        return "akjobd answers, but has not come to its slots for more than a minute"
    return None


_BEAT = Delivery(
    id="heartbeat",
    channel="heartbeat",
    kind="ping",
    incident=None,
    jobs=[],
    opened_at="",
    due_at="",
    sealed_at=None,
    ended_at=None,
    state="pending",
    attempts=0,
    error=None,
    payload={},
)
