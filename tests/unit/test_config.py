"""Where everything is, and etc/akjob.toml."""

import os
import socket
from pathlib import Path

import pytest

from akjob import config
from akjob.config import Config, LedgerConfig, LogConfig, Paths, TrustConfig, find_root, load_config, socket_address
from akjob.errors import AkjobError


def test_the_given_root_wins(tmp_path: Path) -> None:
    """--root, else $AKJOB_ROOT, else the nearest folder upward."""
    for name in ("given", "env", "here/jobs.d", "here/below"):
        (tmp_path / name).mkdir(parents=True)
    env = {"AKJOB_ROOT": str(tmp_path / "env")}
    cwd = tmp_path / "here" / "below"
    assert find_root(str(tmp_path / "given"), env, cwd) == tmp_path / "given"
    assert find_root("../../given", env, cwd) == tmp_path / "given"
    assert find_root(None, env, cwd) == tmp_path / "env"
    assert find_root(None, {}, cwd) == tmp_path / "here"
    assert find_root(None, {"AKJOB_ROOT": ""}, cwd) == tmp_path / "here"


def test_a_folder_that_was_entered_through_a_link_keeps_its_name(tmp_path: Path) -> None:
    """A link that each deploy switches is the root, not the release that it leads to just now."""
    (tmp_path / "rel1/jobs.d/below").mkdir(parents=True)
    (tmp_path / "cur").symlink_to("rel1")
    cwd = tmp_path / "rel1/jobs.d/below"
    entered = str(tmp_path / "cur/jobs.d/below")
    assert find_root(None, {"PWD": entered}, cwd) == tmp_path / "cur"
    assert find_root("../..", {"PWD": entered}, cwd) == tmp_path / "cur"
    for stale in (
        f"{tmp_path}/rel1",
        f"{tmp_path}/gone",
        "cur/jobs.d/below",
        f"{tmp_path}/cur/../cur/jobs.d/below",
        "",
    ):
        assert find_root(None, {"PWD": stale}, cwd) == tmp_path / "rel1", stale


def test_a_configuration_makes_a_root_too(tmp_path: Path) -> None:
    """etc/akjob.toml is enough, and the nearest root counts, not the outermost."""
    inner = tmp_path / "a" / "b"
    (inner / "etc").mkdir(parents=True)
    (inner / "etc" / "akjob.toml").touch()
    (tmp_path / "jobs.d").mkdir()
    (inner / "c").mkdir()
    assert find_root(None, {}, inner / "c") == inner
    assert find_root(None, {}, tmp_path / "a") == tmp_path


