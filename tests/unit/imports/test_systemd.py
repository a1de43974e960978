"""systemd timers become job files that do what the timer did; what cannot be said is said to be left out."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.config import Config
from akjob.imports import Import
from akjob.imports.systemd import duration, parse_span, parse_unit, read_timer, service_of
from akjob.instants import from_text, to_text
from akjob.schedule import compile_schedule, next_slots
from akjob.spec import parse_job

SERVICE = "[Service]\nType=oneshot\nExecStart=/bin/true\n"


def home(user: str | None) -> str | None:
    """Every user has a home but nobody."""
    return None if user == "nobody" else f"/home/{user or 'me'}"


def read(timer: str, service: str = SERVICE, *, name: str = "tick") -> Import:
    """Read a timer as of a machine in Berlin; what comes out must be a job."""
    made = read_timer(
        timer, service, name=name, timer_file="t.timer", service_file="t.service", zone="Europe/Berlin", home=home
    )
    for job in made.jobs:
        result = parse_job(job.name, f"jobs.d/{job.name}.toml", job.text, defaults=(), config=Config())
        assert result.spec is not None, (job.text, result.problems)
    return made


def table(timer: str, service: str = SERVICE, *, name: str = "tick") -> dict[str, Any]:
    """Return the job's table."""
    return tomllib.loads(read(timer, service, name=name).jobs[0].text)


def timer(*lines: str) -> str:
    """Make a timer of the lines of its [Timer] section."""
    return "\n".join(["[Timer]", *lines, ""])


def service(*lines: str) -> str:
    """Make a oneshot service of the lines of its [Service] section."""
    return "\n".join(["[Service]", "Type=oneshot", *lines, ""])


def when(expression: str) -> dict[str, Any]:
    """Return the schedule and limits of one OnCalendar."""
    found = table(timer(f"OnCalendar={expression}"))
    schedule = {key: value for key, value in found["schedule"].items() if key != "timezone"}
    return {**schedule, **({"limits": found["limits"]} if "limits" in found else {})}


def notes(made: Import) -> list[str]:
    """Return what is said."""
    return [note.message for note in made.notes]


def toml(text: str) -> dict[str, Any]:
    """Return a table as TOML has it."""
    return tomllib.loads(text)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("daily", "daily = 00:00:00"),
        ("hourly", 'cron = "0 * * * *"'),
        ("minutely", 'cron = "* * * * *"'),
        ("weekly", 'weekly = { days = ["mon"], at = 00:00:00 }'),
        ("monthly", "monthly = { days = [1], at = 00:00:00 }"),
        ("quarterly", 'cron = "0 0 1 1,4,7,10 *"'),
        ("yearly", 'cron = "0 0 1 1 *"'),
        ("semiannually", 'cron = "0 0 1 1,7 *"'),
        ("*-*-* 02:30:00", "daily = 02:30:00"),
        ("02:30", "daily = 02:30:00"),
        ("6,18:00", "daily = [06:00:00, 18:00:00]"),
        ("Mon,Wed..Fri 09:30", 'weekly = { days = ["mon", "wed", "thu", "fri"], at = 09:30:00 }'),
        ("Sat..Mon *-*-* 4:00", 'weekly = { days = ["mon", "sat", "sun"], at = 04:00:00 }'),
        ("Monday..Sunday 5:00", "daily = 05:00:00"),
        ("Sun", 'weekly = { days = ["sun"], at = 00:00:00 }'),
        ("*-*-1,15 04:00:30", "monthly = { days = [1, 15], at = 04:00:30 }"),
        ("*-*~1 23:00", "monthly = { days = [-1], at = 23:00:00 }"),
        ("*-*~03 00:00", "monthly = { days = [-3], at = 00:00:00 }"),
        ("Mon *-*-1..7 03:00", 'monthly = { days = ["first mon"], at = 03:00:00 }'),
        ("Tue *-*-8..14 03:00", 'monthly = { days = ["second tue"], at = 03:00:00 }'),
        ("Sun *-*~7/1 03:00", 'monthly = { days = ["last sun"], at = 03:00:00 }'),
        ("Fri *-*-13 00:00", 'monthly = { days = [13], at = 00:00:00 }\nlimits = { weekdays = ["fri"] }'),
        ("*-02~01 12:00", "monthly = { days = [-1], at = 12:00:00 }\nlimits = { months = [2] }"),
        ("*:0/15", 'cron = "*/15 * * * *"'),
        ("*:5/15", 'cron = "5,20,35,50 * * * *"'),
        ("*:*:0/10", 'cron = "*/10 * * * * *"'),
        ("Mon..Fri *:0/5", 'cron = "*/5 * * * mon,tue,wed,thu,fri"'),
        ("8..18:30:00", "daily = [" + ", ".join(f"{hour:02}:30:00" for hour in range(8, 19)) + "]"),
        ("8..18:*:00", 'cron = "* 8-18 * * *"'),
        ("2030-05-06 07:08:09", "at = 2030-05-06T07:08:09"),
        ("2030-02-28,29,1 7:00", "at = [2030-02-01T07:00:00, 2030-02-28T07:00:00]"),
        ("2030..2032-*-* 06:00", "daily = 06:00:00\nlimits = { dates = { first = 2030-01-01, last = 2032-12-31 } }"),
        ("10-31 18:00", 'cron = "0 18 31 10 *"'),
    ],
)
def test_calendar_expressions(expression: str, text: str) -> None:
    """The forms of systemd.time(7) that people use become the trigger that a person would write."""
    assert when(expression) == toml(text)


