"""What is the users' own runs in their runs' processes alone; and who is who can be told from outside."""

import os
import time
from contextlib import suppress
from pathlib import Path

from akjob.instants import to_text
from tests.roots import Place
from tests.support import until

# Stands in the job's module and nowhere else: not in its definition, not in what it prints.
MARKER = b"nowhere-else-" + b"5d41402abc4b2a76b9719d911017c592"


def holds(pid: int, text: bytes) -> bool:
    """Whether a text stands anywhere in the memory that a process can write, or in a file that it has mapped."""
    ranges = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, rights, *_ = line.split()
        if rights.startswith("rw"):
            start, end = (int(part, 16) for part in where.split("-"))
            ranges.append((start, end))
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in ranges:
            with suppress(OSError, ValueError):
                memory.seek(start)
                if text in memory.read(end - start):
                    return True
    return False


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def title(pid: int) -> str:
    """Return what `ps` shows of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()


def write(place: Place) -> None:
    """Write a module that notes who imports it, and waits when it is called."""
    (place.root / "mine_of_test.py").write_text(
        "import os, time\n"
        f"SECRET = {MARKER.decode()!r}\n"
        "open('imported', 'a').write(f'{os.getpid()} {os.getppid()}\\n')\n"
        "def ready(): pass\n"
        "def main():\n"
        "    while not os.path.exists('go'): time.sleep(0.02)\n"
    )


def imports(place: Place) -> list[tuple[int, int]]:
    """Return (pid, parent) of every process that has imported the module."""
    path = place.root / "imported"
    text = path.read_text() if path.exists() else ""
    return [(int(line.split()[0]), int(line.split()[1])) for line in text.splitlines()]


def test_users_code_is_imported_by_its_run_alone(place: Place) -> None:
    """Neither akjobd nor the collector, the zygote or a shim ever has a byte of it, with `setup` and `lead` either."""
    write(place)
    slot = to_text((time.time_ns() // 1_000_000_000 + 3) * 1_000_000)[:19]
    code = 'callable = "mine_of_test:main"\n'
    place.job("hand", code + '[run]\nsetup = ["mine_of_test:ready"]\n')
    place.job("ahead", f'{code}[schedule]\nat = {slot}Z\n[run]\nlead = "2s"\n')
    until(lambda: place.known("hand") and place.known("ahead"))
    place.run("hand")
    running = until(lambda: [one for one in [place.status()["running"]] if len(one) == 2], 30.0)[0]
    until(lambda: len(imports(place)) == 2)
    assert sorted(imports(place)) == sorted((one["pid"], one["shim_pid"]) for one in running)
    ours = [place.pid("akjobd"), place.pid("zygote"), place.pid("akjob-collector")]
    for pid in (one["pid"] for one in running):
        assert holds(pid, MARKER)
    for pid in [*ours, *(one["shim_pid"] for one in running)]:
        assert not holds(pid, MARKER), title(pid)
    (place.root / "go").touch()
    rows = [place.wait(one["run"]) for one in running]
    assert [row["state"] for row in rows] == ["succeeded"] * 2
    for pid in ours:
        assert not holds(pid, MARKER), title(pid)
    assert len(imports(place)) == 2


def test_ps_shows_which_job_and_run_a_process_is_of(place: Place) -> None:
    """Shim and job name the job and the run in their titles; the zygote says what it is."""
    write(place)
    place.job("reports.long-name", 'callable = "mine_of_test:main"\n')
    until(lambda: place.known("reports.long-name"))
    run = place.run("reports.long-name")
    until(lambda: imports(place))
    (one,) = until(lambda: place.status()["running"])
    assert title(one["pid"]) == f"akjob: reports.long-name {run}"
    assert title(one["shim_pid"]) == f"akjob: shim of reports.long-name {run}"
    assert parent(one["pid"]) == one["shim_pid"]
    assert title(place.pid("zygote")) == "akjob: zygote"
    assert parent(place.pid("zygote")) == place.pid("akjobd")
    # A session each: what the job sends to its group, or its terminal's end, reaches neither shim nor akjobd.
    sessions = {os.getsid(pid) for pid in (one["pid"], one["shim_pid"], place.pid("zygote"), place.pid("akjobd"))}
    assert len(sessions) == 4
    (place.root / "go").touch()
    place.wait(run)
