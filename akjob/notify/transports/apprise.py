"""Everything else, by the package Apprise (the extra ``notify``): chat rooms, phones, ticket systems."""

import logging
from pathlib import Path

from akjob.config.notify import Channel
from akjob.notify.transports import DeliveryError, Message, secret


def send(channel: Channel, message: Message, root: Path) -> None:
    """Hand one message to Apprise. Raises DeliveryError with what Apprise logged."""
    try:
        import apprise  # noqa: PLC0415 - 44 MB, only in the child that sends
    except ImportError:
        raise DeliveryError("the package apprise is not installed: pip install 'akjob[notify]'") from None
    said = _Said()
    logger = logging.getLogger("apprise")
    logger.addHandler(said)
    target = apprise.Apprise()
    if not target.add(secret(channel.apprise or "", root)):
        raise DeliveryError("Apprise does not know this kind of URL")
    payload = message.payload
    if not target.notify(title=str(payload["subject"]), body=str(payload["text"])):
        raise DeliveryError(said.last or "Apprise could not deliver it")


class _Said(logging.Handler):
    """Keeps the last warning, which says more than Apprise's ``False``."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()