@pytest.mark.parametrize(
    "expression",
    ["*-*-* 25:00", "*-13-*", "Foo 3:00", "*-*-* 3:00:00.5", "2:00 Xyz", "9..8:00", "*:0/0", "", "a b c d"],
)
def test_expressions_that_are_none_disable_the_job(expression: str) -> None:
    """What is not understood is kept as a comment and reported, and the job waits for a person."""
    made = read(timer("OnCalendar=daily", f"OnCalendar={expression} ") if expression else timer("OnCalendar=x"))
    found = tomllib.loads(made.jobs[0].text)
    assert found["enabled"] is False
    assert any("is not translated" in note for note in notes(made))
    assert "# NOTE OnCalendar=" in made.jobs[0].text


def test_several_expressions_are_a_union() -> None:
    """Those of a kind become one array."""
    found = table(timer("OnCalendar=Mon 8:00", "OnCalendar=Fri 16:00", "OnCalendar=12:00"))
    assert found["schedule"] == toml(
        'timezone = "Europe/Berlin"\ndaily = 12:00:00\n'
        'weekly = [{ days = ["mon"], at = 08:00:00 }, { days = ["fri"], at = 16:00:00 }]'
    )


def test_an_empty_assignment_clears_what_was_before() -> None:
    """That is how drop-ins replace a schedule."""
    found = table(timer("OnCalendar=daily", "OnCalendar=", "OnCalendar=9:00"))
    assert found["schedule"] == toml('timezone = "Europe/Berlin"\ndaily = 09:00:00')


def test_a_limit_that_would_hit_another_trigger_is_not_set() -> None:
    """Friday the 13th beside another expression cannot be said, for limits hold for all triggers."""
    made = read(timer("OnCalendar=Fri *-*-13", "OnCalendar=daily"))
    assert "limits" not in tomllib.loads(made.jobs[0].text)
    assert tomllib.loads(made.jobs[0].text)["enabled"] is False
    assert any("one trigger cannot say" in note for note in notes(made))


def test_an_expression_s_own_zone() -> None:
    """The zone at the end holds; of several the first is the job's, and tables have their own."""
    assert table(timer("OnCalendar=9:00 UTC"))["schedule"]["timezone"] == "UTC"
    assert table(timer("OnCalendar=Mon 9:00 America/New_York"))["schedule"]["timezone"] == "America/New_York"
    both = table(timer("OnCalendar=9:00 UTC", "OnCalendar=*-*-01 4:00", "OnCalendar=Sat 5:00 Asia/Tokyo"))["schedule"]
    assert both == toml(
        """
        timezone = "UTC"
        daily = 09:00:00
        monthly = { days = [1], at = 04:00:00, timezone = "Europe/Berlin" }
        weekly = { days = ["sat"], at = 05:00:00, timezone = "Asia/Tokyo" }
        """
    )
    daily = table(timer("OnCalendar=9:00 UTC", "OnCalendar=10:00"))["schedule"]
    assert daily["weekly"]["timezone"] == "Europe/Berlin"
    assert daily["weekly"]["days"] == ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    made = read(timer("OnCalendar=9:00 UTC", "OnCalendar=*:0/10"))
    assert any("time zone differs" in note for note in notes(made))


