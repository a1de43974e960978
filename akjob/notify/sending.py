"""The child that delivers one batch of one channel: orders as JSON on standard input, a line of answer for each.

``python -m akjob.notify.sending PARENT``; it ends with akjob-notify, so that a message is never under way twice.
"""

import json
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import msgspec
from msgspec import Struct

from akjob.config.notify import Channel
from akjob.notify.transports import DeliveryError, Message
from akjob.processes import die_with_parent
from akjob.spec.model import Ping


class DeliveryBatch(Struct, frozen=True, kw_only=True):
    """A batch: the messages of one channel, or the pings of one job."""

    root: str
    messages: tuple[Message, ...]
    channel: Channel | None = None
    ping: Ping | None = None


def sender(order: DeliveryBatch) -> Callable[[Message], None]:
    """Return what delivers a message of the batch; only the one transport that it needs is loaded."""
    root = Path(order.root)
    if order.ping is not None:
        ping = order.ping
        from akjob.notify.transports.ping import send as send_ping  # noqa: PLC0415

        return lambda message: send_ping(ping, message, root)
    channel = order.channel or Channel()
    module = import_module(f"akjob.notify.transports.{_MODULES[channel.kind]}")
    return lambda message: module.send(channel, message, root)


_MODULES = {"smtp": "mail", "webhook": "webhook", "command": "command", "apprise": "apprise"}


def deliver(send: Callable[[Message], None], message: Message) -> str | None:
    """Deliver one message; return why it was not taken, or None."""
    try:
        send(message)
    except DeliveryError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a library's fault must not stop the other messages of the batch
        return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    """Deliver what standard input asks for, in its order."""
    die_with_parent(signal.SIGKILL, int(sys.argv[1]))
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=DeliveryBatch)
    send = sender(order)
    for message in order.messages:
        answer = {"id": message.id, "error": deliver(send, message)}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
