"""Crontabs become job files that do what cron did; nothing is lost on the way."""

import subprocess
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.config import Config
from akjob.imports import Import
from akjob.imports.crontab import (
    has_seconds_first,
    is_anacrontab,
    is_system,
    name_of,
    owner_of,
    read_crontab,
    source_of,
)
from akjob.instants import from_text, to_text
from akjob.schedule import compile_schedule, next_slots
from akjob.spec import parse_defaults, parse_job

CRON_PATH = {"PATH": "/usr/bin:/bin"}


def home(user: str | None) -> str | None:
    """Every user has a home but nobody."""
    return None if user == "nobody" else f"/home/{user or 'me'}"


def read(text: str, *, system: bool = False, zone: str = "Europe/Berlin") -> Import:
    """Read a crontab as of a machine in Berlin; whatever comes out must be a job."""
    made = read_crontab(text, file="tab", system=system, zone=zone, home=home)
    for job in made.jobs:
        result = parse_job(job.name, f"jobs.d/{job.name}.toml", job.text, defaults=(), config=Config())
        assert result.spec is not None, (job.text, result.problems)
    return made


def one(text: str, *, system: bool = False, zone: str = "Europe/Berlin") -> dict[str, Any]:
    """Read a crontab of one entry and return its job's table."""
    made = read(text, system=system, zone=zone)
    assert len(made.jobs) == 1
    return tomllib.loads(made.jobs[0].text)


def notes(made: Import) -> list[str]:
    """Return what is said about each line."""
    return [str(note) for note in made.notes]


def test_an_entry_keeps_its_schedule_its_command_and_cron_s_ways() -> None:
    """No time limit, runs may overlap, nothing is caught up, umask 022, in the home folder, in the machine's zone."""
    assert one("30 2 * * 1-5 /usr/local/bin/backup.sh --all\n") == {
        "command": "/usr/local/bin/backup.sh --all",
        "schedule": {"timezone": "Europe/Berlin", "cron": "30 2 * * 1-5"},
        "run": {
            "timeout": "none",
            "overlap": "allow",
            "missed": "skip",
            "umask": "0022",
            "cwd": "/home/me",
            "env": CRON_PATH,
        },
    }


def test_the_file_quotes_the_line_it_was_made_of() -> None:
    """A reader sees where the job comes from."""
    made = read("\n\n30 2 * * *\t/bin/true\n")
    assert made.jobs[0].text.startswith("# Imported from tab:\n#   30 2 * * *\t/bin/true\n")
    assert made.jobs[0].line == 3


def test_a_comment_above_an_entry_describes_it() -> None:
    """A comment directly above is the description; one with a blank line between stays a comment."""
    table = one("# the whole file\n\n# nightly\n# backup\n0 3 * * * backup\n")
    assert table["description"] == "nightly backup"
    assert "# the whole file\n" in read("# the whole file\n\n# x\n0 3 * * * backup\n").jobs[0].text


def test_environment_lines_hold_for_the_entries_below() -> None:
    """As under cron: from their line on, quotes taken off, no expansion."""
    made = read("A=1\n0 1 * * * one\nB = \"two words\"\n'C'=it's  \nPATH=/bin:$PATH\n0 2 * * * two\n")
    tables = [tomllib.loads(job.text) for job in made.jobs]
    assert tables[0]["run"]["env"] == {**CRON_PATH, "A": "1"}
    assert tables[1]["run"]["env"] == {"A": "1", "B": "two words", "C": "it's", "PATH": "/bin:$PATH"}
    assert not made.notes