def test_monotonic_triggers() -> None:
    """From the last start on it is a grid, from the last end on it is again_after, at the boot it is on_boot."""
    found = table(timer("OnBootSec=5min", "OnUnitActiveSec=1h 30min"))
    assert found["schedule"] == {"timezone": "Europe/Berlin", "every": "1h30m", "on_boot": "5m"}
    assert table(timer("OnUnitInactiveSec=90"))["schedule"]["again_after"] == "1m30s"
    assert table(timer("OnActiveSec=0"))["schedule"]["on_start"] is True
    assert table(timer("OnActiveSec=2min"))["schedule"]["on_start"] == "2m"
    assert table(timer("OnStartupSec=0"))["schedule"]["on_boot"] is True  # the system's manager starts at the boot
    said = notes(read(timer("OnBootSec=5min", "OnBootSec=9min", "OnUnitActiveSec=1h")))
    assert any("fixed grid" in note for note in said)
    assert any("takes the place" in note for note in said)


def test_persistent_and_random_delay() -> None:
    """Persistent timers catch up, others don't; the random delay is jitter."""
    caught_up = table(timer("OnCalendar=daily", "Persistent=true", "RandomizedDelaySec=1h"))
    assert caught_up["run"]["missed"] == "latest"
    assert caught_up["run"]["missed_within"] == "365d"
    assert caught_up["schedule"]["jitter"] == "1h"
    assert table(timer("OnCalendar=daily"))["run"]["missed"] == "skip"


def test_a_service_s_settings() -> None:
    """User, folder, environment, limits and signals find their keys."""
    found = table(
        timer("OnCalendar=daily"),
        "[Unit]\nDescription=Nightly report\n[Service]\nType=oneshot\nExecStart=/usr/bin/report --to 'a b' %i 100%%\n"
        'User=alice\nGroup=staff\nWorkingDirectory=/srv/report\nEnvironment=A=1 "B=two words"\nEnvironment=C=3\n'
        "UMask=027\nNice=10\nTimeoutStartSec=30min\nTimeoutStopSec=5\nKillSignal=SIGINT\n"
        "MemoryMax=512M\nLimitNOFILE=1024:2048\nTasksMax=50\nSuccessExitStatus=3 SIGKILL\n",
        name="report@emea",
    )
    assert found["description"] == "Nightly report"
    assert found["command"] == ["/usr/bin/report", "--to", "a b", "emea", "100%"]
    assert found["run"] == {
        "missed": "skip",
        "timeout": "30m",
        "kill_after": "5s",
        "stop_signal": "INT",
        "user": "alice",
        "group": "staff",
        "cwd": "/srv/report",
        "env": {"A": "1", "B": "two words", "C": "3"},
        "umask": "0027",
        "nice": 10,
        "resources": {"memory": "512MiB", "open_files": 1024, "processes": 50},
        "success_codes": [0, 3],
    }


def test_a_service_without_settings_starts_in_the_root_folder_without_limit() -> None:
    """As systemd does: cwd is /, a oneshot may take for ever."""
    run = table(timer("OnCalendar=daily"))["run"]
    assert (run["cwd"], run["timeout"], run["umask"]) == ("/", "none", "0022")
    simple = table(timer("OnCalendar=daily"), "[Service]\nExecStart=/bin/x\nTimeoutStartSec=5\nRuntimeMaxSec=1h\n")
    assert simple["run"]["timeout"] == "1h"


def test_home_folders() -> None:
    """~ is the user's home, where it is known."""
    assert table(timer(), service("ExecStart=/x", "User=bob", "WorkingDirectory=~"))["run"]["cwd"] == "/home/bob"
    made = read(timer(), service("ExecStart=/x", "User=nobody", "WorkingDirectory=~"))
    assert any("set cwd" in note for note in notes(made))


def shell(*lines: str, variables: dict[str, str] | None = None) -> str:
    """Run the translated command as akjob does and return what it prints."""
    command = table(timer("OnCalendar=daily"), service(*lines))["command"]
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=variables or {}).stdout


def test_commands_that_take_a_shell() -> None:
    """Several steps, a failure that doesn't count, and variables as systemd expands them."""
    assert shell(
        "ExecStartPre=/bin/echo a", "ExecStart=/bin/echo b", "ExecStart=/bin/echo c", "ExecStartPost=/bin/echo d"
    ) == ("a\nb\nc\nd\n")
    assert shell("ExecStart=-/bin/false", "ExecStart=/bin/echo on") == "on\n"
    words = {"MANY": "x  y", "ONE": "p  q"}
    assert shell("ExecStart=/bin/echo $MANY ${ONE} a${ONE}b 'q;r' $$5", variables=words) == "x y p  q ap  qb q;r $5\n"
    assert table(timer(), service("ExecStart=:/bin/echo $X"))["command"] == ["/bin/echo", "$X"]


