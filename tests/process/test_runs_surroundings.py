"""What a run finds around it: its user, its pipes, its environment, and words for what keeps it from beginning."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from akjob.instants import from_text, to_datetime
from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")
BARE = ("HOME", "USER", "LOGNAME", "SHELL", "LC_CTYPE", "LC_ALL", "LANG")


@pytest.fixture
def place(place: Place) -> Place:
    """Yield a root in which akjobd and the collector run; others may enter it."""
    place.root.chmod(0o755)
    return place


def script(place: Place, text: bytes, mode: int = 0o755) -> None:
    """Write the program `program` below the root."""
    path = place.root / "program"
    path.write_bytes(text)
    path.chmod(mode)


# -- another user -----------------------------------------------------------------------------------------------------


@root_only
@pytest.mark.parametrize("who", ['user = "nobody"', 'user = "4321"', 'group = "nogroup"', 'user = "4321"\ngroup = "7"'])
def test_a_job_of_another_user_can_open_its_pipes(place: Place, who: str) -> None:
    """What was made as root belongs to the run's user, by every name that the pipes have."""
    command = "echo a > /dev/stdout; echo b > /proc/self/fd/1; echo c > /dev/stderr; echo d >> /dev/fd/1"
    row = place.go(f"command = '{command}'\n[run]\ncwd = \"/\"\n{who}\n")
    assert (row["state"], place.printed(row["id"])) == ("succeeded", ["a", "b", "d"])


@root_only
def test_a_number_needs_no_name(place: Place) -> None:
    """As in a container; what a passwd entry would say has a plain value."""
    asks = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME $SHELL"
    row = place.go(f'command = "{asks}"\n[run]\nuser = "123456"\ncwd = "/"\n')
    assert place.printed(row["id"]) == ["123456", "123456", "123456", "/ 123456 123456 /bin/sh"]


@root_only
def test_a_user_that_cannot_reach_pythons_library_is_told_so(place: Place) -> None:
    """A folder on the way is closed: not "install it", for it is installed."""
    import sysconfig  # noqa: PLC0415

    library = Path(sysconfig.get_path("stdlib"))
    closed = next((one for one in [*reversed(library.parents)] if not one.stat().st_mode & 0o001), None)
    if closed is None:
        pytest.skip("everybody can reach this Python's library")
    (place.root / "jobmod.py").write_text("import multiprocessing\ndef main(): pass\n")
    row = place.go('callable = "jobmod:main"\n[run]\nuser = "nobody"\ncwd = "/"\n')
    assert row["state"] == "failed"
    assert row["reason"].startswith(f"user 'nobody' may not enter {closed}, which is on the way to Python's library")


@root_only
def test_a_command_needs_nothing_of_pythons_library(place: Place) -> None:
    """Its user may be one who cannot read it, wherever the program is looked for."""
    (place.root / "closed").mkdir(mode=0o700)
    path = f'[run]\nuser = "nobody"\ncwd = "/"\nenv = {{ PATH = "{place.root}/closed:/usr/bin:/bin" }}\n'
    row = place.go(f'command = ["id", "-un"]\n{path}', "found")
    assert (row["state"], place.printed(row["id"])) == ("succeeded", ["nobody"])
    row = place.go(f'command = ["no-such-program"]\n{path}', "missing")
    assert row["reason"].startswith(
        "command 'no-such-program' cannot be executed: No such file or directory (looked in"
    )
    row = place.go('callable = "no_such_module:main"\n[run]\nuser = "nobody"\ncwd = "/"\n', "module")
    assert "difflib" not in row["reason"]


# -- programs that cannot be executed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        (b"#!/bin/sh\r\necho hello\r\n", 0o755, "its lines end in CRLF, so its interpreter would be '/bin/sh\\r'"),
        (b"#!/usr/bin/pyhton3\n", 0o755, "its first line names the interpreter '/usr/bin/pyhton3', which is not there"),
        (b"#! /opt/no  -x\n", 0o755, "its first line names the interpreter '/opt/no', which is not there"),
        (b"#!\n", 0o755, "first line such as #!/bin/sh"),
        (b"echo hello\n", 0o755, "no first line such as #!/bin/sh names its interpreter"),
        (b"#!/bin/sh\n", 0o644, "it is not executable: run chmod +x ./program"),
    ],
)
def test_a_script_that_cannot_be_executed_says_why(place: Place, text: bytes, mode: int, reason: str) -> None:
    """The kernel says "No such file" of a file that is there; the run says what is not."""
    script(place, text, mode)
    row = place.go('command = ["./program"]\n')
    assert row["state"] == "failed"
    assert row["reason"].startswith("command './program' cannot be executed: ")
    assert reason in row["reason"]


