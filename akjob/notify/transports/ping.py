"""Pings: a service such as Healthchecks or Cronitor gets each start and each end of a job's runs."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

from akjob.notify.transports import Message, secret
from akjob.notify.transports.webhook import post
from akjob.spec.model import Ping

TRY_S = 10.0
_NAMESPACE = uuid.UUID("7f0a3d52-6a8e-4c0e-9f0b-0d0c5f3f6b1e")


def send(ping: Ping, message: Message, root: Path) -> None:
    """Send one ping. Raises DeliveryError."""
    payload = message.payload
    url = address(secret(ping.url, root), ping.style, str(payload["event"]), payload)
    post(url, str(payload.get("body", "")).encode(), {"Content-Type": "text/plain; charset=utf-8"}, TRY_S)


def address(base: str, style: str, event: str, payload: Mapping[str, object]) -> str:
    """Return where a ping goes: ``event`` is ``run``, ``complete`` or ``fail``."""
    rid = run_uuid(str(payload["run"]))
    if style == "healthchecks":
        exit_code = payload.get("exit_code")
        ends = {"run": "/start", "complete": "/0", "fail": f"/{exit_code}" if exit_code else "/fail"}
        return _with(base, ends[event], {"rid": rid})
    if style == "cronitor":
        return _with(base, "", {"state": event, "series": rid})
    return base


def run_uuid(run: str) -> str:
    """Return the UUID that stands for a run."""
    return str(uuid.uuid5(_NAMESPACE, run))


def _with(base: str, tail: str, query: Mapping[str, str]) -> str:
    parts = urlsplit(base)
    joined = "&".join(filter(None, (parts.query, urlencode(query))))
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + tail, joined, ""))
