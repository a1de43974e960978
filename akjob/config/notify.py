"""``[channels]`` and ``[heartbeat]``: where messages go, and which service learns that akjobd is alive."""

from collections.abc import Mapping
from datetime import time
from urllib.parse import urlsplit

from msgspec import Struct

from akjob.config.readers import Reader, read_count, read_duration, read_string, read_strings, read_table_keys
from akjob.config.secrets import Secret, SecretFile
from akjob.toml.faults import PathProblems, dotted

_KINDS = ("smtp", "webhook", "command", "apprise")
_SECOND_US = 1_000_000


class Smtp(Struct, frozen=True, kw_only=True):
    """A mail server: ``smtps://USER@HOST[:PORT]`` or ``smtp://…``."""

    url: Secret
    password: Secret | None = None


class Webhook(Struct, frozen=True, kw_only=True):
    """A URL that messages are posted to as JSON, signed with ``secret`` where there is one."""

    url: Secret
    secret: Secret | None = None


class Quiet(Struct, frozen=True, kw_only=True):
    """Local hours in which a channel sends nothing: ``from_`` inclusive, ``until`` exclusive; may cross midnight."""

    from_: time
    until: time
    timezone: str = ""


class Channel(Struct, frozen=True, kw_only=True):
    """One of ``[channels]``: exactly one of ``smtp``, ``webhook``, ``command`` and ``apprise`` is set.

    ``sender`` and ``to`` are a mail channel's; ``fallback`` is the channel that gets them too while this one takes
    nothing; ``max_an_hour`` messages are sent in an hour, what is over is in the next one.
    """

    smtp: Smtp | None = None
    sender: str = ""
    to: tuple[str, ...] = ()
    webhook: Webhook | None = None
    command: tuple[str, ...] = ()
    apprise: Secret | None = None
    quiet: Quiet | None = None
    fallback: str | None = None
    max_an_hour: int = 60

    @property
    def kind(self) -> str:
        """Return which kind of channel it is."""
        return next((kind for kind in _KINDS if getattr(self, kind)), "")

    def secrets(self) -> dict[tuple[str, ...], Secret]:
        """Return what a channel must not tell, by its key. A webhook's URL is a secret where it stands in a file."""
        mail, hook = self.smtp or Smtp(url=""), self.webhook or Webhook(url="")
        found = {
            ("smtp", "url"): mail.url,
            ("smtp", "password"): mail.password,
            ("webhook", "url"): hook.url if isinstance(hook.url, SecretFile) else None,
            ("webhook", "secret"): hook.secret,
            ("apprise", "url"): self.apprise,
        }
        return {key: value for key, value in found.items() if value}


class Heartbeat(Struct, frozen=True, kw_only=True):
    """``[heartbeat]``: a URL that is asked ``every_us`` while akjobd answers and is up to date."""

    url: Secret
    every_us: int = 60 * _SECOND_US


def read_channels(value: object, path: tuple[str, ...], out: PathProblems) -> dict[str, Channel] | None:
    """Return the channels that are right; note what is wrong with the others."""
    if type(value) is not dict:
        out.wrong_type(path, "a table", value, "write [channels.NAME] on a line of its own")
        return None
    found = {}
    for name, table in value.items():
        errors = out.errors
        channel = _channel(table, (*path, name), out)
        if channel is not None and out.errors == errors:
            found[name] = channel
    for name, channel in found.items():
        if channel.fallback is not None and channel.fallback not in value:
            where = (*path, name, "fallback")
            message = f'`{dotted(where)}` names the channel "{channel.fallback}", which is not there'
            out.bad(where, "unknown-channel", message, f"one of {', '.join(value)}")
        elif channel.fallback == name:
            where = (*path, name, "fallback")
            out.bad(where, "unknown-channel", f"`{dotted(where)}` names its own channel", "name another one")
    return found


