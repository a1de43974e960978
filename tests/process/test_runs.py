"""Runs as a person must be able to trust them: bounded, fully ended, fully accounted for, whatever the job does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


def code(place: Place, text: str) -> None:
    """Write the module `code`."""
    (place.root / "code_of_test.py").write_text(text)


# -- ending -----------------------------------------------------------------------------------------------------------


def test_a_timeout_ends_everything_of_the_run(place: Place) -> None:
    """A grandchild in a session of its own that ignores SIGTERM is gone within timeout + kill_after + 1 s."""
    row = place.go(
        "command = '''setsid sh -c \"trap '' TERM; echo $$ > stray; while :; do sleep 0.1; done\" & exec sleep 100'''\n"
        '[run]\ntimeout = "500ms"\nkill_after = "500ms"\n',
    )
    assert row["state"] == "timed_out"
    assert "timeout of 0.5 s" in row["reason"]
    assert not Path("/proc", (place.root / "stray").read_text().strip()).exists()
    place.printed(row["id"])
    finished = next(line for line in lines(place.paths, run=row["id"]) if line["event"] == "run.finished")
    assert finished["duration_s"] < 2.0


def test_what_a_job_leaves_behind_is_ended_and_told(place: Place) -> None:
    """The run ends with its main process; a stray that holds its pipe delays nothing and is reported."""
    row = place.go('command = "sleep 100 & echo done"\n')
    assert (row["state"], row["exit_code"]) == ("succeeded", 0)
    assert "left 1 process behind, ended: s" in row["reason"]
    assert place.printed(row["id"]) == ["done"]


DEAF = "trap '' TERM; echo \\$\\$ > stray; exec >/dev/null 2>&1; touch deaf; while :; do sleep 0.1; done"
LEAVES_A_DAEMON = f"command = '''setsid sh -c \"{DEAF}\" & while [ ! -e deaf ]; do sleep 0.01; done'''\n"


def test_what_let_go_of_its_output_and_ignores_sigterm_is_ended_too(place: Place) -> None:
    """A daemon as they should be: a session of its own, nothing open, deaf to SIGTERM. It has no pipe to wait for."""
    row = place.go(LEAVES_A_DAEMON + '[run]\nkill_after = "300ms"\n')
    assert row["state"] == "succeeded"
    assert "left" in row["reason"]
    assert not Path("/proc", (place.root / "stray").read_text().strip()).exists()


def test_what_is_left_behind_is_not_held_against_the_timeout(place: Place) -> None:
    """The run has ended, and succeeded; its timeout comes while a daemon that it left is given its time to end."""
    row = place.go(LEAVES_A_DAEMON + '[run]\ntimeout = "900ms"\nkill_after = "1500ms"\n')
    assert row["state"] == "succeeded"
    assert "left" in row["reason"]


def test_a_process_without_its_first_thread_is_ended_too(place: Place) -> None:
    """What looks like a zombie and is none: its main thread has ended, another one goes on."""
    code(
        place,
        "import ctypes, os, signal, threading, time\n"
        "def main():\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        os.closerange(0, 100)\n"
        "        threading.Thread(target=time.sleep, args=(300,)).start()\n"
        "        with open('stray', 'w') as file: file.write(str(os.getpid()))\n"
        "        ctypes.CDLL(None).syscall(60, 0)\n"
        "    while not os.path.exists('stray') or not open('stray').read(): time.sleep(0.01)\n"
        "    pid = open('stray').read()\n"
        "    while ') Z ' not in open(f'/proc/{pid}/stat').read(): time.sleep(0.01)\n",
    )
    row = place.go('callable = "code_of_test:main"\n[run]\nkill_after = "300ms"\n')
    assert row["state"] == "succeeded"
    assert "left 1 process behind" in row["reason"]
    assert not Path("/proc", (place.root / "stray").read_text()).exists()


def test_a_job_that_leaves_two_hundred_children(place: Place) -> None:
    """All of them are ended."""
    row = place.go('command = "for i in $(seq 200); do setsid sleep 300 & done"\n')
    assert row["state"] == "succeeded"
    assert "left 200 processes behind" in row["reason"]


def test_a_job_that_daemonizes_does_not_get_away(place: Place) -> None:
    """A double fork with a session of its own is still the run's."""
    code(
        place,
        "import os, time\n"
        "def main():\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            open('pid', 'w').write(str(os.getpid()))\n"
        "            time.sleep(300)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    while not os.path.exists('pid') or not open('pid').read(): time.sleep(0.01)\n",
    )
    row = place.go('callable = "code_of_test:main"\n')
    assert row["state"] == "succeeded"
    assert not Path("/proc", (place.root / "pid").read_text()).exists()