ARGS = "import sys; print(*map(repr, sys.argv[1:]))"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        # systemd.service(5), "COMMAND LINES": its own examples, with these variables
        ("${ONE} ${TWO} ${THREE}", ["'one'", "'two two' too", ""]),
        ("$ONE $TWO $THREE", ["one", "two two", "too"]),
        (r"/ >/dev/null & \; ls", ["/", ">/dev/null", "&", ";", "ls"]),
        # only a word of its own is a variable without braces
        ("n=$ONE ${ONE}$ONE $$ONE $$$$ a$", ["n=$ONE", "'one'$ONE", "$ONE", "$$", "a$"]),
        ("' $ONE' '{print $1}'", [" $ONE", "{print $1}"]),
        # what is not a name is never set
        ("a$1 $1 ${ONE:-x} b${}c $ONE/x '$ONE x' ${", ["a$1", "", "bc", "${"]),
        ("$STAR ${STAR}", ["*", "*"]),
        ("$SLASH", ["a b", "c"]),
    ],
)
def test_variables_are_systemd_s(given: str, said: list[str]) -> None:
    """``$NAME`` as a word of its own is split into words, ``${NAME}`` is one anywhere, and nothing else is expanded."""
    lines = ("\"ONE='one'\" \"TWO='two two' too\" THREE= STAR=*", r"SLASH=a\\\x20b\x20c")
    made = read(
        timer("OnCalendar=daily"),
        service(*(f"Environment={line}" for line in lines), f"ExecStart={sys.executable} -c '{ARGS}' {given}"),
    )
    found = tomllib.loads(made.jobs[0].text)
    argv = ["/bin/sh", "-c", found["command"]] if isinstance(found["command"], str) else found["command"]
    environment = {"ONE": "'one'", "TWO": "'two two' too", "THREE": "", "STAR": "*", "SLASH": r"a\ b c"}
    assert found["run"]["env"] == environment
    printed = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment, cwd="/").stdout
    assert printed == " ".join(map(repr, said)) + "\n"


def test_a_shell_s_own_variables_stay_its_own() -> None:
    """What stands inside of a script is nothing for systemd; the command stays the argv that it was."""
    script = "for i in 1 2 3; do echo n=$i; done"
    assert shell(f"ExecStart=/bin/sh -c '{script}'") == "n=1\nn=2\nn=3\n"
    assert table(timer(), service("ExecStart=/usr/bin/awk '{print $1}' f"))["command"] == [
        "/usr/bin/awk",
        "{print $1}",
        "f",
    ]


def test_a_variable_that_is_never_set_is_noted() -> None:
    """Who wrote ``${A:-b}`` meant a shell's; systemd puts nothing there, and that is said."""
    said = notes(read(timer(), service("ExecStart=/bin/echo ${A:-b}")))
    assert any("'A:-b' in ${A:-b} is not a variable to systemd" in note for note in said)


def test_a_value_from_a_file_may_be_split_otherwise() -> None:
    """Quotes inside of a value that is not known now are not taken off, which is said."""
    made = read(timer(), service("Environment=\"OPTS='a b'\"", "EnvironmentFile=/etc/x", "ExecStart=/bin/x $OPTS"))
    assert tomllib.loads(made.jobs[0].text)["command"].startswith("set -f; {")
    assert tomllib.loads(made.jobs[0].text)["command"].endswith("&& /bin/x $OPTS")
    assert any("quotes and backslashes" in note for note in notes(made))


def test_a_semicolon_of_its_own_divides_commands() -> None:
    """Each has its own prefix; inside of quotes, escaped or as a part of a word it is an argument."""
    assert shell("ExecStart=/bin/echo one ; -/bin/false ; /bin/echo two") == "one\ntwo\n"
    assert table(timer(), service(r"ExecStart=/bin/echo a; ';' \; b ;"))["command"] == [
        "/bin/echo",
        "a;",
        ";",
        ";",
        "b",
    ]