def test_a_variable_that_akjob_refuses_takes_no_other_with_it() -> None:
    """cron takes names that no shell does. The others stay; each that is left out is noted and kept as a comment."""
    made = read('my-var=1\nPATH=/opt/bin:/usr/bin\né=2\n"a.b"=3\nAKJOB_JOB=4\n0 7 * * * tool\n')
    (job,) = made.jobs
    table = tomllib.loads(job.text)
    assert table["run"]["env"] == {"PATH": "/opt/bin:/usr/bin"}
    assert "enabled" not in table
    assert [note.partition(" is kept")[0] for note in notes(made)] == [
        "tab:6: run.env.my-var",
        "tab:6: run.env.é",
        'tab:6: run.env."a.b"',
        "tab:6: run.env.AKJOB_JOB",
    ]
    assert '# env = { "a.b" = "3" }\n' in job.text


def test_variables_that_akjob_refuses_may_be_all_there_are() -> None:
    """The job runs without, and none is lost."""
    made = read("a-b=1\nc-d=2\n0 7 * * * tool\n")
    assert tomllib.loads(made.jobs[0].text)["run"]["env"] == CRON_PATH
    assert '# env = { a-b = "1" }\n' in made.jobs[0].text
    assert '# env = { c-d = "2" }\n' in made.jobs[0].text
    assert len(made.notes) == 2


def test_a_command_may_contain_an_equals_sign() -> None:
    """Only a line that begins with a name is a variable."""
    assert one("0 1 * * * FOO=bar cmd --x=1\n")["command"] == "FOO=bar cmd --x=1"
    assert one("@daily FOO=bar cmd\n")["command"] == "FOO=bar cmd"


def test_home_and_shell_do_what_they_do_under_cron() -> None:
    """HOME is the folder, SHELL runs the command."""
    table = one("HOME=/srv\nSHELL=/bin/bash\n0 1 * * * echo {a,b}\n")
    assert table["command"] == ["/bin/bash", "-c", "echo {a,b}"]
    assert table["run"]["cwd"] == "/srv"
    assert one("SHELL=/bin/sh\n0 1 * * * x\n")["command"] == "x"


def test_cron_tz_is_the_zone_of_what_follows_and_no_variable() -> None:
    """cronie's CRON_TZ moves the schedule; each part of the file has its own."""
    made = read("CRON_TZ=America/New_York\n0 9 * * * a\nCRON_TZ=Asia/Tokyo\n0 9 * * * b\n")
    tables = [tomllib.loads(job.text) for job in made.jobs]
    assert [table["schedule"]["timezone"] for table in tables] == ["America/New_York", "Asia/Tokyo"]
    assert all(table["run"]["env"] == CRON_PATH for table in tables)


def test_tz_is_the_command_s_environment_only() -> None:
    """Neither Debian's cron nor cronie moves the schedule by TZ, and it is said."""
    made = read("TZ=Asia/Tokyo\n0 9 * * * a\n")
    table = tomllib.loads(made.jobs[0].text)
    assert table["schedule"]["timezone"] == "Europe/Berlin"
    assert table["run"]["env"] == {**CRON_PATH, "TZ": "Asia/Tokyo"}
    assert "schedule stays in Europe/Berlin" in notes(made)[0]


def test_a_zone_that_does_not_exist_disables_the_job() -> None:
    """A schedule in the wrong zone would run at the wrong time."""
    made = read("CRON_TZ=Mars/Olympus\n0 9 * * * a\n")
    table = tomllib.loads(made.jobs[0].text)
    assert table["enabled"] is False
    assert '# timezone = "Mars/Olympus"' in made.jobs[0].text
    assert any("timezone" in note for note in notes(made))


@pytest.mark.parametrize(
    ("when", "schedule"),
    [
        ("@reboot", {"on_boot": True}),
        ("@hourly", {"cron": "@hourly"}),
        ("@Midnight", {"cron": "@midnight"}),
        ("@annually", {"cron": "@annually"}),
        ("@every_minute", {"cron": "* * * * *"}),
        ("@600", {"again_after": "600s"}),
        ("*/5 8-18 1,15 jan-mar mon", {"cron": "*/5 8-18 1,15 jan-mar mon"}),
        ("0   4\t*  * 7", {"cron": "0 4 * * 7"}),
        ("10-10/3 1-1/4 05-5/2,7 Jan-jan/2 1-5/1", {"cron": "10 1 5,7 Jan 1-5/1"}),
        ("00-0/2 1-11/4 * * *", {"cron": "0 1-11/4 * * *"}),
    ],
)
def test_times(when: str, schedule: dict[str, Any]) -> None:
    """The five fields as they are, the nicknames by what they mean."""
    assert one(f"{when} cmd\n")["schedule"] == {"timezone": "Europe/Berlin", **schedule}