def test_a_stopped_job_is_ended_by_its_timeout(place: Place) -> None:
    """A job that stops itself (SIGSTOP) does not outlive its time limit."""
    row = place.go('command = "kill -STOP $$"\n[run]\ntimeout = "300ms"\nkill_after = "300ms"\n')
    assert row["state"] == "timed_out"


def test_a_job_that_closes_its_output_is_still_looked_after(place: Place) -> None:
    """Closed pipes are not the end of a run."""
    row = place.go('command = "exec >&- 2>&-; sleep 0.3; exit 9"\n')
    assert (row["state"], row["exit_code"]) == ("failed", 9)


def test_a_segfault_is_told_by_its_signal(place: Place) -> None:
    """An interpreter that crashes leaves a row with the signal."""
    code(place, "import ctypes\ndef main(): ctypes.string_at(0)\n")
    row = place.go('callable = "code_of_test:main"\n')
    assert (row["state"], row["exit_code"], row["signal"]) == ("failed", None, signal.SIGSEGV)


def test_stop_cancels_and_says_who(place: Place) -> None:
    """`akjob stop` gives the run the state cancelled, with the reason."""
    place.job("long", 'command = "sleep 100"\n')
    until(lambda: place.known("long"))
    run = place.run("long")
    until(lambda: [one for one in place.status()["running"] if one["run"] == run])
    assert place.ask("stop", target="long", by="ada")["stopped"] == [run]
    row = place.wait(run)
    assert (row["state"], row["signal"], row["reason"]) == ("cancelled", signal.SIGTERM, "stopped by ada")


def test_another_stop_signal(place: Place) -> None:
    """`stop_signal` is what the timeout sends first."""
    row = place.go(
        "command = '''trap 'echo interrupted; exit 5' INT; while :; do sleep 0.05; done'''\n"
        '[run]\ntimeout = "300ms"\nstop_signal = "INT"\n',
    )
    assert (row["state"], row["exit_code"]) == ("timed_out", 5)
    assert place.printed(row["id"]) == ["interrupted"]


def test_output_beyond_its_limit_is_counted_not_kept(place: Place) -> None:
    """A flood ends in the log at output_limit, and the run's end says how much more there was."""
    row = place.go('command = \'head -c 3000000 /dev/zero | tr "\\\\0" x; exit 0\'\n[run]\noutput_limit = "1MB"\n')
    assert row["state"] == "succeeded"
    assert "2000000 bytes of output beyond output_limit were not kept" in row["reason"]
    assert sum(map(len, place.printed(row["id"]))) == 1_000_000
    events = [line["event"] for line in lines(place.paths, run=row["id"])]
    assert events[-2:] == ["run.output_limit", "run.finished"]


def test_a_job_may_log_what_it_likes(place: Place) -> None:
    """Events and fields that are named as akjob's own are the job's: they are shown as such, and end nothing."""
    code(
        place,
        "import akjob, logging\n"
        "def main():\n"
        "    log = akjob.current_run().log\n"
        "    for fields in {}, {'line': 5, 'stream': 'stdout'}, {'base64': 'z'}: log.info('run.output', **fields)\n"
        "    log.info('odd', exception={'type': 'X', 'frames': 7})\n"
        "    akjob.current_run().progress('half', 'all')\n"
        "    logging.getLogger('app').info('run.finished', extra={'state': 'ok'})\n"
        "    print('printed')\n",
    )
    row = place.go('callable = "code_of_test:main"\n')
    assert row["state"] == "succeeded"
    until(lambda: [line for line in lines(place.paths, run=row["id"]) if line["event"] == "run.finished"][1:])
    akjob = [str(Path(sys.executable).with_name("akjob")), "--root", str(place.root)]
    whole = subprocess.run([*akjob, "logs"], capture_output=True, text=True, check=True).stdout
    assert "info run.output line=5 stream=stdout" in whole
    assert 'exception={"type":"X","frames":7}' in whole
    raw = subprocess.run([*akjob, "logs", "--raw", row["id"]], capture_output=True, text=True, check=True).stdout
    assert raw == "printed\n"
    followed = subprocess.run([*akjob, "run", "job"], capture_output=True, text=True, check=True)
    assert followed.stdout == "printed\n"
    assert "succeeded in" in followed.stderr


