"""What every test is held to: it leaves no process, thread or descriptor behind. And the root that it works in."""

import os
import select
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from akjob.log.line.sender import SILENCE_S

# Handed down to everything that a test starts: what has it and is still there afterwards was left over, whoever its
# parent is by then.
MARK = "AKJOB_TEST_PROCESS"
_GRACE_S = SILENCE_S + 5.0  # a shim whose collector is gone keeps its lines in memory for so long

HERE = Path(__file__).parent

settings.register_profile("akjob", deadline=None)  # how long an example takes says something of the machine alone
settings.load_profile("akjob")

# Whoever runs the tests in the background (nohup, a shell's &) has them ignore these, and what they start would too.
for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of ``process/`` and ``system/`` as what they are by where they stand."""
    for item in items:
        for folder in ("process", "system"):
            if HERE / folder in item.path.parents:
                item.add_marker(folder)


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a child process, a thread or a descriptor behind, and end what it left."""
    starts_processes = bool({"process", "system"} & {mark.name for mark in request.node.iter_markers()})
    mark = f"{os.getpid()}-{id(request.node)}"
    if starts_processes:
        os.environ[MARK] = mark
    threads, descriptors, children = set(threading.enumerate()), open_descriptors(), children_of_this()
    yield
    left = [f"thread {thread.name}" for thread in left_threads(threads)]
    processes = left_processes(children, mark if starts_processes else None)
    left += [f"process {number}: {title(number)}" for number in processes]
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(number, 0)
    left += [f"descriptor {number}: {what}" for number, what in sorted(left_descriptors(descriptors).items())]
    os.environ.pop(MARK, None)
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


def left_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    """Return the threads that are still there after a moment's grace."""
    new = set(threading.enumerate()) - before
    for thread in new:
        thread.join(_GRACE_S)
    return [thread for thread in new if thread.is_alive()]


def open_descriptors() -> dict[int, str]:
    """Return what each open descriptor of this process refers to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that lists the folder is gone by now
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def left_descriptors(before: dict[int, str]) -> dict[int, str]:
    """Return the descriptors that were not open before."""
    return {number: what for number, what in open_descriptors().items() if before.get(number) != what}


def children_of_this() -> set[int]:
    """Return the process ids of this process's children, zombies too."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found.update(map(int, (task / "children").read_text().split()))
    return found


def marked(mark: str) -> set[int]:
    """Return the processes, but this one, whose environment carries the mark of this test."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):  # it ended meanwhile, or is another user's
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
    return found


def left_processes(before: set[int], mark: str | None) -> list[int]:
    """Return what the test started and is still there after a moment's grace. Zombies are reaped and no offence."""
    for number in children_of_this() - before:
        with suppress(ChildProcessError):
            os.waitpid(number, os.WNOHANG)
    new = (children_of_this() - before) | (marked(mark) if mark else set())
    return [number for number in sorted(new) if not ends_soon(number)]


def ends_soon(number: int) -> bool:
    """Return True if a process ends within the grace; its descriptor says so, a zombie's too."""
    try:
        watched = os.pidfd_open(number)
    except ProcessLookupError:
        return True
    try:
        ended = bool(select.select([watched], [], [], _GRACE_S)[0])
    finally:
        os.close(watched)
    if ended:
        with suppress(ChildProcessError):
            os.waitpid(number, os.WNOHANG)
    return ended


def title(number: int) -> str:
    """Return the command line of a process."""
    with suppress(OSError):
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return "?"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make an empty root: ``jobs.d``, ``etc`` and ``var`` below a path short enough for Unix sockets; removed later."""
    monkeypatch.delenv("AKJOB_ROOT", raising=False)
    folder = Path(tempfile.mkdtemp(prefix="akjob-")).resolve()
    for name in ("jobs.d", "etc", "var/log", "var/run"):
        (folder / name).mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