def test_a_boot_is_not_missed_because_akjobd_comes_up_later() -> None:
    """@reboot under missed = "skip" would never run: the boot is always over when akjobd starts."""
    assert "missed" not in one("@reboot cmd\n")["run"]


def test_random_values_become_fixed_ones_inside_their_range() -> None:
    """cronie's ~ picks at each load; here one value is picked for good, the same each time, and it is said."""
    made = read("~ 8~10 1~28 * 1~5 cmd\n5~7,30 * * * * other\n")
    fields = [tomllib.loads(job.text)["schedule"]["cron"].split() for job in made.jobs]
    assert 0 <= int(fields[0][0]) <= 59
    assert 8 <= int(fields[0][1]) <= 10
    assert 1 <= int(fields[0][2]) <= 28
    assert 1 <= int(fields[0][4]) <= 5
    assert fields[1][0].endswith(",30")
    assert 5 <= int(fields[1][0].split(",")[0]) <= 7
    assert made.jobs == read("~ 8~10 1~28 * 1~5 cmd\n5~7,30 * * * * other\n").jobs
    assert sum("is now always" in note for note in notes(made)) == 5


def test_random_values_spread() -> None:
    """Different lines get different minutes, else all would start at once."""
    text = "".join(f"~ * * * * job{n}\n" for n in range(20))
    minutes = {tomllib.loads(job.text)["schedule"]["cron"].split()[0] for job in read(text).jobs}
    assert len(minutes) > 10


def test_random_delay_becomes_jitter() -> None:
    """cronie's RANDOM_DELAY, in minutes; it is not a variable of the command."""
    made = read("RANDOM_DELAY=10\n0 1 * * * cmd\n")
    table = tomllib.loads(made.jobs[0].text)
    assert table["schedule"]["jitter"] == "10m"
    assert table["run"]["env"] == CRON_PATH
    assert "jitter" in notes(made)[0]


def test_mail_variables_are_comments() -> None:
    """[notify] says who is told; the address is kept where a person finds it."""
    made = read("MAILTO=ops@example.org\n0 1 * * * cmd\n")
    assert "# MAILTO=ops@example.org" in made.jobs[0].text
    assert tomllib.loads(made.jobs[0].text)["run"]["env"] == CRON_PATH
    assert "[notify]" in notes(made)[0]


@pytest.mark.parametrize(("when", "every"), [("@every 5m", "5m"), ("@EVERY 1h30m", "1h30m"), ("@every\t90s", "90s")])
def test_every_is_a_grid(when: str, every: str) -> None:
    """The form of robfig/cron; it is not a part of the command."""
    made = read(f"{when} /bin/x -a\n")
    table = tomllib.loads(made.jobs[0].text)
    assert (table["command"], table["schedule"]["every"]) == ("/bin/x -a", every)
    assert "cron" not in table["schedule"]
    assert "enabled" not in table


def test_every_with_what_is_no_duration_is_disabled() -> None:
    """It is kept as a comment, as any time that cannot be read."""
    table = tomllib.loads(read("@every fortnight /bin/x\n").jobs[0].text)
    assert (table["command"], table["enabled"]) == ("/bin/x", False)


def test_a_wait_at_random_names_no_job() -> None:
    """Debian's certbot sleeps first."""
    command = "test -x /usr/bin/certbot && perl -e 'sleep int(rand(43200))' && certbot -q renew"
    assert name_of(command) == "certbot-renew"
    assert name_of("python3 -c 'import time; time.sleep(3)'; /opt/sync.sh all") == "sync-all"