def read_heartbeat(value: object, path: tuple[str, ...], out: PathProblems) -> Heartbeat | None:
    """Return the heartbeat if it is right; note what is not."""
    errors = out.errors
    found = read_table_keys(value, path, out, _HEARTBEAT)
    if errors == out.errors and "url" not in found:
        out.missing_key(path, "url", 'add url = "https://…"')
    return Heartbeat(**found) if errors == out.errors else None


def read_secret(value: object, path: tuple[str, ...], out: PathProblems) -> Secret | None:
    """Return a string, or the file that holds it."""
    if type(value) is not dict:
        if type(value) is str:
            return read_string(value, path, out)
        out.wrong_type(path, "a string or { file = … }", value)
        return None
    found = read_table_keys(value, path, out, {"file": ("file", read_string)})
    if not value:
        out.missing_key(path, "file")
    return SecretFile(**found) if "file" in found else None


def _channel(table: object, path: tuple[str, ...], out: PathProblems) -> Channel | None:
    found = read_table_keys(table, path, out, _CHANNEL)
    if type(table) is not dict:
        return None
    kinds = [kind for kind in table if kind in _KINDS]
    if not kinds:
        out.bad(path, "missing-key", f"`{dotted(path)}` is of no kind", f"add one of {', '.join(_KINDS)}", at_key=True)
    elif len(kinds) > 1:
        where = (*path, kinds[1])
        message = f"`{dotted(path)}` has {' and '.join(kinds)}; a channel is of one kind"
        out.bad(where, "two-kinds", message, "make two channels of it", at_key=True)
    _check_mail(table, path, out, is_mail=kinds[:1] == ["smtp"])
    return Channel(**found)


def _check_mail(table: Mapping[str, object], path: tuple[str, ...], out: PathProblems, *, is_mail: bool) -> None:
    for key, example in (("from", '"akjob@example.org"'), ("to", '["ops@example.org"]')):
        if is_mail and key not in table:
            out.missing_key(path, key, f"add {key} = {example}")
        elif not is_mail and key in table and any(kind in table for kind in _KINDS):
            out.bad((*path, key), "two-kinds", f"`{dotted((*path, key))}` is for mail", "remove it", at_key=True)


def _smtp(value: object, path: tuple[str, ...], out: PathProblems) -> Smtp | None:
    found = read_table_keys(value, path, out, _SMTP)
    if type(value) is dict and "url" not in value:
        out.missing_key(path, "url", 'add url = "smtp://localhost"')
    _check_scheme(found.get("url"), (*path, "url"), out, ("smtp", "smtps"))
    return Smtp(**found) if "url" in found else None


def _webhook(value: object, path: tuple[str, ...], out: PathProblems) -> Webhook | None:
    found = read_table_keys(value, path, out, _WEBHOOK)
    if type(value) is dict and "url" not in value:
        out.missing_key(path, "url", 'add url = "https://…"')
    _check_scheme(found.get("url"), (*path, "url"), out, ("https", "http"))
    return Webhook(**found) if "url" in found else None


def _apprise(value: object, path: tuple[str, ...], out: PathProblems) -> Secret | None:
    found = read_table_keys(value, path, out, _APPRISE)
    if type(value) is dict and "url" not in value:
        out.missing_key(path, "url", "add url = { file = … }")
    url: Secret | None = found.get("url")
    return url


def _web_address(value: object, path: tuple[str, ...], out: PathProblems) -> Secret | None:
    found = read_secret(value, path, out)
    _check_scheme(found, path, out, ("https", "http"))
    return found


def _check_scheme(url: Secret | None, path: tuple[str, ...], out: PathProblems, schemes: tuple[str, ...]) -> None:
    if not isinstance(url, str):
        return
    try:
        parts = urlsplit(url)
        fine = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        written = " or ".join(f"{scheme}://HOST" for scheme in schemes)
        out.bad(path, "bad-value", f"`{dotted(path)}` is not the URL of a server", f"write it as {written}")


def _command(value: object, path: tuple[str, ...], out: PathProblems) -> tuple[str, ...] | None:
    found = read_strings(value, path, out)
    if found == ():
        out.bad(path, "empty-list", f"`{dotted(path)}` is empty", 'write ["/usr/local/bin/page"]')
        return None
    return found


