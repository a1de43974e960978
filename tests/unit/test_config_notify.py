"""``[channels]`` and ``[heartbeat]`` in etc/akjob.toml."""

from datetime import time
from pathlib import Path

import pytest

from akjob.config import load_config
from akjob.config.notify import Channel, Heartbeat, Quiet, Smtp, Webhook
from akjob.config.secrets import SecretFile


def test_each_kind_of_channel_is_read(tmp_path: Path) -> None:
    """Mail, webhook, command and Apprise, with what any of them may have."""
    file = tmp_path / "akjob.toml"
    file.write_text("""
[channels.ops]
smtp = { url = "smtps://akjob@mail.example.org", password = { file = "/run/secrets/smtp" } }
from = "akjob@example.org"
to = ["ops@example.org"]
quiet = { from = 22:00:00, until = 07:00:00, timezone = "Europe/Berlin" }
fallback = "pager"
[channels.hook]
webhook = { url = "https://example.org/hook", secret = { file = "/run/secrets/hook" } }
max_an_hour = 5
[channels.pager]
command = ["/usr/local/bin/page"]
[channels.chat]
apprise = { url = { file = "/run/secrets/slack-url" } }
[heartbeat]
url = "https://hc.example.org/beat"
every = "2m"
""")
    config, problems = load_config(file)
    assert problems == []
    assert config.channels == {
        "ops": Channel(
            smtp=Smtp(url="smtps://akjob@mail.example.org", password=SecretFile("/run/secrets/smtp")),
            sender="akjob@example.org",
            to=("ops@example.org",),
            quiet=Quiet(from_=time(22), until=time(7), timezone="Europe/Berlin"),
            fallback="pager",
        ),
        "hook": Channel(
            webhook=Webhook(url="https://example.org/hook", secret=SecretFile("/run/secrets/hook")), max_an_hour=5
        ),
        "pager": Channel(command=("/usr/local/bin/page",)),
        "chat": Channel(apprise=SecretFile("/run/secrets/slack-url")),
    }
    assert config.heartbeat == Heartbeat(url="https://hc.example.org/beat", every_us=120_000_000)
    assert [channel.kind for channel in config.channels.values()] == ["smtp", "webhook", "command", "apprise"]
    assert config.channels["ops"].secrets()["smtp", "password"] == SecretFile("/run/secrets/smtp")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[channels.a]\n", "1:11 missing-key channels.a"),
        ('[channels.a]\ncommand = ["x"]\nwebhook = { url = "https://h" }\n', "3:1 two-kinds channels.a.webhook"),
        ('[channels.a]\nsmtp = { url = "smtp://h" }\nto = ["a@b"]\n', "1:1 missing-key channels.a"),
        (
            '[channels.a]\nsmtp = { url = "http://h" }\nto = ["a@b"]\nfrom = "a@b"\n',
            "2:16 bad-value channels.a.smtp.url",
        ),
        ('[channels.a]\nwebhook = { url = "ftp://h" }\n', "2:19 bad-value channels.a.webhook.url"),
        ('[channels.a]\nwebhook = { secret = "x" }\n', "2:11 missing-key channels.a.webhook"),
        ('[channels.a]\ncommand = ["x"]\nfallback = "b"\n', "3:12 unknown-channel channels.a.fallback"),
        ('[channels.a]\ncommand = ["x"]\nfallback = "a"\n', "3:12 unknown-channel channels.a.fallback"),
        ('[channels.a]\ncommand = ["x"]\nquiet = { from = 22:00:00 }\n', "3:9 missing-key channels.a.quiet"),
        (
            '[channels.a]\ncommand = ["x"]\nquiet = { from = 22:00:00, until = 22:00:00 }\n',
            "3:9 bad-value channels.a.quiet",
        ),
        ('[channels.a]\ncommand = ["x"]\nto = ["a@b"]\n', "3:1 two-kinds channels.a.to"),
        ("[channels.a]\ncommand = []\n", "2:11 empty-list channels.a.command"),
        ('[channels.a]\napprise = { url = { fil = "x" } }\n', "2:21 unknown-key channels.a.apprise.url.fil"),
        ('[channels.a]\ncommand = ["x"]\nmax_an_hour = 0\n', "3:15 out-of-range channels.a.max_an_hour"),
        (
            '[channels.a]\ncommand = ["x"]\nquiet = { from = 22:00:00, until = 07:00:00, timezone = "Mars/Base" }\n',
            "3:57 unknown-zone channels.a.quiet.timezone",
        ),
        ('[heartbeat]\nevery = "1m"\n', "1:1 missing-key heartbeat"),
        ('[heartbeat]\nurl = "ftp://h"\n', "2:7 bad-value heartbeat.url"),
        ('[heartbeat]\nurl = "https://h"\nevery = "10ms"\n', "3:9 out-of-range heartbeat.every"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(tmp_path: Path, text: str, found: str) -> None:
    """A mistake in a channel has a position, a code and a hint, and costs that channel alone."""
    file = tmp_path / "akjob.toml"
    file.write_text(text + '\n[channels.fine]\ncommand = ["page"]\n')
    config, problems = load_config(file)
    assert [f"{one.line}:{one.column} {one.code} {one.key}" for one in problems] == [found]
    assert all(one.hint for one in problems)
    assert config.channels["fine"] == Channel(command=("page",))