def test_specifiers_are_those_of_the_service() -> None:
    """Also when the timer has another name; ``%I`` is the instance unescaped. The timer's own are in its ``Unit=``."""
    made = table(
        timer("OnCalendar=daily", "Unit=foo-bar@%p-b.service"),
        "[Unit]\nDescription=Of %I\n" + service(r"ExecStart=/bin/echo %i %I %n %N %p %P %j %f %%", "Environment=A=%i"),
        name="a",
    )
    assert made["command"][1:] == [
        "a-b", "a/b", "foo-bar@a-b.service", "foo-bar@a-b", "foo-bar", "foo/bar", "bar", "/a/b", "%",
    ]  # fmt: skip
    assert made["run"]["env"] == {"A": "a-b"}
    assert made["description"] == "Of a/b"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\x20b", "a b"),
        (r'"tab\there"', "tab\there"),
        (r"'it\'s'", "it's"),
        ("a'b c'd", "ab cd"),
        (r"\u00e9\xc3\xa9\303\251\U0001F600", "éé\u00e9😀"),
        (r"a\sb\\c\"", 'a b\\c"'),
    ],
)
def test_words_are_unquoted_as_systemd_does(written: str, meant: str) -> None:
    """Quotes anywhere, C escapes inside of both kinds and without (systemd.syntax(7))."""
    found = table(timer(), service(f"Environment=FOO={written}", f"ExecStart=/bin/x {written}"))
    assert found["run"]["env"] == {"FOO": meant}
    assert found["command"] == ["/bin/x", meant]


def test_an_escape_that_is_none_stays_in_a_command_and_makes_a_variable_void() -> None:
    """In a command systemd warns and keeps it; an ``Environment=`` with one it does not take at all."""
    for escape in (r"\d", r"\x00", r"\400", r"\ud800", r"\UFFFFFFFF"):
        made = read(timer(), service(f"ExecStart=/bin/x {escape}", f"Environment=A={escape}"))
        found = tomllib.loads(made.jobs[0].text)
        assert found["command"] == ["/bin/x", escape]
        assert "env" not in found["run"]
        assert f"Environment=A={escape} is not translated: {escape} is not an escape" in notes(made)


@pytest.mark.parametrize("written", ["'a", 'b"', r"\xe9"])
def test_words_that_systemd_cannot_read_disable_the_job(written: str) -> None:
    """A quote without its end, bytes that are not text: a person must look at them."""
    made = read(
        timer("OnCalendar=daily"),
        service("ExecStart=/bin/x", f"ExecStart=/bin/y {written}", f"Environment=A={written}"),
    )
    assert tomllib.loads(made.jobs[0].text)["enabled"] is False
    assert sum("is not translated" in note for note in notes(made)) == 2


@pytest.mark.parametrize("line", ["ExecStart=-", "ExecStart=/bin/x $A"])
def test_a_command_that_cannot_be_said_is_noted(line: str) -> None:
    """One without a program, one of a value whose quotes are not closed."""
    made = read(timer(), service(r"Environment=A=\'x", "ExecStart=/bin/y", line))
    assert tomllib.loads(made.jobs[0].text)["enabled"] is False
    assert any(note.startswith(f"{line} is not translated: ") for note in notes(made))


def test_what_is_left_out_is_named() -> None:
    """Settings without a counterpart are comments in the file and notes, with their lines."""
    made = read(
        timer("OnCalendar=daily", "WakeSystem=yes"),
        "[Unit]\nConditionACPower=true\n" + service("ExecStart=+/bin/x", "PrivateTmp=yes", "EnvironmentFile=-/a"),
    )
    said = "\n".join(map(str, made.notes))
    for words in ("WakeSystem=yes", "ConditionACPower=true", "+ prefix", "PrivateTmp=yes"):
        assert words in said
    assert "# NOTE PrivateTmp=yes is not translated" in made.jobs[0].text
    assert "t.service:6: PrivateTmp" in said


def test_lines_that_are_no_utf_8_are_left_out() -> None:
    """As systemd does, and it is said."""
    line = b"ExecStart=/bin/x h\xe9".decode("utf-8", "surrogateescape")
    made = read(timer("OnCalendar=daily"), service("ExecStart=/bin/y", line))
    assert tomllib.loads(made.jobs[0].text)["command"] == ["/bin/y"]
    assert [str(note) for note in made.notes] == [
        r"t.service:4: ExecStart=/bin/x h\xe9 is left out: systemd passes over a line that is not UTF-8"
    ]