def run(command: str | list[str]) -> str:
    """Run a translated command as akjob does."""
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("cat%one%two", "one\ntwo\n"),
        ('cat%it\'s "quoted" $HOME `x` \\n%%end', 'it\'s "quoted" $HOME `x` \\n\n\nend\n'),
        (r"echo 100\%", "100%\n"),
        (r"cat%50\% off", "50% off\n"),
        ("cat%", ""),
        ("cat%one%", "one\n"),
        ("cat%one%%", "one\n\n"),
        ("cat%%", "\n"),
        (r"echo a\\%x", "a\\\n"),
        (r"cat%a\\%b\c", "a\\%b\\c\n"),
        ("cat # a comment%text", "text\n"),
        ("sed s/a/b/ | tr b c%a%x", "c\nx\n"),
        ("date +\\%Y >/dev/null; echo ok", "ok\n"),
    ],
)
@pytest.mark.parametrize("shell", ["", "SHELL=/bin/bash\n"])
def test_percent_signs(command: str, output: str, shell: str) -> None:
    """The first bare % ends the command, what follows is its input, further ones are newlines; escaped it is a %."""
    assert run(one(f"{shell}0 1 * * * {command}\n")["command"]) == output


def test_a_system_crontab_has_users() -> None:
    """The sixth field is the user, whose home is the folder; a group may follow."""
    made = read("17 * * * *\troot\tcd / && run-parts /etc/cron.hourly\n0 1 * * * www:web cmd\n", system=True)
    tables = [tomllib.loads(job.text) for job in made.jobs]
    assert tables[0]["command"] == "cd / && run-parts /etc/cron.hourly"
    assert tables[0]["run"]["user"] == "root"
    assert tables[0]["run"]["cwd"] == "/home/root"
    assert (tables[1]["run"]["user"], tables[1]["run"]["group"]) == ("www", "web")


def test_a_crontab_of_the_spool_is_its_owner_s() -> None:
    """Imported by root it must not run as root."""
    made = read_crontab("0 1 * * * cmd\n", file="bob", system=False, zone="UTC", home=home, owner="bob")
    run = tomllib.loads(made.jobs[0].text)["run"]
    assert (run["user"], run["cwd"]) == ("bob", "/home/bob")
    assert owner_of("/var/spool/cron/crontabs/bob") == "bob"
    assert owner_of("/mnt/var/spool/cron/bob") == "bob"
    assert owner_of("/home/bob/tab") is None


def test_a_user_that_cannot_be_said_disables_the_job() -> None:
    """It would run as akjobd's own user, who is root in most places."""
    made = read("0 1 * * * Ünal cmd\n", system=True)
    assert tomllib.loads(made.jobs[0].text)["enabled"] is False


@pytest.mark.parametrize(
    ("command", "noted"),
    [
        ("sleep 60 && /opt/tunnel &", True),
        ("nohup x >/dev/null 2>&1 &", True),
        ("setsid -f x", True),
        ("x %input &", False),
        ("a & b; wait", False),
        ("curl 'http://x/?a=1&'", False),
        ("x 2>&1", False),
        ("echo 'unclosed &", False),
    ],
)
def test_what_runs_on_in_the_background_is_noted(command: str, noted: bool) -> None:
    """cron lets it be; akjob ends with a run what the run left behind."""
    assert any("in the background" in note for note in notes(read(f"@reboot {command}\n"))) is noted


def test_an_unknown_home_is_said() -> None:
    """Where the folder is not known the job says so, and does not pretend."""
    made = read("0 1 * * * nobody cmd\n", system=True)
    assert "cwd" not in tomllib.loads(made.jobs[0].text)["run"]
    assert "set cwd" in notes(made)[0]


