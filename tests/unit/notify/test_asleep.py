"""What wakes akjob-notify up while it has nobody to tell."""

from pathlib import Path

import pytest

from akjob.notify.asleep import has_pings


@pytest.mark.parametrize(
    "text",
    [
        '[notify]\nping = "https://hc.example.org/1"\n',
        '[notify]\n"ping"="https://hc.example.org/1"\n',
        '[notify.ping]\nurl = { file = "secret" }\n',
        'notify.ping.url = "https://hc.example.org/1"\n',
        'notify.ping."url" = "https://hc.example.org/1"\n',
        "notify . ping . url = 'https://hc.example.org/1'\n",
        'notify = { ping = "https://hc.example.org/1" }\n',
    ],
)
def test_a_key_is_a_ping(tmp_path: Path, text: str) -> None:
    """However it is written."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.toml").write_text(f'command = ["true"]\n{text}')
    assert has_pings(tmp_path)


@pytest.mark.parametrize("text", ['command = "curl -fsS https://hc-ping.com/1"\n', 'command = ["ping", "-c1", "db"]\n'])
def test_the_mere_word_is_none(tmp_path: Path, text: str) -> None:
    """A job that pings something by itself is nothing for akjob-notify."""
    (tmp_path / "a.toml").write_text(text)
    assert not has_pings(tmp_path)