def test_a_limit_that_akjob_refuses_takes_no_other_with_it() -> None:
    """A share of the machine's memory has no counterpart; the other limits stay."""
    made = read(timer(), service("ExecStart=/x", "MemoryMax=10%", "TasksMax=5", "LimitNOFILE=9"))
    assert tomllib.loads(made.jobs[0].text)["run"]["resources"] == {"open_files": 9, "processes": 5}
    assert any(note.startswith("run.resources.memory is kept as a comment") for note in notes(made))


def test_a_condition_that_is_not_met_is_no_failure() -> None:
    """systemd leaves the rest out and calls the unit well."""
    assert shell("ExecCondition=/bin/true", "ExecStart=/bin/echo on") == "on\n"
    assert shell("ExecCondition=/bin/false", "ExecStart=/bin/echo on") == ""


def test_specifiers_that_are_not_known_disable_the_job() -> None:
    """A literal %m in a command or a path is something else."""
    for line in ("ExecStart=/bin/x %m", "Environment=A=%H", "WorkingDirectory=%b/x", "User=%A"):
        made = read(timer("OnCalendar=daily"), service("ExecStart=/bin/x", line))
        assert tomllib.loads(made.jobs[0].text)["enabled"] is False
        assert any("is not known here" in note for note in notes(made))


def test_what_goes_to_a_file_and_what_the_timer_asks_is_noted() -> None:
    """The output of a run is in the log, and whatever the timer's own conditions say."""
    made = read(
        "[Unit]\nConditionVirtualization=no\n" + timer("OnCalendar=daily"),
        service("ExecStart=/x", "StandardOutput=append:/var/log/x", "StandardError=journal", "WorkingDirectory=-/w"),
    )
    assert [str(note) for note in made.notes] == [
        "t.service:4: StandardOutput=append:/var/log/x is not translated",
        "t.service:6: WorkingDirectory=-: here the folder must exist",
        "t.timer:2: ConditionVirtualization=no is not translated",
    ]


def test_a_file_of_variables_goes_before_the_unit_s_own() -> None:
    """As systemd has it; a file with - in front need not be there."""
    made = table(
        timer("OnCalendar=daily"),
        service(
            "Environment=A=unit B=unit", "EnvironmentFile=/etc/a", "EnvironmentFile=-/etc/b", "ExecStart=/bin/x $A"
        ),
    )
    assert made["run"]["env_file"] == ["/etc/a", {"file": "/etc/b", "optional": True}]
    assert "env" not in made["run"]
    script = made["command"].replace("/bin/x $A", 'echo "$A $B"').removeprefix("set -f; ")
    done = subprocess.run(["/bin/sh", "-c", script], env={"A": "file"}, capture_output=True, text=True, check=True)
    assert done.stdout == "file unit\n"


def test_what_a_service_wants_besides_is_named() -> None:
    """Another service that nothing here would start; not one with a timer of its own, nor a target."""
    made = read_timer(
        timer("OnCalendar=daily"),
        "[Unit]\nWants=prune.service network-online.target own.service\nRequires=a.mount\nRequiresMountsFor=/srv\n"
        "Conflicts=shutdown.target b.service\n" + SERVICE,
        name="t", timer_file="t.timer", service_file="t.service", zone="UTC", home=home, has_timer="own".__eq__,
    )  # fmt: skip
    assert [note.partition(" is not")[0] for note in notes(made)] == [
        "Wants=prune.service",
        "Requires=a.mount",
        "RequiresMountsFor=/srv",
        "Conflicts=shutdown.target b.service",
    ]


def test_a_user_of_its_own_is_none_here() -> None:
    """DynamicUser would run as akjobd's own user, who is root in most places."""
    assert table(timer("OnCalendar=daily"), service("ExecStart=/x", "DynamicUser=yes"))["enabled"] is False
    assert "enabled" not in table(timer("OnCalendar=daily"), service("ExecStart=/x", "DynamicUser=yes", "User=bob"))


def test_units_of_a_user_s_manager() -> None:
    """They begin in the home folder, know it as %h, and their manager starts at the login."""
    made = read_timer(
        timer("OnStartupSec=5min"), service("ExecStart=%h/bin/x", "Environment=C=%C"),
        name="t", timer_file="t.timer", service_file="t.service", zone="UTC", home=home, is_user=True,
    )  # fmt: skip
    found = tomllib.loads(made.jobs[0].text)
    assert found["command"] == ["/home/me/bin/x"]
    assert found["schedule"]["on_start"] == "5m"
    assert (found["run"]["cwd"], found["run"]["env"]) == ("/home/me", {"C": "/home/me/.cache"})