def test_a_folder_and_a_link_to_nothing_say_what_they_are(place: Place) -> None:
    """Found in the PATH, too."""
    (place.root / "bin").mkdir()
    (place.root / "bin/gone").symlink_to("nowhere")
    (place.root / "bin/folder").mkdir()
    row = place.go('command = ["gone"]\n[run]\npath = ["bin"]\n', "gone")
    assert row["reason"] == "command 'gone' cannot be executed: it is a link to a file that is not there"
    row = place.go('command = ["bin/folder"]\n', "folder")
    assert row["reason"] == "command 'bin/folder' cannot be executed: it is a folder"


@root_only
def test_a_program_in_a_closed_folder_names_the_folder(place: Place) -> None:
    """The user cannot enter it, which "Permission denied" does not say."""
    (place.root / "closed").mkdir(mode=0o700)
    shutil.copy("/bin/true", place.root / "closed/true")
    row = place.go(f'command = ["{place.root}/closed/true"]\n[run]\nuser = "nobody"\ncwd = "/"\n')
    assert row["reason"].endswith(f"cannot be executed: user id 65534 may not enter {place.root}/closed")


# -- the environment --------------------------------------------------------------------------------------------------


def test_what_a_bare_environment_lacks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME and its like are the daemon's own user's, and what Python's start has set is not passed on."""
    for name in BARE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUPERVISOR_ENABLED", "1")
    here = Place(root)
    here.start()
    try:
        row = here.go("command = '''umask; env | grep -E \"^(HOME|USER|LOGNAME|SHELL|LC_|SUPERVISOR)\" | sort'''\n")
        umask, *said = here.printed(row["id"])
        (root / "jobenv.py").write_text(ENV)
        row = here.go('callable = "jobenv:main"\n', "python")
        (python,) = here.printed(row["id"])
    finally:
        here.stop()
    import pwd  # noqa: PLC0415

    me = pwd.getpwuid(os.geteuid())
    own = [f"HOME={me.pw_dir}", f"LOGNAME={me.pw_name}", f"SHELL={me.pw_shell}", f"USER={me.pw_name}"]
    assert (umask, said, python) == ("0022", own, "None")


ENV = "import os\ndef main(): print(os.environ.get('LC_CTYPE'))\n"


def test_what_was_given_is_kept(root: Path) -> None:
    """A locale that akjobd was started with, a HOME that is not the user's, and supervisord's umask, which is not."""
    before = os.umask(0o077)
    here = Place(root, LC_CTYPE="C.UTF-8", HOME="/somewhere")
    here.start()
    os.umask(before)
    try:
        row = here.go('command = "umask; echo $LC_CTYPE $HOME"\n')
        assert here.printed(row["id"]) == ["0022", "C.UTF-8 /somewhere"]
    finally:
        here.stop()


def test_the_path_is_extended_in_front(place: Place) -> None:
    """The folders come before the PATH, be it akjobd's or that of ``env``; a program is looked for there."""
    for folder, says in (("one", "first"), ("two", "second")):
        (place.root / folder).mkdir()
        (place.root / folder / "tool").write_text(f"#!/bin/sh\necho {says} $PATH\n")
        (place.root / folder / "tool").chmod(0o755)
    row = place.go('command = ["tool"]\n[run]\npath = ["one", "two"]\nenv = { PATH = "/usr/bin:/bin" }\n')
    assert place.printed(row["id"]) == [f"first {place.root}/one:{place.root}/two:/usr/bin:/bin"]