def _recipients(value: object, path: tuple[str, ...], out: PathProblems) -> tuple[str, ...] | None:
    found = (value,) if type(value) is str else read_strings(value, path, out)
    if found is None:
        return None
    wrong = next((text for text in found if "@" not in text or any(sign in text for sign in "\r\n")), None)
    if wrong is not None or not found:
        said = "is empty" if wrong is None else f'has "{wrong}", which is not a mail address'
        out.bad(path, "bad-value", f"`{dotted(path)}` {said}", 'write ["ops@example.org"]')
        return None
    return found


def _sender(value: object, path: tuple[str, ...], out: PathProblems) -> str | None:
    found = read_string(value, path, out)
    if found is None or ("@" in found and found.isprintable()):
        return found
    out.bad(path, "bad-value", f'`{dotted(path)}` is "{found}", which is not a mail address', 'write "akjob@HOST"')
    return None


def _quiet(value: object, path: tuple[str, ...], out: PathProblems) -> Quiet | None:
    found = read_table_keys(value, path, out, _QUIET)
    if type(value) is not dict:
        return None
    for key in ("from", "until"):
        if key not in value:
            out.missing_key(path, key, f"add {key} = 07:00:00")
    if found.get("from_") is not None and found.get("from_") == found.get("until"):
        out.bad(path, "bad-value", f"`{dotted(path)}` begins when it ends", "write two different times")
        return None
    return Quiet(**found) if "from_" in found and "until" in found else None


def _time(value: object, path: tuple[str, ...], out: PathProblems) -> time | None:
    if type(value) is time:
        return value
    out.wrong_type(path, "a time", value, "write 07:00:00, without quotes")
    return None


def _zone(value: object, path: tuple[str, ...], out: PathProblems) -> str | None:
    from akjob.schedule.zones import is_zone, near_zones  # noqa: PLC0415 - only quiet hours with a zone need it

    found = read_string(value, path, out)
    if found is None or is_zone(found):
        return found
    hint = f'write "{near}"' if (near := next(iter(near_zones(found)), "")) else 'write a name such as "Europe/Berlin"'
    out.bad(path, "unknown-zone", f'unknown time zone "{found}"', hint)
    return None


def _every(value: object, path: tuple[str, ...], out: PathProblems) -> int | None:
    return read_duration(value, path, out, _SECOND_US)


_SMTP: Mapping[str, tuple[str, Reader]] = {"url": ("url", read_secret), "password": ("password", read_secret)}
_WEBHOOK: Mapping[str, tuple[str, Reader]] = {"url": ("url", read_secret), "secret": ("secret", read_secret)}
_APPRISE: Mapping[str, tuple[str, Reader]] = {"url": ("url", read_secret)}
_QUIET: Mapping[str, tuple[str, Reader]] = {
    "from": ("from_", _time),
    "until": ("until", _time),
    "timezone": ("timezone", _zone),
}
_CHANNEL: Mapping[str, tuple[str, Reader]] = {
    "smtp": ("smtp", _smtp),
    "from": ("sender", _sender),
    "to": ("to", _recipients),
    "webhook": ("webhook", _webhook),
    "command": ("command", _command),
    "apprise": ("apprise", _apprise),
    "quiet": ("quiet", _quiet),
    "fallback": ("fallback", read_string),
    "max_an_hour": ("max_an_hour", read_count),
}
_HEARTBEAT: Mapping[str, tuple[str, Reader]] = {"url": ("url", _web_address), "every": ("every_us", _every)}
TABLES = {
    "channels": ("NAME",),
    "channels.NAME": _CHANNEL,
    "channels.NAME.smtp": _SMTP,
    "channels.NAME.webhook": _WEBHOOK,
    "channels.NAME.apprise": _APPRISE,
    "channels.NAME.quiet": _QUIET,
    "heartbeat": _HEARTBEAT,
}