def test_conditions_on_files_are_part_of_the_command(tmp_path: Path) -> None:
    """Where one does not hold the job does nothing, and that is not a failure; an assertion is one."""
    there = tmp_path / "there"
    there.write_text("x")
    for line, output, code in (
        (f"ConditionPathExists={there}", "on\n", 0),
        (f"ConditionPathExists=!{there}", "", 0),
        (f"ConditionFileNotEmpty={tmp_path}/gone", "", 0),
        (f"ConditionPathIsDirectory={tmp_path}", "on\n", 0),
        (f"AssertPathExists={tmp_path}/gone", "", 1),
    ):
        command = table(timer("OnCalendar=daily"), f"[Unit]\n{line}\n" + service("ExecStart=/bin/echo on"))["command"]
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
        assert (done.stdout, done.returncode) == (output, code), line


def test_restarts_and_priorities() -> None:
    """A restart on failure is a retry; the classes of input and output have their names here."""
    found = table(
        timer("OnCalendar=daily"),
        "[Unit]\nStartLimitBurst=3\n"
        + service("ExecStart=/x", "Restart=on-failure", "RestartSec=30", "IOSchedulingClass=idle", "Nice=19"),
    )
    assert found["run"]["retry"] == {"attempts": 3, "delay": "30s"}
    assert (found["run"]["ionice"], found["run"]["nice"]) == ("idle", 19)
    both = table(timer("OnCalendar=daily"), service("ExecStart=/x", "IOSchedulingPriority=7"))
    assert both["run"]["ionice"] == "best-effort:7"
    made = read(timer("OnCalendar=daily"), service("ExecStart=/x", "Restart=always", "IOSchedulingClass=realtime"))
    assert [note.partition(" is not")[0] for note in notes(made)] == [
        "Restart=always",
        "IOSchedulingClass=realtime",
    ]


def test_a_template_is_no_timer_yet() -> None:
    """What its instance is called is not known."""
    made = read(timer("OnCalendar=daily"), name="dump@")
    assert not made.jobs
    assert "name an instance of it, such as dump@NAME.timer" in notes(made)[0]


def test_a_timer_without_its_service() -> None:
    """Nothing can be made of it, and it is said which file is missing."""
    made = read_timer(
        "[Timer]\n", None, name="x", timer_file="x.timer", service_file="x.service", zone="UTC", home=home
    )
    assert not made.jobs
    assert "x.service was not found" in notes(made)[0]


def test_a_service_that_starts_nothing() -> None:
    """A job needs something to run."""
    made = read(timer("OnCalendar=daily"), "[Service]\nUser=x\n")
    assert not made.jobs
    assert "no job could be made of it" in notes(made)[-1]


def test_which_service_a_timer_starts() -> None:
    """Unit=, else the one of the same name."""
    assert service_of(parse_unit("[Timer]\nUnit=other.service\n"), "x") == "other.service"
    assert service_of(parse_unit("[Timer]\n"), "x") == "x.service"


def test_unit_files() -> None:
    """Comments, continued lines with comments between, blanks around the equals sign."""
    found = parse_unit("# c\n; c\n[Service]\nExecStart = /bin/x \\\n# between\n  --y \\\n  --z\n\nUser=a\n")
    assert [(setting.key, setting.value, setting.line) for setting in found] == [
        ("ExecStart", "/bin/x  --y  --z", 4),
        ("User", "a", 9),
    ]
    found = parse_unit("[Service]\nExecStart=/bin/x a\\\\\nUser=a\u2028b \\")
    assert [(setting.value, setting.line) for setting in found] == [("/bin/x a\\\\", 2), ("a\u2028b", 3)]
    with pytest.raises(ValueError, match="line 2: 'nonsense'"):
        parse_unit("[Service]\nnonsense\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("5min 20s", 320), ("2h", 7200), ("1d", 86400), ("1.5h", 5400), ("100ms", 0.1), ("1w2d", 777600)],
)
def test_time_spans(text: str, seconds: float) -> None:
    """systemd.time(7)'s spans, without a unit in seconds."""
    assert parse_span(text) == seconds * 1_000_000


def test_time_spans_without_an_end_or_a_sense() -> None:
    """infinity is None; a unit that is none is refused."""
    assert parse_span("infinity") is None
    for text in ("", "5 parsecs", "min"):
        with pytest.raises(ValueError, match=r"time span|empty"):
            parse_span(text)