# -- surroundings -----------------------------------------------------------------------------------------------------


def test_the_surroundings_of_a_command(place: Place) -> None:
    """umask, nice, stdin, session, signal dispositions and the AKJOB_ variables are what the documentation says."""
    (place.root / "work").mkdir()
    row = place.go(
        "command = '''umask; nice; pwd; readlink /proc/self/fd/0; "
        'env | grep -cE "^AKJOB_(JOB|RUN|SLOT|ATTEMPT|ROOT)="; ls /proc/self/fd | wc -l; '
        'grep SigIgn /proc/self/status\'\'\'\n[run]\numask = "0077"\nnice = 5\ncwd = "work"\n',
    )
    *said, ignored = place.printed(row["id"])
    assert said == ["0077", "5", str(place.root / "work"), "/dev/null", "5", "4"]
    assert int(ignored.split()[1], 16) & 0x7FFFFFFF == 0  # the C library's own two above are not ours to set


@root_only
def test_another_user(place: Place) -> None:
    """The run is the user's, with supplementary groups and HOME; the shim and the log stay ours."""
    place.root.chmod(0o755)
    row = place.go('command = "id -un; id -gn; echo $HOME $LOGNAME"\n[run]\nuser = "nobody"\ncwd = "/"\n')
    assert place.printed(row["id"]) == ["nobody", "nogroup", "/nonexistent nobody"]


@root_only
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('user = "65534"', "65534 65534"),
        ('group = "nogroup"', "0 65534"),
        ('user = "nobody"\ngroup = "4321"', "65534 4321"),
    ],
)
def test_users_and_groups_by_name_and_number(place: Place, text: str, ids: str) -> None:
    """Either of the two can be set, and either as a number; a group needs no name."""
    place.root.chmod(0o755)
    row = place.go(f'command = "echo $(id -u) $(id -g)"\n[run]\ncwd = "/"\n{text}\n')
    assert place.printed(row["id"]) == [ids]


@root_only
def test_a_folder_is_entered_as_the_user(place: Place) -> None:
    """Root's right to enter a folder is not lent to the job."""
    (place.root / "closed").mkdir(mode=0o700)
    row = place.go('command = "true"\n[run]\nuser = "nobody"\ncwd = "closed"\n')
    assert row["state"] == "failed"
    assert row["reason"].startswith(f"cwd {place.root}/closed: Permission denied")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('command = ["/no/such/program"]\n', "command '/no/such/program' cannot be executed: No such file"),
        ('command = "true"\n[run]\nuser = "nobody-here"\n', "user 'nobody-here' does not exist on this machine"),
        ('command = "true"\n[run]\nuser = "4294967294"\n', "user '4294967294' does not exist on this machine"),
        ('command = "true"\n[run]\ncwd = "missing"\n', "No such file or directory"),
        ('command = "true"\n[run]\nenv_file = "missing"\n', "cannot be read: No such file or directory"),
        ('command = "true"\n[run]\nenv = { A = { file = "missing" } }\n', "env.A: the file"),
        ('callable = "nothing_of_this_name:main"\n', "there is no module 'nothing_of_this_name'"),
    ],
)
def test_a_step_that_cannot_be_done_fails_with_its_reason(place: Place, text: str, reason: str) -> None:
    """What keeps the job's code from being reached is told in words."""
    row = place.go(text)
    assert row["state"] == "failed"
    assert reason in row["reason"]


def test_secrets_reach_the_job_and_nothing_else(place: Place) -> None:
    """A secret file's text is in the job's environment, and in no log line, ledger row or message."""
    (place.root / "secret").write_text("hunter2\n")
    (place.root / "more.env").write_text("OTHER='swordfish 9'\n")
    row = place.go(
        "command = '''test $(echo $A | rev) = 2retnuh && test \"$(echo $OTHER | rev)\" = \"9 hsifdrows\"'''\n"
        '[run]\nenv = { A = { file = "secret" } }\nenv_file = "more.env"\n',
    )
    assert row["exit_code"] == 0
    until(lambda: not place.folders(), 45.0)
    place.stop()
    for path in place.paths.var.rglob("*"):
        if path.is_file() and not path.is_socket():
            data = path.read_bytes()
            assert b"hunter2" not in data, path
            assert b"swordfish" not in data, path