def test_later_env_files_win_and_optional_ones_may_be_missing(place: Place) -> None:
    """And ``env`` wins over all of them."""
    (place.root / "a.env").write_text("A=a\nB=a\nC=a\n")
    (place.root / "b.env").write_text("B=b\nC=b\n")
    files = '["a.env", { file = "none.env", optional = true }, "b.env"]'
    row = place.go(f"command = 'echo $A $B $C'\n[run]\nenv_file = {files}\nenv = {{ C = \"c\" }}\n")
    assert place.printed(row["id"]) == ["a b c"]


@pytest.mark.skipif(shutil.which("ionice") is None, reason="ionice(1) is not here")
@pytest.mark.parametrize(("given", "said"), [("best-effort:6", "best-effort: prio 6"), ("idle", "idle")])
def test_the_class_of_disk_access(place: Place, given: str, said: str) -> None:
    """As ionice(1) shows it from inside of the run."""
    row = place.go(f'command = "ionice -p $$"\n[run]\nionice = "{given}"\n')
    assert place.printed(row["id"]) == [said]


# -- what a run knows of itself ---------------------------------------------------------------------------------------

KNOWS = """
import json, os
import akjob

def main():
    run = akjob.current_run()
    names = {name: value for name, value in os.environ.items() if name.startswith("AKJOB_")}
    print(json.dumps([names, run.previous_slot and run.previous_slot.isoformat(), run.changed]))
"""


def test_a_run_knows_what_made_it_due_and_what_it_stands_for(place: Place) -> None:
    """Trigger, slot in the job's zone, the slot before: in the environment, and for Python as values."""
    (place.root / "knows.py").write_text(KNOWS)
    row = place.go('callable = "knows:main"\n[schedule]\ntimezone = "Asia/Kolkata"\ndaily = 09:30:00\n')
    names, previous, changed = json.loads(place.printed(row["id"])[0])
    slot = from_text(row["slot"])
    assert names["AKJOB_TRIGGER"] == "manual"
    assert names["AKJOB_SLOT"] == row["slot"]
    assert names["AKJOB_SLOT_LOCAL"].endswith("+05:30")
    before = from_text(names["AKJOB_PREVIOUS_SLOT"])
    assert to_datetime(before).strftime("%H:%M:%S.%f") == "04:00:00.000000"
    assert 0 < slot - before <= 86_400_000_000
    assert previous == to_datetime(before).isoformat()
    assert (changed, "AKJOB_INSTANCE" in names, "AKJOB_CHANGED_FILE" in names) == ([], False, False)


def test_a_job_without_a_calendar_has_no_slot_before(place: Place) -> None:
    """The variable is there and empty; Python gets None."""
    (place.root / "knows.py").write_text(KNOWS)
    row = place.go('callable = "knows:main"\n')
    names, previous, _ = json.loads(place.printed(row["id"])[0])
    assert (names["AKJOB_PREVIOUS_SLOT"], previous) == ("", None)


# -- the end ----------------------------------------------------------------------------------------------------------


def test_a_run_is_ended_at_a_local_time(place: Place) -> None:
    """Like by its timeout, and the reason names the time."""
    at = time.gmtime(int(time.time()) + 5)  # noqa: TID251 - a wall-clock instant is what a job file takes
    clock = time.strftime("%H:%M:%S", at)
    row = place.go(f'command = ["sleep", "300"]\n[run]\nstop_at = {clock}\n')
    assert (row["state"], row["signal"]) == ("timed_out", signal.SIGTERM)
    assert row["reason"] == f"still running at {clock}, its stop_at"
    assert to_datetime(from_text(row["ended_at"])).strftime("%H:%M:%S") >= clock


def test_a_progress_bar_is_seen_while_it_grows(place: Place) -> None:
    """A line that is written over and over arrives as it stands, long before a newline ends it, and byte for byte."""
    command = "printf '10%%\\r'; printf '20%%'; until test -e go; do sleep 0.02; done; printf '\\r100%%\\n'; echo end"
    place.job("job", f"command = '''{command}'''\n")
    until(lambda: place.known("job"))
    run = place.run("job")

    def shown() -> str:
        found = [line for line in lines(place.paths, run=run) if line["event"] == "run.output"]
        return "".join(line["line"] + ("\n" if line.get("eol", True) else "") for line in found)

    until(lambda: shown() == "10%\r20%")
    (place.root / "go").touch()
    place.wait(run)
    until(lambda: shown() == "10%\r20%\r100%\nend\n")
