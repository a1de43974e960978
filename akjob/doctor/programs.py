"""Checks of programs: akjob's own, git, Pythons, the extras that the settings need, the port of the page."""

import errno
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from akjob import __version__
from akjob.config.web import Address
from akjob.control import presence
from akjob.doctor.diagnosis import Diagnosis, State, Subject
from akjob.errors import AkjobError
from akjob.jobset.git import Provenance
from akjob.query.jobs import load
from akjob.query.text import plural

_PROGRAMS = ("akjobd", "akjob-collector", "akjob-web", "akjob-notify", "akjob-node")
_ASK_S = 10.0
# extra -> the modules that it brings
_EXTRAS = {
    "web": ("starlette", "uvicorn", "jinja2"),
    "notify": ("apprise",),
    "calendars": ("holidays", "icalendar"),
    "cluster": ("psycopg", "procrastinate"),
}


def programs(subject: Subject) -> Iterator[Diagnosis]:
    """Look for akjob's programs where supervisord does, and whether those that should run do."""
    beside = [os.path.dirname(os.path.abspath(sys.argv[0])), sysconfig.get_path("scripts")]
    searched = os.pathsep.join([*beside, subject.environment.get("PATH", os.defpath)])
    missing = [name for name in _PROGRAMS if shutil.which(name, path=searched) is None]
    if missing:
        message = f"{', '.join(missing)} of akjob {__version__} cannot be found"
        yield Diagnosis("programs", "wrong", message, "Install akjob again, and put its bin/ folder on the PATH.")
        return
    if subject.status is None:
        yield Diagnosis("programs", "fine", f"akjob {__version__}; akjobd does not run: `akjob up --detach` starts it")
        return
    stopped = [name for name, program in subject.status.programs.items() if not program.is_well]
    for name in stopped:
        message = f"{name} is {subject.status.programs[name].state}"
        yield Diagnosis("programs", "wrong", message, f"See {subject.paths.log_dir}/{name}.out")
    if not stopped:
        yield Diagnosis("programs", "fine", f"akjob {__version__}; {', '.join(subject.status.programs)} run")


def jobs(subject: Subject) -> Iterator[Diagnosis]:
    """Count the broken files, and ask each Python that jobs name for its version. None of the jobs' code is run."""
    try:
        snapshot = load(subject.paths, subject.config, subject.now_us)
    except AkjobError as error:
        yield Diagnosis("jobs", "wrong", error.message, error.hint)
        return
    broken = sorted({one.file for one in snapshot.broken()})
    if broken:
        message = f"{plural(len(broken), 'file')} broken: {', '.join(broken[:5])}"
        yield Diagnosis("jobs", "wrong", message, "`akjob validate` says why.")
    else:
        yield Diagnosis("jobs", "fine", plural(len(snapshot.jobset.jobs), "job"))
    named = {spec.run.interpreter for spec in snapshot.jobset.jobs.values() if spec.run.interpreter is not None}
    yield from _pythons(subject.paths.root, sorted(named))


def _pythons(root: Path, named: Sequence[str]) -> Iterator[Diagnosis]:
    versions = [f"{sys.version_info.major}.{sys.version_info.minor} runs akjob"]
    for interpreter in named:
        try:
            versions.append(f"{_version(root / interpreter)} is {interpreter}")
        except (OSError, subprocess.SubprocessError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it does not run"
            yield Diagnosis("python", "wrong", f"{interpreter}: {reason}", "Make the virtual environment again.")
    yield Diagnosis("python", "fine", ", ".join(versions))


def _version(interpreter: Path) -> str:
    argv = [str(interpreter), "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=_ASK_S, check=True).stdout.strip()


def git(subject: Subject) -> Iterator[Diagnosis]:
    """Look for git, and whether the jobs are in a repository."""
    if shutil.which("git", path=subject.environment.get("PATH", os.defpath)) is None:
        message = "git is not on the PATH, so runs do not record the commit that they ran from"
        yield Diagnosis("git", "warning", message, "Install git where akjobd runs.")
        return
    revision = Provenance(subject.paths).refresh_now()
    if revision.commit is None:
        message = "jobs.d/ is not in a git repository, so runs do not record a commit"
        yield Diagnosis("git", "warning", message, f"git init {subject.paths.root}, and commit jobs.d/ and etc/.")
    else:
        changed = " with uncommitted changes" if revision.dirty else ""
        yield Diagnosis("git", "fine", f"commit {revision.commit[:12]}{changed}")


def extras(subject: Subject) -> Iterator[Diagnosis]:
    """Look for the packages that the settings ask for."""
    config = subject.config
    calendars = config.calendars
    wanted = {
        "web": "[web] is enabled" if config.web.enabled else "",
        "notify": "a channel uses Apprise" if any(one.apprise for one in config.channels.values()) else "",
        "calendars": "there are [calendars]" if calendars is not None and (calendars.known or calendars.broken) else "",
        "cluster": "there is [cluster]" if config.cluster is not None else "",
    }
    there = [extra for extra in _EXTRAS if all(importlib.util.find_spec(module) for module in _EXTRAS[extra])]
    lacking = [extra for extra, reason in wanted.items() if reason and extra not in there]
    for extra in lacking:
        state: State = "wrong" if extra in {"notify", "cluster"} else "warning"
        hint = f"pip install 'akjob[{extra}]'" + (", or enabled = false in [web]." if extra == "web" else "")
        yield Diagnosis("extras", state, f"{wanted[extra]}, but the extra `{extra}` is not installed", hint)
    if not lacking:
        yield Diagnosis("extras", "fine", f"installed: {', '.join(there) or 'none'}; nothing else is needed")


def port(subject: Subject) -> Iterator[Diagnosis]:
    """Look whether akjob-web serves, or could listen where it should."""
    web = subject.config.web
    if not web.enabled:
        yield Diagnosis("port", "fine", "the page is switched off: enabled = false in [web]")
        return
    serving = presence.read(subject.paths)
    if serving is not None and serving.trouble:
        yield Diagnosis("port", "wrong", serving.trouble, "Choose another listen of [web] in etc/akjob.toml.")
        return
    if serving is not None and serving.serves:
        yield Diagnosis("port", "fine", f"akjob-web serves {', '.join(map(str, web.listen))}")
        return
    for address in web.listen:
        reason = "" if address.path else _why_not(address)
        if reason:
            hint = "Stop it, or choose another listen of [web] in etc/akjob.toml."
            yield Diagnosis("port", "wrong", f"{address}: {reason}", hint)
        else:
            yield Diagnosis("port", "fine", f"{address} is free")


def _why_not(address: Address) -> str:
    """Return why an address cannot be listened on; an empty text if it can."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
    except OSError as error:
        return "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return ""
