"""``[web]`` in etc/akjob.toml: every key, every mistake at its place."""

from pathlib import Path

import pytest

from akjob.config import load_config
from akjob.config.web import Address, ProxyConfig, WebConfig, parse_address

ALL = """\
[web]
enabled = false
listen = ["127.0.0.1:8470", "[::1]:9000", "unix:var/run/web.sock"]
public_url = "https://akjob.example.org/"
hosts = ["jobs.example.org"]
[web.proxy]
from = ["unix", "10.0.0.0/8"]
user_header = "Remote-User"
groups_header = "Remote-Groups"
[web.roles]
"group:ops" = "operate"
"user:ada" = "admin"
"""


def settings(folder: Path, text: str) -> tuple[WebConfig, list[str]]:
    """Return what a text means, and what is wrong in it."""
    file = folder / "etc" / "akjob.toml"
    file.parent.mkdir()
    file.write_text(text)
    config, problems = load_config(file)
    return config.web, [str(problem) for problem in problems]


def test_every_key_is_read(tmp_path: Path) -> None:
    """Each key of the table has its place in the settings."""
    web, problems = settings(tmp_path, ALL)
    assert problems == []
    assert web == WebConfig(
        enabled=False,
        listen=(Address("127.0.0.1", 8470), Address("::1", 9000), Address(path="var/run/web.sock")),
        public_url="https://akjob.example.org",
        hosts=("jobs.example.org",),
        proxy=ProxyConfig(sources=("unix", "10.0.0.0/8"), user_header="Remote-User", groups_header="Remote-Groups"),
        roles={"group:ops": "operate", "user:ada": "admin"},
    )


def test_the_page_is_for_this_machine_unless_said_otherwise(tmp_path: Path) -> None:
    """Without a setting akjob-web listens on the loopback address alone, and believes no proxy."""
    web, problems = settings(tmp_path, "")
    assert problems == []
    assert (web.enabled, [str(one) for one in web.listen], web.proxy, web.roles) == (
        True,
        ["127.0.0.1:8470"],
        None,
        {},
    )


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ('listen = "8470"', 10, '`web.listen` cannot be "8470"'),
        ('listen = "127.0.0.1:0"', 10, '`web.listen` cannot be "127.0.0.1:0"'),
        ('listen = "::1:8470"', 10, '`web.listen` cannot be "::1:8470"'),
        ("listen = []", 10, "`web.listen` is empty"),
        ('public_url = "akjob.example.org"', 14, '`web.public_url` cannot be "akjob.example.org"'),
        ('public_url = "https://h/jobs"', 14, '`web.public_url` cannot be "https://h/jobs"'),
        ('proxy = { from = ["10.0.0.1/8"] }', 18, '`web.proxy.from` cannot have "10.0.0.1/8"'),
        ('proxy = { user_header = "a b" }', 25, '`web.proxy.user_header` cannot be "a b"'),
        ('roles = { ops = "read" }', 17, '`web.roles` has "ops", which names no group and no user'),
        ('roles = { "group:ops" = "root" }', 25, '`web.roles."group:ops"` cannot be "root"'),
    ],
)
def test_a_mistake_has_its_place_and_leaves_the_rest(tmp_path: Path, line: str, column: int, said: str) -> None:
    """What is wrong is reported where it stands; the keys beside it count."""
    web, problems = settings(tmp_path, f'[web]\n{line}\nhosts = ["h"]\n')
    assert problems == [f"etc/akjob.toml:2:{column}: error[bad-value] {said}"]
    assert web == WebConfig(hosts=("h",))


@pytest.mark.parametrize("text", ["127.0.0.1:8470", "[::1]:8470", "akjob.internal:80", "unix:/run/akjob.sock"])
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    """Messages show an address in the form of the setting."""
    assert str(parse_address(text)) == text