@pytest.mark.parametrize(
    "when", ["61 * * * *", "* 24 * * *", "* * 0 * *", "* * * foo *", "5-1 * * * *", "* * * * 8", "*/0 * * * *"]
)
def test_times_that_cron_refuses_are_kept_as_a_comment(when: str) -> None:
    """The command is kept, the job is disabled, the line is there to be read, and it is reported."""
    made = read(f"{when} cmd\n")
    table = tomllib.loads(made.jobs[0].text)
    assert table["enabled"] is False
    assert table["command"] == "cmd"
    assert "cron" not in table["schedule"]
    assert f'# cron = "{when}"' in made.jobs[0].text
    assert "schedule.cron is kept as a comment" in notes(made)[0]


def test_lines_that_are_nothing_are_kept_and_reported() -> None:
    """Not a line is lost: what is before an entry stands in its file, what is after the last one in the last file."""
    made = read("what is this\n0 1 * * * cmd\nand this\n")
    assert len(made.jobs) == 1
    assert "# line 1, not translated: what is this\n" in made.jobs[0].text
    assert "# line 3, not translated: and this\n" in made.jobs[0].text
    assert [note.line for note in made.notes] == [1, 3]


def surrogates(raw: bytes) -> str:
    """Return bytes as they come from a file."""
    return raw.decode("utf-8", "surrogateescape")


def test_what_is_no_utf_8_becomes_no_job() -> None:
    """A command or a variable with such bytes cannot be said in TOML; nothing else may run in its place."""
    made = read(surrogates(b"# about h\xe9\n0 1 * * * echo h\xe9\nA=\xff\nB=2\n# gr\xf6n\n0 2 * * * echo \xc3\xa9\n"))
    (job,) = made.jobs
    table = tomllib.loads(job.text)
    assert table["command"] == "echo é"
    assert table["description"] == r"gr\xf6n"
    assert table["run"]["env"] == {**CRON_PATH, "B": "2"}
    assert "# about h\\xe9\n# line 2, not translated: 0 1 * * * echo h\\xe9\n" in job.text
    assert [note.line for note in made.notes] == [2, 3]
    assert all("not UTF-8" in note and r"\x" in note for note in notes(made))


def test_control_characters_are_no_hindrance() -> None:
    """TOML's texts can hold them escaped, its comments cannot hold them at all."""
    made = read("# be\x07ep\n0 1 * * * printf '\x1b[1m\x0cbold'\n0 2\x07 * * * x\n")
    assert [tomllib.loads(job.text)["command"] for job in made.jobs] == ["printf '\x1b[1m\x0cbold'", "x"]
    assert r"printf '\x1b[1m\x0cbold'" in made.jobs[0].text
    assert "\x07" not in "".join(notes(made))


def test_a_field_for_the_seconds_is_no_command_of_a_system() -> None:
    """cron refuses the line, and a job must not run a * for a command."""
    made = read("0 1 * * * root ok\n0 0 5 * * * root cmd\n", system=True)
    assert len(made.jobs) == 1
    assert "# line 2, not translated: 0 0 5 * * * root cmd\n" in made.jobs[0].text
    assert "sixth field" in notes(made)[0]


@pytest.mark.parametrize(
    ("when", "schedule", "limits"),
    [
        ("0 5 * * 1 *", {"cron": "0 5 * * 1"}, None),
        ("0 5 * * 1 2030", {"cron": "0 5 * * 1"}, {"first": date(2030, 1, 1), "last": date(2030, 12, 31)}),
        ("*/5 * * * * * *", {"cron": "*/5 * * * * *"}, None),
        ("0 0 5 * * * 2030-2031", {"cron": "0 0 5 * * *"}, {"first": date(2030, 1, 1), "last": date(2031, 12, 31)}),
        ("0 30 9 * * mon-fri", {"cron": "0 30 9 * * mon-fri"}, None),
        ("0 30 9 * * *", {"cron": "0 30 9 * * *"}, None),
    ],
)
def test_six_and_seven_fields(when: str, schedule: dict[str, Any], limits: dict[str, Any] | None) -> None:
    """Six are supercronic's, the last for the year, unless they can only be meant with the seconds first."""
    table = one(f"{when} cmd --x\n")
    assert table["command"] == "cmd --x"
    assert table["schedule"] == {"timezone": "Europe/Berlin", **schedule}
    assert table.get("limits", {}).get("dates") == limits
    assert table.get("enabled", True)


