"""What a shim of version 1 is to akjobd, and nothing more: ``shim_version_1.py FOLDER SHIMS_SOCKET JOB_PID``.

It keeps the lock, says that it has started, and writes its end when it is told to stop. Kept as it is: shims that were
started before an upgrade go on speaking so.
"""

import fcntl
import json
import os
import signal
import socket
import sys

folder, shims, job_pid = sys.argv[1:]
run = os.path.basename(folder)
lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.pwrite(lock, b"%d %d\n" % (int(job_pid), 1795475018698795), 0)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.write(1, b"ready\n")
signal.sigwait({signal.SIGTERM})
with open(f"{folder}/stop", encoding="utf-8") as file:
    state, how, reason = file.read().split("\n", 2)
end = {
    "version": 1,
    "run": run,
    "job": "report",
    "slot_us": 1795475018689118,
    "attempt": 1,
    "state": state,
    "reason": f"{reason} ({how})",
    "exit_code": None,
    "signal": 15,
    "error": None,
    "result": None,
    "pid": int(job_pid),
    "shim_pid": os.getpid(),
    "started_us": 1795475018698795,
    "ended_us": 1795475024754268,
    "user_cpu_s": 0.5,
    "system_cpu_s": 0.25,
    "max_rss_bytes": 4096,
}
with open(f"{folder}/.end.json.{os.getpid()}", "w", encoding="utf-8") as file:
    json.dump(end, file)
os.rename(file.name, f"{folder}/end.json")
notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notices.sendto(f"ended {run} {os.getpid()}".encode(), shims)
