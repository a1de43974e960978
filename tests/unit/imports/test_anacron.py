"""An anacrontab becomes job files."""

from datetime import datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.imports import Import
from akjob.imports.anacron import read_anacrontab
from tests.unit.imports.build import notes, only, tables

DEBIAN = """\
# /etc/anacrontab: configuration file for anacron
SHELL=/bin/sh
HOME=/root
LOGNAME=root

1\t5\tcron.daily\trun-parts --report /etc/cron.daily
7\t10\tcron.weekly\trun-parts --report /etc/cron.weekly
@monthly\t15\tcron.monthly\trun-parts --report /etc/cron.monthly
"""
FEDORA = "PATH=/sbin:/bin\nRANDOM_DELAY=45\nSTART_HOURS_RANGE=3-22\n1 5 cron.daily nice run-parts /etc/cron.daily\n"


def read(text: str, *, share: bool = False) -> Import:
    """Read as of a machine in Berlin."""
    return read_anacrontab(text, file="/etc/anacrontab", zone="Europe/Berlin", share=share)


def test_debian_s() -> None:
    """The names are anacron's own; the delay is jitter, a missed period is made up for."""
    found = tables(read(DEBIAN))
    assert list(found) == ["cron.daily", "cron.weekly", "cron.monthly"]
    assert found["cron.daily"]["schedule"] == {"timezone": "Europe/Berlin", "daily": time(0), "jitter": "5m"}
    assert found["cron.weekly"]["schedule"]["weekly"] == {"days": ["mon"], "at": time(0)}
    assert found["cron.monthly"]["schedule"]["monthly"] == {"days": [1], "at": time(0)}
    assert [table["run"]["missed_within"] for table in found.values()] == ["1d", "7d", "30d"]
    run = found["cron.daily"]["run"]
    assert (run["missed"], run["user"], run["cwd"], run["timeout"]) == ("latest", "root", "/", "none")
    assert run["env"] == {"PATH": "/usr/bin:/bin"}
    assert len(notes(read(DEBIAN))) == 1


def test_hours_and_random_delay() -> None:
    """START_HOURS_RANGE is a limit and the hour of the start, RANDOM_DELAY more jitter."""
    table = only(read(FEDORA))
    assert table["schedule"] == {"timezone": "Europe/Berlin", "daily": time(3), "jitter": "50m"}
    assert table["limits"]["hours"] == {"from": time(3), "until": time(22)}
    assert table["command"] == "nice run-parts /etc/cron.daily"
    assert table["run"]["env"] == {"PATH": "/sbin:/bin"}


def test_other_periods() -> None:
    """Some days are a grid, a year is a cron expression, what is not a period disables the job."""
    assert only(read(FEDORA.replace("\n1 ", "\n3 ")))["schedule"] == {
        "timezone": "Europe/Berlin",
        "every": "3d",
        "anchor": datetime(1970, 1, 1, 3),  # noqa: DTZ001 - a local time
        "jitter": "50m",
    }
    assert only(read("@yearly 0 y cmd\n"))["schedule"]["cron"] == "0 0 1 1 *"
    assert only(read("@often 0 y cmd\n"))["enabled"] is False
    assert only(read("0 0 y cmd\n"))["enabled"] is False


def test_what_all_share_is_a_defaults_file() -> None:
    """As with crontabs."""
    made = read(DEBIAN, share=True)
    assert 'user = "root"' in made.defaults
    assert all("user" not in table["run"] for table in tables(made).values())


@pytest.mark.parametrize("line", ["1 5 cron.daily", "nothing", "1 x y z"])
def test_lines_that_are_nothing_are_kept_and_reported(line: str) -> None:
    """Not a line is lost."""
    made = read(f"{line}\n1 5 a b\n")
    assert f"# line 1, not translated: {line}\n" in made.jobs[0].text
    assert [note.line for note in made.notes] == [1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40), max_size=6))
def test_whatever_stands_in_it_what_comes_out_is_a_job(lines: list[str]) -> None:
    """No text makes it raise, and no job comes out that akjob would refuse."""
    tables(read("\n".join([*lines, "1 5 a b", *lines]), share=True))
