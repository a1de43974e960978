"""The base: the plainest programs that could do the same. Run by ``python -I -S``; imports nothing but sys, os, time.

    bare.py fork|call|spawn|sh OUT FIRST_US STEP_US COUNT EACH [MODULE_FOLDER]

At FIRST_US + n * STEP_US, for COUNT values of n, it starts EACH processes: ``fork`` notes its first instruction in a
forked child; ``call`` imports a module in the forked child and calls its function, which notes it; ``spawn`` starts
``date`` by posix_spawn; ``sh`` starts ``sh -c date``. ``sleep`` and ``nap`` start EACH that are merely there.
"""

import os
import sys
import time

KIND, OUT = sys.argv[1:3]
FIRST_US, STEP_US, COUNT, EACH = map(int, sys.argv[3:7])
sys.path[:0] = sys.argv[7:]


def note(name: str) -> None:
    """Append the instant and the name."""
    began = time.time_ns()
    fd = os.open(OUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, b"%s %d -\n" % (name.encode(), began))
    os.close(fd)


def start(name: str) -> None:
    """Start one process; what it is to do is the program's KIND."""
    date = ["/bin/date", f"+{name} %s%N -"]
    if KIND == "spawn":
        os.posix_spawn(date[0], date, os.environ, file_actions=ACTIONS)
    elif KIND == "sh":
        os.posix_spawn("/bin/sh", ["/bin/sh", "-c", f"date '{date[1]}'"], os.environ, file_actions=ACTIONS)
    elif KIND == "nap":
        os.posix_spawn("/bin/sleep", ["/bin/sleep", "60"], os.environ)
    elif os.fork() == 0:
        if KIND == "fork":
            note(name)
        elif KIND == "sleep":
            time.sleep(60)
        else:
            import stamping  # type: ignore[import-not-found]  # noqa: PLC0415 - what is measured

            stamping.stamp(OUT, name)
        os._exit(0)


ACTIONS = [(os.POSIX_SPAWN_OPEN, 1, OUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)]

for turn in range(COUNT):
    due = (FIRST_US + turn * STEP_US) / 1e6
    while (left := due - time.time()) > 0:
        time.sleep(left)
    for number in range(EACH):
        start(f"{turn}.{number}")
    if KIND not in {"sleep", "nap"}:
        for _ in range(EACH):
            os.wait()
if KIND in {"sleep", "nap"}:
    time.sleep(60)