@settings(max_examples=200, deadline=None)
@given(st.integers(min_value=0, max_value=10**9))
def test_durations_are_written_as_they_are_read(milliseconds: int) -> None:
    """A span that is written as akjob's is the same time to systemd, whose units are the same but for m."""
    text = duration(milliseconds * 1000)
    assert parse_span(text.replace("ms", "msec")) == milliseconds * 1000


_KEYS = (
    *("OnCalendar", "OnBootSec", "OnUnitActiveSec", "OnUnitInactiveSec", "RandomizedDelaySec", "Unit", "Description"),
    *("ExecStart", "ExecStartPre", "Type", "User", "Environment", "EnvironmentFile", "WorkingDirectory", "UMask"),
    *("Nice", "TimeoutStartSec", "KillSignal", "MemoryMax", "LimitNOFILE", "SuccessExitStatus", "StandardOutput"),
)
_BITS = (
    *(
        "-",
        "@",
        ":",
        "$A",
        "${A}",
        "$$",
        "%i",
        "%h",
        "%",
        "'",
        '"',
        "\\",
        r"\x41",
        ";",
        "/bin/x",
        "A=1",
        "é",
        " ",
        "\x07",
    ),
    *("daily", "Mon", "*-*-1", "5:00", "1h", "077", "file:/x"),
)
_VALUES = st.lists(
    st.sampled_from(_BITS) | st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=5), max_size=6
).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_KEYS), _VALUES), max_size=8), st.sampled_from(["a", "a@b-c", "a@"]))
def test_whatever_stands_in_it_what_comes_out_is_a_job(lines: list[tuple[str, str]], name: str) -> None:
    """No value makes it raise, and no job comes out that akjob would refuse."""
    body = "\n".join(f"{key}={value}" for key, value in lines)
    read(f"[Timer]\n{body}", f"[Unit]\n{body}\n[Service]\nExecStart=/bin/x\n{body}", name=name)


def test_the_slots_are_systemd_s() -> None:
    """The figures are those of `systemd-analyze calendar --iterations=3 "Sun *-*~7/1 03:00 UTC"`."""
    made = read(timer("OnCalendar=Sun *-*~7/1 03:00 UTC"))
    spec = parse_job("x", "f", made.jobs[0].text, defaults=(), config=Config()).spec
    assert spec is not None
    slots = next_slots(compile_schedule(spec.schedule), from_text("2026-01-01T00:00:00Z"), 3)
    assert [to_text(slot)[:16] for slot in slots] == ["2026-01-25T03:00", "2026-02-22T03:00", "2026-03-29T03:00"]


@pytest.mark.parametrize(
    ("condition", "there", "runs"),
    [
        ("ConditionPathExistsGlob={}/md?*", "md0", True),
        ("ConditionPathExistsGlob={}/md?*", "x", False),
        ("ConditionPathExistsGlob=!{}/md?*", "x", True),
        ("ConditionDirectoryNotEmpty={}", "x", True),
        ("ConditionDirectoryNotEmpty={}/none", "x", False),
    ],
)
def test_conditions_about_what_a_folder_holds(tmp_path: Path, condition: str, there: str, runs: bool) -> None:
    """Where it does not hold the job does nothing, and that is not a failure."""
    (tmp_path / there).touch()
    unit = f"[Unit]\n{condition.format(tmp_path)}\n[Service]\nType=oneshot\nExecStart=/bin/echo ran\n"
    made = read(timer("OnCalendar=daily"), unit)
    assert made.notes == ()
    command = tomllib.loads(made.jobs[0].text)["command"]
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == ("ran\n" if runs else "")


@pytest.mark.parametrize("path", ["/a;reboot", "/a b/*", "/$(x)/*", "relative/*", "|/dev/sd*"])
def test_a_pattern_that_a_shell_would_take_for_more_is_not_translated(path: str) -> None:
    """It is named, and nothing of it comes into the command."""
    made = read(timer("OnCalendar=daily"), f"[Unit]\nConditionPathExistsGlob={path}\n{SERVICE}")
    assert [note.message for note in made.notes] == [f"ConditionPathExistsGlob={path} is not translated"]
    assert tomllib.loads(made.jobs[0].text)["command"] == ["/bin/true"]


def test_a_pattern_of_environment_files_is_named() -> None:
    """systemd expands it; here it is the name of a file."""
    made = read(timer("OnCalendar=daily"), service("ExecStart=/bin/true", "EnvironmentFile=-/etc/default/*.env"))
    assert "a pattern is not expanded here: name the files" in made.notes[0].message