def test_limits_of_memory_cpu_and_files(place: Place) -> None:
    """Each limit stops what goes over it, and the reason or the error says which."""
    code(place, "def fill(): x = bytearray(512 << 20)\ndef spin():\n    while True: pass\n")
    filled = place.go('callable = "code_of_test:fill"\n[run]\nresources = { memory = "256MiB" }\n', "fill")
    assert (filled["state"], filled["error"]) == ("failed", "MemoryError")
    spun = place.go('callable = "code_of_test:spin"\n[run]\nresources = { cpu = "1s" }\n', "spin")
    assert (spun["state"], spun["signal"]) == ("failed", signal.SIGXCPU)
    assert "resources.cpu" in spun["reason"]
    wrote = place.go('command = "head -c 5000 /dev/zero > big"\n[run]\nresources = { file_size = "1KB" }\n', "write")
    assert wrote["state"] == "failed"
    assert (place.root / "big").stat().st_size == 1000


# -- Python code ------------------------------------------------------------------------------------------------------


def test_results_errors_and_exits(place: Place) -> None:
    """A return value is the row's result, an exception its error; SystemExit means what it means in a script."""
    code(
        place,
        "import sys\ndef value(**kw): return {'n': [1, 2], **kw}\ndef bad(): raise ValueError('no good')\n"
        "def leave(): sys.exit(4)\ndef say(): sys.exit('text')\nasync def later(): return 'async'\n",
    )
    value = place.go('callable = "code_of_test:value"\nkwargs = { d = 2026-03-29 }\n', "value")
    assert json.loads(value["result"]) == {"n": [1, 2], "d": "2026-03-29"}
    bad = place.go('callable = "code_of_test:bad"\n', "bad")
    assert (bad["state"], bad["exit_code"], bad["error"]) == ("failed", 1, "ValueError: no good")
    assert place.go('callable = "code_of_test:leave"\n', "leave")["exit_code"] == 4
    said = place.go('callable = "code_of_test:say"\n', "say")
    assert (said["exit_code"], place.printed(said["id"], "stderr")) == (1, ["text"])
    assert place.go('callable = "code_of_test:later"\n', "later")["result"] == '"async"'


def test_an_exit_while_the_code_is_loaded(place: Place) -> None:
    """``SystemExit`` of a module or a ``setup`` ends the run as it would a script, another exception is its error."""
    code(place, "import sys\nprint('here')\nsys.exit(5)\n")
    left = place.go('callable = "code_of_test:main"\n', "left")
    assert (left["exit_code"], left["error"], place.printed(left["id"])) == (5, None, ["here"])
    (place.root / "early.py").write_text("import sys\ndef done(): sys.exit()\ndef bad(): raise ValueError('no good')\n")
    done = place.go('callable = "json:loads"\nargs = ["1"]\n[run]\nsetup = ["early:done"]\n', "done")
    assert (done["state"], done["exit_code"], done["result"]) == ("succeeded", 0, None)
    bad = place.go('callable = "json:loads"\nargs = ["1"]\n[run]\nsetup = ["early:bad"]\n', "bad")
    assert (bad["exit_code"], bad["error"]) == (1, "ValueError: no good")
    until(lambda: [line for line in lines(place.paths, run=bad["id"]) if line["event"] == "run.finished"])
    (line,) = [line for line in lines(place.paths, run=bad["id"]) if line["event"] == "uncaught exception"]
    assert [frame["function"] for frame in line["exception"]["frames"]] == ["bad"]


def test_the_time_zone_of_the_environment_is_the_jobs(place: Place) -> None:
    """``TZ`` in ``env`` holds for a callable as it does for a program that is started with it."""
    code(place, "import datetime, time\ndef zone(): return [time.tzname[0], time.localtime(0).tm_hour]\n")
    row = place.go('callable = "code_of_test:zone"\n[run]\nenv = { TZ = "Asia/Tokyo" }\n')
    assert json.loads(row["result"]) == ["JST", 9]


def test_a_relative_interpreter_is_below_the_root(place: Place) -> None:
    """As every path is, wherever the run's folder is."""
    (place.root / "work").mkdir()
    (place.root / "python").symlink_to(sys.executable)
    code(place, "import os, sys\ndef where(): return [os.getcwd(), sys.executable]\n")
    text = 'callable = "code_of_test:where"\n[run]\ninterpreter = "python"\ncwd = "work"\n'
    row = place.go(text)
    assert json.loads(row["result"]) == [str(place.root / "work"), str(place.root / "python")]