def test_years_that_are_no_stretch_disable_the_job() -> None:
    """It would run in other years, too."""
    assert one("0 5 * * 1 2030,2032 cmd\n")["enabled"] is False


def test_a_file_has_its_seconds_first_as_a_whole() -> None:
    """One entry that can only be meant so decides about those that could be either."""
    made = read("0 0 5 * * * a\n0 30 9 * * mon-fri b\n")
    assert [tomllib.loads(job.text)["schedule"]["cron"] for job in made.jobs] == ["0 0 5 * * *", "0 30 9 * * mon-fri"]
    assert not has_seconds_first("0 0 5 * * * a\n")


def test_a_line_that_a_backslash_ends_is_half_a_command() -> None:
    """cron runs that half; the job is disabled, and the rest is not an entry of its own."""
    made = read("0 1 * * * tar -c \\\n  0 2 * * * x\n0 3 * * * y\n")
    tables = [tomllib.loads(job.text) for job in made.jobs]
    assert [table.get("enabled", True) for table in tables] == [False, True]
    assert [table["command"] for table in tables] == ["tar -c \\", "y"]
    assert any("continued" in note for note in notes(made))


def test_a_bare_percent_sign_is_said() -> None:
    """It is what most who write it do not mean."""
    assert any(r"was \% meant" in note for note in notes(read("0 1 * * * date +%F\n")))
    assert not notes(read("0 1 * * * date +\\%F\n"))


def test_a_step_that_leaves_one_value_is_that_value() -> None:
    """cron runs */90 once an hour, and so does the job; it is said."""
    made = read("*/90 */30 * * * cmd\n")
    assert tomllib.loads(made.jobs[0].text)["schedule"]["cron"] == "0 0 * * *"
    assert [("was every 90 meant" in note) or ("was every 30 meant" in note) for note in notes(made)] == [True, True]


def test_comments_belong_to_what_they_stand_above() -> None:
    """That of a disabled entry is not the next one's description, and column heads are nobody's."""
    made = read("# old one\n#0 5 * * 1 tar\n# m h  dom mon dow   command\n0 1 * * * cmd\n")
    assert "description" not in tomllib.loads(made.jobs[0].text)
    assert "# old one\n" in made.jobs[0].text


def test_anacron_s_table_is_none_of_cron_s() -> None:
    """A period, a delay, a name and a command."""
    assert is_anacrontab(
        "SHELL=/bin/sh\n# x\n1\t5\tcron.daily\trun-parts /etc/cron.daily\n@monthly 45 cron.monthly x\n"
    )
    assert not is_anacrontab("1 5 * * * run-parts /etc/cron.daily\n")
    assert not is_anacrontab("A=1\n")


def test_what_all_jobs_share_is_a_defaults_file() -> None:
    """The files are short, and mean the same as with everything in them."""
    text = "0 1 * * * one\n0 2 * * * two\n@reboot three\n"
    whole = read(text)
    made = read_crontab(text, file="tab", system=False, zone="Europe/Berlin", home=home, share=True)
    defaults = parse_defaults("jobs.d/tab/_defaults.toml", made.defaults)
    assert defaults.problems == ()
    for full, short in zip(whole.jobs, made.jobs, strict=True):
        assert "umask" not in short.text
        results = [
            parse_job("tab/x", "jobs.d/tab/x.toml", full.text),
            parse_job("tab/x", "jobs.d/tab/x.toml", short.text, defaults=[defaults]),
        ]
        assert results[0].spec is not None
        assert results[1].spec is not None
        assert results[0].spec.definition == results[1].spec.definition


