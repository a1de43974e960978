"""Checks of the root: its path, its files, who owns and may write them, the disk below ``var/``."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from akjob.config import excess_of_supervisor_socket
from akjob.config.secrets import SecretFile
from akjob.doctor.diagnosis import Diagnosis, State, Subject
from akjob.jobset.trust import trust_problem, unknown_owners, who
from akjob.query.text import plural

_SHOWN = 5
_MIB = 2**20
_FULL = 100 * _MIB
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs", "afs"}


def path(subject: Subject) -> Iterator[Diagnosis]:
    """Look whether the path of the root leaves room for the names of sockets."""
    over = excess_of_supervisor_socket(subject.paths)
    root = subject.paths.root
    if over > 0:
        message = f"{root} is {plural(over, 'byte')} too long for supervisord's socket in var/run/"
        yield Diagnosis("path", "wrong", message, "Move the root to a shorter path.")
    elif "%" in str(root) or '"' in str(root):
        message = f'{root} has a % or a " in it, which supervisord.conf cannot hold'
        yield Diagnosis("path", "wrong", message, "Move the root to a path without them.")
    else:
        yield Diagnosis("path", "fine", str(root))


def files(subject: Subject) -> Iterator[Diagnosis]:
    """Look for what a root consists of."""
    paths = subject.paths
    missing = [one for one in (paths.etc / "supervisord.conf", paths.jobs_d, paths.var) if not one.exists()]
    for one in missing:
        message = f"{one.relative_to(paths.root)} is missing"
        yield Diagnosis("files", "wrong", message, f"`akjob init {paths.root}` writes what is missing.")
    if not missing:
        yield Diagnosis("files", "fine", "jobs.d/, etc/supervisord.conf and var/ are there")


def settings(subject: Subject) -> Iterator[Diagnosis]:
    """Yield what is wrong with ``etc/akjob.toml``."""
    for problem in subject.problems:
        yield Diagnosis("settings", "wrong" if problem.severity == "error" else "warning", str(problem), problem.hint)
    for owner in unknown_owners(subject.config.trust):
        message = f'[trust] owners has "{owner}", whom this machine does not know'
        yield Diagnosis("settings", "warning", message, "Make the user, or take the name out of etc/akjob.toml.")
    if not subject.problems:
        there = subject.paths.config_file.exists()
        yield Diagnosis(
            "settings", "fine", "etc/akjob.toml is valid" if there else "defaults: there is no etc/akjob.toml"
        )


def rights(subject: Subject) -> Iterator[Diagnosis]:
    """Look whether the programs may write ``var/``, and whether others may write what runs."""
    found = [*_others_in_var(subject), *_writable_by_others(subject), *_secrets(subject)]
    yield from found
    if not found:
        yield Diagnosis("rights", "fine", f"var/ and what runs belong to {_name(subject.uid)} or to trusted users")


def _others_in_var(subject: Subject) -> Iterator[Diagnosis]:
    """Yield what a command that was once called as another user has left below ``var/``."""
    var = subject.paths.var
    others = [place for place in _below(var) if _owner(place) not in (subject.uid, None)]
    if others:
        named = ", ".join(str(place.relative_to(subject.paths.root)) for place in others[:_SHOWN])
        message = f"{plural(len(others), 'file')} below var/ are not {_name(subject.uid)}'s: {named}"
        yield Diagnosis("rights", "wrong", message, f"chown -R {_name(subject.uid)} {var}")
    if os.geteuid() == subject.uid and var.is_dir() and not os.access(var, os.W_OK | os.X_OK):
        yield Diagnosis("rights", "wrong", f"{var} cannot be written", f"chmod u+rwx {var}")
    if var.is_dir() and stat.S_IMODE(var.stat().st_mode) & 0o007:
        message = f"{var} is open to every user of this machine; log and ledger hold what jobs print"
        yield Diagnosis("rights", "warning", message, f"chmod 700 {var}")


def _writable_by_others(subject: Subject) -> Iterator[Diagnosis]:
    trusted = who(subject.config.trust, own_uid=subject.uid)
    root = subject.paths.root
    places = [root, subject.paths.etc, subject.paths.jobs_d, *_below(subject.paths.etc), *_below(subject.paths.jobs_d)]
    problems = [problem for place in places if (problem := trust_problem(str(place), trusted)) is not None]
    for problem in problems[:_SHOWN]:
        state: State = "wrong" if problem.severity == "error" else "warning"
        yield Diagnosis("rights", state, f"{problem.file}: {problem.message}", problem.hint)
    if len(problems) > _SHOWN:
        message = f"{plural(len(problems) - _SHOWN, 'file')} more that others may write"
        yield Diagnosis("rights", "wrong", message, "`akjob validate` names them all.")


def _secrets(subject: Subject) -> Iterator[Diagnosis]:
    config = subject.config
    wanted = [secret for channel in config.channels.values() for secret in channel.secrets().values()]
    wanted += [] if config.heartbeat is None else [config.heartbeat.url]
    wanted += [] if config.cluster is None else [config.cluster.url]
    for secret in wanted:
        if not isinstance(secret, SecretFile):
            continue
        file = subject.paths.root / secret.file
        try:
            mode = file.stat().st_mode
        except OSError as error:
            hint = f"Make it readable for {_name(subject.uid)}, or change etc/akjob.toml."
            yield Diagnosis("rights", "wrong", f"the secret {file}: {error.strerror}", hint)
            continue
        if mode & 0o004:
            message = f"the secret {file} can be read by every user of this machine"
            yield Diagnosis("rights", "warning", message, f"chmod 600 {file}")


def disk(subject: Subject) -> Iterator[Diagnosis]:
    """Look at the file system below ``var/``: local, and with room."""
    place = _existing(subject.paths.var)
    kind = _file_system(place, subject.proc)
    if kind in _NETWORK:
        message = f"{place} is on a network file system ({kind}), where SQLite's locks cannot be relied on"
        yield Diagnosis("disk", "wrong", message, "Put var/ on a local disk; a symlink is fine.")
    room = os.statvfs(place)
    free = room.f_bavail * room.f_frsize
    if room.f_flag & os.ST_RDONLY:
        yield Diagnosis("disk", "wrong", f"{place} is mounted read-only", "Mount it writable.")
    elif free < _FULL:
        message = f"{free // _MIB} MiB are free below {place}"
        yield Diagnosis("disk", "wrong", message, "Make room: no run starts while the ledger cannot be written.")
    elif room.f_files and room.f_favail * 100 < room.f_files:
        message = f"less than 1 % of the inodes are free below {place}"
        yield Diagnosis("disk", "wrong", message, "Remove small files; each run needs a folder of its own.")
    elif subject.config.log.to == "file" and free < subject.config.log.max_total // 4:
        message = f"{free // _MIB} MiB are free; the log may take {subject.config.log.max_total // _MIB} MiB"
        yield Diagnosis("disk", "warning", message, "Make room, or lower max_total of [log] in etc/akjob.toml.")
    elif kind not in _NETWORK:
        yield Diagnosis("disk", "fine", f"{free // _MIB} MiB free on {kind or 'a local file system'}")


def _file_system(place: Path, proc: str) -> str:
    """Return the type of the file system that a place is on: the longest mount point above it (proc(5))."""
    real = os.path.realpath(place)
    best, kind = "", ""
    try:
        mounts = Path(proc, "self", "mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for mount in mounts:
        fields, _, tail = mount.partition(" - ")
        point = fields.split()[4].replace("\\040", " ")
        inside = point in {"/", real} or real.startswith(f"{point}/")
        if inside and len(point) >= len(best):  # of two on one point the later one is on top
            best, kind = point, tail.split()[0]
    return kind


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *names))


def _existing(place: Path) -> Path:
    return next(one for one in (place, *place.parents) if one.exists())


def _owner(place: Path) -> int | None:
    try:
        return place.lstat().st_uid
    except OSError:
        return None  # it ended while being looked at


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
