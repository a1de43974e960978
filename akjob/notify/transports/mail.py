"""Mail over SMTP: ``smtps://`` is encrypted from the start, ``smtp://`` by STARTTLS where the server offers it."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote, urlsplit

from akjob.config.notify import Channel
from akjob.notify.transports import TRY_S, DeliveryError, Message, secret


def send(channel: Channel, message: Message, root: Path) -> None:
    """Send one mail to all of the channel's ``to``. Raises DeliveryError."""
    smtp = channel.smtp
    assert smtp is not None  # noqa: S101 - the channel's kind
    url = urlsplit(secret(smtp.url, root))
    password = secret(smtp.password, root) if smtp.password else unquote(url.password or "")
    try:
        with _connected(url.scheme, url.hostname or "localhost", url.port) as server:
            if url.username:
                server.login(unquote(url.username), password)
            server.send_message(mail(channel, message))
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryError(_reason(error)) from error


def mail(channel: Channel, message: Message) -> EmailMessage:
    """Return the mail: a later one of an incident refers to its first, so that readers show one thread."""
    payload = message.payload
    found = EmailMessage()
    found["Subject"] = str(payload["subject"])
    found["From"] = channel.sender
    found["To"] = ", ".join(channel.to)
    found["Date"] = formatdate()
    found["Message-ID"] = _message_id(message.id)
    found["Auto-Submitted"] = "auto-generated"
    found["Akjob-Delivery"] = message.id
    if message.thread is not None and message.thread != message.id:
        found["In-Reply-To"] = found["References"] = _message_id(message.thread)
    found.set_content(str(payload["text"]))
    return found


def _message_id(delivery: str) -> str:
    return f"<{delivery}@akjob.invalid>"


def _connected(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=TRY_S, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port or 25, timeout=TRY_S)
    try:
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
    except BaseException:
        server.close()
        raise
    return server


def _reason(error: OSError | smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the server refuses the recipients " + ", ".join(sorted(error.recipients))
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"the server answers {error.smtp_code}: {text}"
    return f"{type(error).__name__}: {error}"