def test_disabled_entries_are_comments() -> None:
    """An entry that was commented out stays so, and is pointed out; prose and headings are not mistaken for one."""
    made = read("# m h dom mon dow command\n#0 5 * * 1 tar -zcf /var/x\n# 5 things to do at home now\n0 1 * * * cmd\n")
    assert len(made.jobs) == 1
    assert "# line 2, disabled: 0 5 * * 1 tar -zcf /var/x\n" in made.jobs[0].text
    assert [note.line for note in made.notes] == [2]


def test_a_crontab_without_entries_makes_no_job() -> None:
    """An empty file is not an error here; the command says so."""
    assert read("") == Import((), ())
    assert not read("A=1\n# hello\n").jobs


def test_cronie_s_quiet_mark() -> None:
    """A leading - is not part of the minute."""
    made = read("-*/10 * * * * cmd\n")
    assert tomllib.loads(made.jobs[0].text)["schedule"]["cron"] == "*/10 * * * *"
    assert "no counterpart" in notes(made)[0]


def test_windows_line_ends_are_taken_off() -> None:
    """A file that came from elsewhere works."""
    assert one("0 1 * * * cmd\r\n")["command"] == "cmd"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/local/bin/backup.sh --all", "backup-all"),
        ("/usr/local/bin/backup.sh >/dev/null 2>&1", "backup"),
        ("su - www -c '/srv/bin/sync.sh eu'", "sync-eu"),
        ("/usr/bin/run-parts --report /etc/cron.hourly", "run-parts-report-cron.hourly"),
        ("cd /srv/app && ./bin/tick", "tick"),
        ("[ -x /usr/sbin/foo ] && /usr/sbin/foo -q", "foo"),
        ("test -e /x || nice -n 19 /opt/report", "report"),
        ("PATH=/x flock -n /tmp/lock python3 /srv/jobs/mail_out.py", "mail_out"),
        ("/usr/bin/python3 -m reports.nightly --x", "reports.nightly"),
        ("bash -c 'exit 0'", "exit-0"),
        ("sudo -u www php artisan schedule:run", "artisan-schedule-run"),
        ("find /tmp -delete", "find-tmp-delete"),
        ("if [ -x /x ] && [ $(date +%d) -le 7 ]; then /usr/share/mdadm/checkarray --cron; fi", "checkarray-cron"),
        ("@#!", "job"),
        ("echo 'unclosed", "echo-unclosed"),
        (": > /tmp/x", "job"),
    ],
)
def test_names(command: str, name: str) -> None:
    """A job is named after the script or the program that it runs."""
    assert name_of(command) == name


def names(text: str, known: dict[str, str] | None = None) -> dict[str, str]:
    """Return the name of each entry of a crontab, by its line."""
    made = read_crontab(text, file="tab", system=False, zone="UTC", home=home, known=known)
    return {source_of(job.text)[1]: job.name for job in made.jobs}


def test_names_differ_also_where_case_does_not_count() -> None:
    """Two entries of one program are two files, on every file system."""
    assert list(names("0 1 * * * backup a\n0 2 * * * Backup b\n0 3 * * * backup c\n").values()) == [
        "backup-a",
        "Backup-b",
        "backup-c",
    ]
    twins = names("0 1 * * * backup\n0 2 * * * Backup\n0 3 * * * backup\n").values()
    assert len({name.lower() for name in twins}) == 3


def test_names_stay_when_lines_come_and_go() -> None:
    """A name follows from the command; twins keep theirs where the import before is known."""
    old = names("0 1 * * * backup a\n0 2 * * * tick\n0 3 * * * tick\n")
    new = names("30 4 * * * tick\n5 5 * * * backup z\n0 3 * * * tick\n0 2 * * * tick\n0 1 * * * backup a\n", old)
    assert {line: new[line] for line in old} == old
    assert len({name.lower() for name in new.values()}) == 5