@pytest.mark.parametrize(
    ("given", "env", "message"),
    [
        ("nowhere", {}, "--root: nowhere is not a folder"),
        ("", {}, "--root: an empty text is not a folder"),
        (None, {"AKJOB_ROOT": "nowhere"}, r"\$AKJOB_ROOT: nowhere is not a folder"),
        (None, {}, "no root: neither .* has jobs.d/ or etc/akjob.toml"),
    ],
)
def test_no_root_is_wrong_usage(tmp_path: Path, given: str | None, env: dict[str, str], message: str) -> None:
    """The error says where was looked and what to do, and ends a command with 2."""
    with pytest.raises(AkjobError, match=message) as caught:
        find_root(given, env, tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_every_place_is_below_the_root() -> None:
    """The layout that other programs rely on."""
    paths = Paths(Path("/srv/jobs"))
    places = {
        "jobs_d": "jobs.d",
        "etc": "etc",
        "config_file": "etc/akjob.toml",
        "var": "var",
        "runs": "var/runs",
        "run_dir": "var/run",
        "folder_pool": "var/run/pool",
        "log": "var/log/akjob.jsonl",
        "log_dir": "var/log",
        "archive": "var/log/archive",
        "db": "var/akjob.db",
        "web_db": "var/web.db",
        "control_socket": "var/run/akjobd.sock",
        "collector_socket": "var/run/collector.sock",
        "shims_socket": "var/run/shims.sock",
        "supervisor_socket": "var/run/supervisor.sock",
    }
    assert {name: str(getattr(paths, name).relative_to("/srv/jobs")) for name in places} == places


def write(tmp_path: Path, text: str) -> Path:
    """Write etc/akjob.toml."""
    (tmp_path / "etc").mkdir(parents=True)
    path = tmp_path / "etc" / "akjob.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_and_an_empty_file_are_the_defaults(tmp_path: Path) -> None:
    """Nothing needs to be configured."""
    assert load_config(tmp_path / "etc" / "akjob.toml") == (Config(), [])
    assert load_config(write(tmp_path, "")) == (Config(), [])
    assert Config().log == LogConfig(to="file", keep_days=15, max_size=256 * 2**20, max_total=4 * 2**30)
    assert Config().ledger.keep_us == 90 * 86_400 * 10**6


def test_a_small_total_makes_small_files(tmp_path: Path) -> None:
    """The current file is part of the total: where nothing is said of its size, four of it have to fit."""
    small, problems = load_config(write(tmp_path, '[log]\nmax_total = "4MiB"\n'))
    assert (small.log.max_size, problems) == (2**20, [])
    large, problems = load_config(write(tmp_path / "large", '[log]\nmax_total = "10GiB"\n'))
    assert (large.log.max_size, problems) == (256 * 2**20, [])
    said, problems = load_config(write(tmp_path / "said", '[log]\nmax_total = "4MiB"\nmax_size = "1TiB"\n'))
    assert (said.log.max_size, problems) == (2**40, [])


def test_every_key_is_read(tmp_path: Path) -> None:
    """All keys, in one file."""
    text = (
        'timezone = "Europe/Berlin"\npythonpath = ["lib", "../shared"]\nmax_running = 50\n'
        '[log]\nto = "stdout"\nkeep = "30d"\nmax_size = "1GiB"\nmax_total = "10GB"\n'
        '[ledger]\nkeep = "52w"\n[trust]\nowners = ["deploy"]\ngroup_writable = true\n[run]\ntimeout = "5m"\n'
    )
    loaded, problems = load_config(write(tmp_path, text))
    assert problems == []
    assert loaded == Config(
        timezone="Europe/Berlin",
        pythonpath=("lib", "../shared"),
        max_running=50,
        log=LogConfig(to="stdout", keep_days=30, max_size=2**30, max_total=10**10),
        ledger=LedgerConfig(keep_us=364 * 86_400 * 10**6),
        trust=TrustConfig(owners=("deploy",), group_writable=True),
        run_defaults={"timeout": "5m"},
        text=text,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('timzone = "UTC"', "etc/akjob.toml:1:1: error[unknown-key] unknown key `timzone`; did you mean `timezone`?"),
        ("timezone = 1", "etc/akjob.toml:1:12: error[wrong-type] `timezone` must be a string, not an integer"),
        ('timezone = " "', "etc/akjob.toml:1:12: error[empty-text] `timezone` is empty"),
        (
            'pythonpath = "lib"',
            "etc/akjob.toml:1:14: error[wrong-type] `pythonpath` must be an array of strings, not a string",
        ),
        ("max_running = 0", "etc/akjob.toml:1:15: error[out-of-range] `max_running` is 0; it must be 1 or more"),
        ('max_running = "5"', "etc/akjob.toml:1:15: error[wrong-type] `max_running` must be an integer, not a string"),
        ("log = 1", "etc/akjob.toml:1:7: error[wrong-type] `log` must be a table, not an integer"),
        ("\n[log]\nsize = 1", "etc/akjob.toml:3:1: error[unknown-key] unknown key `size`; did you mean `max_size`?"),
        ('[log]\nto = "syslog"', 'etc/akjob.toml:2:6: error[bad-value] `log.to` cannot be "syslog"'),
        (
            "[log]\nto = 1",
            'etc/akjob.toml:2:6: error[wrong-type] `log.to` must be one of "file", "stdout", not an integer',
        ),
        (
            "[log]\nkeep = 15",
            "etc/akjob.toml:2:8: error[wrong-type] `log.keep` must be a duration in quotes, not an integer",
        ),
        (
            '[log]\nkeep = "36h"',
            'etc/akjob.toml:2:8: error[bad-duration] `log.keep`: "36h" is not a whole number of days',
        ),
        (
            '[ledger]\nkeep = "1h"',
            'etc/akjob.toml:2:8: error[out-of-range] `ledger.keep` is "1h"; it must be at least 1d',
        ),
        (
            '[ledger]\nkeep = "90"',
            (
                'etc/akjob.toml:2:8: error[bad-duration] `ledger.keep`: "90" is not a duration: it has no unit; '
                'write "90s", or m, h, d, w or ms'
            ),
        ),
        (
            '[log]\nmax_size = "256M"',
            (
                'etc/akjob.toml:2:12: error[bad-size] `log.max_size`: "256M" is not a size; '
                'write "256MiB" (powers of 1024) or "256MB" (of 1000)'
            ),
        ),
        (
            '[log]\nmax_total = "0B"',
            "etc/akjob.toml:2:13: error[out-of-range] `log.max_total` must be more than nothing",
        ),
        (
            "[log]\nmax_total = 5",
            "etc/akjob.toml:2:13: error[wrong-type] `log.max_total` must be a size in quotes, not an integer",
        ),
        (
            "[trust]\ngroup_writable = 1",
            "etc/akjob.toml:2:18: error[wrong-type] `trust.group_writable` must be true or false, not an integer",
        ),
        ("run = 1", "etc/akjob.toml:1:7: error[wrong-type] `run` must be a table, not an integer"),
        ("a b", "etc/akjob.toml:1:3: error[toml-syntax] `=` is missing after `a`"),
    ],
)
def test_each_mistake_has_its_place_and_leaves_the_default(tmp_path: Path, text: str, said: str) -> None:
    """A wrong value is a Problem with a hint, and the default holds in its place."""
    loaded, problems = load_config(write(tmp_path, text))
    assert [str(problem) for problem in problems] == [said]
    assert problems[0].hint
    assert (loaded.timezone, loaded.pythonpath, loaded.max_running) == ("UTC", (), None)
    assert (loaded.log, loaded.ledger, loaded.trust) == (LogConfig(), LedgerConfig(), TrustConfig())


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    """What is right in the file counts, what is wrong is told in the order of the lines."""
    loaded, problems = load_config(write(tmp_path, 'max_running = -1\ntimezone = "CET"\n[log]\nkep = "1d"\n[extra]\n'))
    assert [problem.line for problem in problems] == [1, 4, 5]
    assert loaded.timezone == "CET"


def test_a_folder_in_its_place_is_a_problem(tmp_path: Path) -> None:
    """What cannot be read says why."""
    (tmp_path / "etc" / "akjob.toml").mkdir(parents=True)
    loaded, problems = load_config(tmp_path / "etc" / "akjob.toml")
    assert loaded == Config()
    assert [problem.code for problem in problems] == ["unreadable"]


def test_a_socket_works_at_any_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path over 107 bytes is reached by the descriptor of its folder; a short one is left alone."""
    folders: dict[tuple[str, int, int], int] = {}
    monkeypatch.setattr(config, "_folders", folders)
    short = tmp_path / "a.sock"
    assert socket_address(short) == str(short) or len(str(short)) > 107
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    address = socket_address(folder / "akjobd.sock")
    assert len(address) <= 107
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(address)
        server.listen(1)
        client.connect(socket_address(folder / "akjobd.sock"))
        assert (folder / "akjobd.sock").is_socket()
    assert socket_address(folder / "other.sock").rpartition("/")[0] == address.rpartition("/")[0]
    (descriptor,) = folders.values()  # one for the folder, kept for the life of a real process
    os.close(descriptor)
