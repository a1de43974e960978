"""A message that proves that a channel works: sent at once, and kept in the outbox like any other."""

from akjob.config import Paths
from akjob.config.notify import Channel
from akjob.notify.outbox import Outbox
from akjob.notify.redact import Redactor, values_of
from akjob.notify.sending import DeliveryBatch, deliver, sender
from akjob.notify.text import JobReport, Origin, payload
from akjob.notify.transports import Message


def send_test(paths: Paths, name: str, channel: Channel, host: str, now_us: int) -> str | None:
    """Send a test message to a channel; return why it was not taken, or None."""
    outbox = Outbox(paths.notify_db)
    try:
        report = JobReport(kind="test", at_us=now_us, job=name)
        content = payload("", "test", now_us, Origin(host=host, root=str(paths.root)), [report]) | {"jobs": []}
        with outbox.commit():
            delivery = outbox.reserve(name, "test", content, now_us)
        message = Message(id=delivery.id, payload=delivery.payload or {})
        error = deliver(sender(DeliveryBatch(root=str(paths.root), messages=(message,), channel=channel)), message)
        error = None if error is None else Redactor(values_of(channel.secrets().values(), paths.root))(error)
        with outbox.commit():
            if error is None:
                outbox.sent(delivery, now_us)
            else:
                outbox.failed(delivery, error, now_us, for_good=True)
    finally:
        outbox.close()
    return error
