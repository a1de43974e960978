"""A POST of the message as JSON, signed where the channel has a secret. Redirects are not followed."""

import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from akjob.config.notify import Channel
from akjob.notify.transports import TRY_S, DeliveryError, Message, secret


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: it could lead to a place that must not have the message."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler())


def send(channel: Channel, message: Message, root: Path) -> None:
    """Post one message. Raises DeliveryError for anything but an answer of 200 to 299."""
    webhook = channel.webhook
    assert webhook is not None  # noqa: S101 - the channel's kind
    body = json.dumps(dict(message.payload), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Akjob-Delivery": message.id, "User-Agent": "akjob"}
    if webhook.secret:
        at = int(time.time())  # noqa: TID251 - the receiver compares it with its own clock
        headers["Akjob-Signature"] = f"t={at},v1={signature(secret(webhook.secret, root), at, body)}"
    post(secret(webhook.url, root), body, headers, TRY_S)


def signature(key: str, at_s: int, body: bytes) -> str:
    """Return the HMAC-SHA256 of ``t.body`` in hex, ``t`` being a Unix time."""
    return hmac.new(key.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
    """Post a body. Raises DeliveryError, whose words never hold the URL: it may be a secret itself."""
    try:
        request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310
        if request.type not in ("http", "https"):
            raise DeliveryError("the URL is neither http:// nor https://")
        with OPENER.open(request, timeout=timeout_s) as answer:
            answer.read(1 << 16)
    except urllib.error.HTTPError as error:
        with error:
            raise DeliveryError(f"the server answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise DeliveryError(f"the server cannot be reached: {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DeliveryError(f"the server cannot be reached: {type(error).__name__}") from None