def test_whether_it_is_a_system_crontab() -> None:
    """By the path where that says it, else when all sixth words are users."""
    users = frozenset({"root", "backup"})
    assert is_system("/etc/crontab", "", users)
    assert not is_system("/srv/repo/etc/crontab", "0 1 * * * env X=1 cmd\n", users)
    assert not is_system("/srv/repo/etc/crontab", "0 1 * * * /srv/bin/x\n", users)
    assert is_system("x", "7 3 * * * root /usr/bin/a\n0 4 * * * app-user /srv/bin/b\n", users)
    assert not is_system("x", "0 1 * * * backup /srv\n", users, frozenset({"backup"}))
    assert is_system("/mnt/old/etc/cron.d/x", "", users)
    assert is_system("/mnt/old/etc/cron.d/x", "0 1 * * * stranger test -x /a && /a\n", users)
    assert not is_system("x", "0 1 * * * stranger test -x /a && /a\n", users)
    assert is_system("x", "A=1\n# c\n0 1 * * * root cmd\n", users)
    assert not is_system("x", "0 1 * * * root cmd\n0 2 * * * mail -s x\n", users)
    assert not is_system("x", "0 1 * * * backup\n", users)
    assert not is_system("x", "", users)


def test_a_program_s_name_is_no_proof_of_a_user() -> None:
    """mail, man, backup, … are both; beside a root they are users."""
    users, both = frozenset({"root", "mail"}), frozenset({"mail"})
    assert not is_system("x", "0 7 * * * mail -s report bob\n", users, both)
    assert is_system("x", "0 7 * * * mail /usr/bin/x\n0 1 * * * root cmd\n", users, both)


def test_the_slots_are_cron_s() -> None:
    """Both day fields given means either; what falls into the hour that does not exist runs at its end."""
    made = read("30 2 13 * fri cmd\n30 2 * * * daily\n")
    specs = [parse_job(job.name, "f", job.text, defaults=(), config=Config()).spec for job in made.jobs]
    slots = [
        [to_text(slot)[:16] for slot in next_slots(compile_schedule(spec.schedule), from_text(after), 3)]
        for spec, after in zip(specs, ("2026-11-05T00:00:00Z", "2026-03-28T12:00:00Z"), strict=True)
        if spec is not None
    ]
    assert slots == [
        ["2026-11-06T01:30", "2026-11-13T01:30", "2026-11-20T01:30"],
        ["2026-03-29T01:00", "2026-03-30T00:30", "2026-03-31T00:30"],
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60), max_size=8), st.booleans())
def test_whatever_stands_in_it_what_comes_out_is_a_job(lines: list[str], system: bool) -> None:
    """No text makes it raise, and no job comes out that akjob would refuse."""
    read("\n".join(["0 1 * * * root echo x", *lines]), system=system)


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(*[st.from_regex(r"\A(\*|[0-9]{1,2}|~)([-/,~][0-9]{1,2})?\Z")] * 5),
    st.from_regex(r"\A[ -~]{1,30}\Z").filter(str.strip),
)
def test_every_entry_is_a_job_or_is_named(fields: tuple[str, ...], command: str) -> None:
    """An entry is translated, or kept and reported: never dropped."""
    made = read(f"{' '.join(fields)} {command}\n")
    text = "".join(job.text for job in made.jobs)
    assert text or made.notes
    assert not made.jobs or "cron = " in text


def test_the_machine_s_own_crontab() -> None:
    """Debian's /etc/crontab, as it is installed."""
    path = Path("/etc/crontab")
    debian = (
        "SHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/bin\n\n# Example of job definition:\n"
        "# .---------------- minute (0 - 59)\n# |  .------------- hour (0 - 23)\n"
        "# *  *  *  *  * user-name command to be executed\n"
        "17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n"
        "25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }\n"
    )
    for text in (debian, path.read_text() if path.exists() else debian):
        made = read(text, system=True)
        assert tomllib.loads(made.jobs[0].text)["run"]["user"] == "root"
        assert {job.name for job in made.jobs} >= {"run-parts-report-cron.hourly"}