@pytest.mark.parametrize(
    ("text", "error"), [("def main(): pass\n1 / 0\n", "ZeroDivisionError"), ("def main(:\n", "SyntaxError")]
)
def test_an_error_in_the_module_is_logged_with_its_place(place: Place, text: str, error: str) -> None:
    """What keeps a module from being imported is in the log as an error inside the job's function is."""
    code(place, text)
    row = place.go('callable = "code_of_test:main"\n')
    assert error in row["reason"]
    place.printed(row["id"])
    (logged,) = [line for line in lines(place.paths, run=row["id"]) if line["event"] == "uncaught exception"]
    assert logged["exception"]["type"] == error
    assert "code_of_test.py" in json.dumps(logged["exception"])


def test_a_generator_function_is_no_success(place: Place) -> None:
    """Calling one executes nothing of it, and a run that did nothing must not look as if it had."""
    code(place, "def main():\n    yield 1\n")
    row = place.go('callable = "code_of_test:main"\n')
    assert (row["state"], "generator function" in row["error"]) == ("failed", True)


def test_threads_and_exit_functions_finish(place: Place) -> None:
    """The run's end is the end that a script has: threads are joined, atexit runs, buffers are flushed."""
    code(
        place,
        "import atexit, threading, time\ndef main():\n    atexit.register(print, 'at exit')\n"
        "    threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n    print('main', end=' ')\n",
    )
    row = place.go('callable = "code_of_test:main"\n')
    assert place.printed(row["id"]) == ["main thread", "at exit"]


def test_setup_is_called_first(place: Place) -> None:
    """The callables of `setup` run before the job's code is imported."""
    code(place, "import os\ndef first(): os.environ['READY'] = 'yes'\n")
    (place.root / "second_of_test.py").write_text(
        "import os\nat_import = os.environ['READY']\ndef main(): print(at_import)\n"
    )
    row = place.go('callable = "second_of_test:main"\n[run]\nsetup = ["code_of_test:first"]\n')
    assert place.printed(row["id"]) == ["yes"]


def test_another_interpreter(place: Place) -> None:
    """`interpreter` runs the code in another Python process, which need not have akjob."""
    code(place, "import sys\ndef main(x): print(sys.executable, sys.flags.isolated, x)\n")
    row = place.go(f'callable = "code_of_test:main"\nargs = [2026-03-29]\n[run]\ninterpreter = "{sys.executable}"\n')
    assert place.printed(row["id"]) == [f"{sys.executable} 0 2026-03-29"], row


# -- policies ---------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_tried_again(place: Place) -> None:
    """A retry is a new run of the same slot with the next attempt."""
    place.job(
        "flaky",
        'command = "test $AKJOB_ATTEMPT = 3"\n[run]\nretry = { attempts = 3, delay = "100ms" }\n',
    )
    until(lambda: place.known("flaky"))
    place.run("flaky")
    until(lambda: place.sql("SELECT 1 FROM runs WHERE attempt = 3 AND state NOT IN ('queued', 'running')"), 30.0)
    rows = place.sql("SELECT * FROM runs ORDER BY attempt")
    assert [(row["attempt"], row["trigger"], row["state"]) for row in rows] == [
        (1, "manual", "failed"), (2, "retry", "failed"), (3, "retry", "succeeded"),
    ]  # fmt: skip
    assert len({row["slot"] for row in rows}) == 1


def test_one_lock_lets_one_run_at_a_time(place: Place) -> None:
    """Jobs that share a lock never overlap."""
    for name in ("one", "two", "three"):
        place.job(name, f'command = "mkdir held && sleep 0.2 && rmdir held && echo {name}"\n[run]\nlock = "table"\n')
    until(lambda: all(place.known(name) for name in ("one", "two", "three")))
    rows = [place.wait(run) for run in [place.run(name) for name in ("one", "two", "three")]]
    assert [row["state"] for row in rows] == ["succeeded"] * 3


def test_five_hundred_runs_at_once(place: Place) -> None:
    """Each of them has its end, and nothing is left over."""
    place.job("many", 'command = ["true"]\n[run]\noverlap = "allow"\n')
    until(lambda: place.known("many"))
    runs = [place.run("many") for _ in range(500)]
    until(lambda: len(place.sql("SELECT id FROM runs WHERE state = 'succeeded'")) == 500, 120.0)
    assert len(set(runs)) == 500
    until(lambda: not place.folders(), 60.0)
