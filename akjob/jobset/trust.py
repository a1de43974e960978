"""Who may write what will run: files and folders that other users can change are refused, as cron refuses them.

Looked at are, from the root folder downward, the folders, the job file, its ``_defaults.toml`` files, its dill file,
and the folders of modules. Nothing above the root is: who owns that, owns everything.
"""

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct

from akjob.config import TrustConfig
from akjob.errors import Problem

WORLD_WRITABLE = "world-writable"
FOREIGN_OWNER = "foreign-owner"
GROUP_WRITABLE = "group-writable"


class Who(Struct, frozen=True):
    """Whose files are trusted: ``uids``, among them root's and akjobd's own, and whether groups may write."""

    uids: frozenset[int]
    group_writable: bool = False


class Access(NamedTuple):
    """What ``stat`` says about who may write: of what a symlink leads to, not of the symlink."""

    mode: int
    uid: int
    gid: int


def who(trust: TrustConfig, *, own_uid: int) -> Who:
    """Return whose files are trusted. A name in ``owners`` that this machine does not have adds no one.

    ``own_uid`` is the user that akjobd runs as.
    """
    _is_private.cache_clear()  # groups may have changed since the last look
    uids = {0, own_uid}
    for owner in trust.owners:
        uid = _uid(owner)
        if uid is not None:
            uids.add(uid)
    return Who(frozenset(uids), trust.group_writable)


def unknown_owners(trust: TrustConfig) -> list[str]:
    """Return the names in ``[trust] owners`` that this machine has no user for."""
    return [owner for owner in trust.owners if _uid(owner) is None]


def distrust(access: Access, trusted: Who) -> tuple[Literal["error", "warning"], str] | None:
    """Judge who may write to a file or a folder: None, or how bad it is and the problem's code."""
    mode, uid, gid = access
    if uid not in trusted.uids:
        return "error", FOREIGN_OWNER
    if mode & stat.S_IWOTH:
        return "error", WORLD_WRITABLE
    if mode & stat.S_IWGRP and not trusted.group_writable and not _is_private(uid, gid):
        return "warning", GROUP_WRITABLE
    return None


def trust_problem(path: str, trusted: Who, *, shown: str | None = None) -> Problem | None:
    """Look at one file or folder. Return what is wrong with it, or None; also None when it is not there.

    What cannot be written, because its file system is mounted read-only, is trusted whatever its mode.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return problem_of(path, Access(found.st_mode, found.st_uid, found.st_gid), trusted, shown=shown)


def problem_of(path: str, access: Access, trusted: Who, *, shown: str | None = None) -> Problem | None:
    """Return what is wrong with a file or folder of this mode and owner, or None. ``shown`` names it in the Problem."""
    verdict = distrust(access, trusted)
    if verdict is None or _is_read_only(path):
        return None
    severity, code = verdict
    mode, uid, gid = access
    name = path if shown is None else shown
    what = "folder" if stat.S_ISDIR(mode) else "file"
    quoted = shlex.quote(name)
    if code == FOREIGN_OWNER:
        owner = _user_name(uid)
        return Problem(
            file=name,
            severity=severity,
            code=code,
            message=f"this {what} belongs to {owner}, who is not trusted to say what runs",
            hint=f"chown {_user_name(min(trusted.uids, key=_own_first))} {quoted}"
            f' (or trust the owner: owners = ["{owner}"] under [trust] in etc/akjob.toml)',
        )
    if code == WORLD_WRITABLE:
        return Problem(
            file=name,
            severity=severity,
            code=code,
            message=f"everybody may write to this {what}",
            hint=f"chmod o-w {quoted}",
        )
    return Problem(
        file=name,
        severity=severity,
        code=code,
        message=f"the group {_group_name(gid)} may write to this {what}",
        hint=f"chmod g-w {quoted} (or allow it: group_writable = true under [trust] in etc/akjob.toml)",
    )


def chain(root: str, path: str) -> Iterator[str]:
    """Yield every folder and finally the file from ``root`` down to ``path``; ``path`` alone when it lies elsewhere."""
    relative = os.path.relpath(path, root)
    if relative == os.curdir:
        yield root
        return
    if relative.startswith(os.pardir):
        yield path
        return
    yield root
    current = root
    for part in relative.split(os.sep):
        current = os.path.join(current, part)
        yield current


def module_places(root: str, folders: Sequence[str], module: str) -> Iterator[str]:
    """Yield, from the root downward, the folders and the file that a run would import ``module`` from.

    ``folders`` are where it is looked for, the first that has it wins; nothing when none has: what Python itself brings
    is not looked at.
    """
    first, *others = module.split(".")
    for folder in folders:
        place = os.path.join(folder, first)
        if os.path.isdir(place):
            yield from chain(root, place)
        elif os.path.isfile(f"{place}.py"):
            yield from chain(root, f"{place}.py")
            return
        else:
            continue
        for part in others:
            place = os.path.join(place, part)
            if not os.path.isdir(place):
                yield f"{place}.py"
                return
            yield place
        yield os.path.join(place, "__init__.py")
        return


def module_problem(root: str, folders: Sequence[str], module: str, trusted: Who) -> Problem | None:
    """Return why a module is refused: another user may write to its file or to a folder above it."""
    for place in module_places(root, folders, module):
        shown = os.path.relpath(place, root) if place.startswith(root) else place
        problem = trust_problem(place, trusted, shown=shown)
        if problem is not None and problem.severity == "error":
            return problem
    return None


def _own_first(uid: int) -> tuple[bool, int]:
    return uid != os.geteuid(), uid


def _is_read_only(path: str) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


@lru_cache(maxsize=256)
def _is_private(uid: int, gid: int) -> bool:
    """Return whether a group has no member but the owner: the owner's primary group, of the same name, and empty."""
    try:
        user = pwd.getpwuid(uid)
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    if user.pw_gid != gid or group.gr_name != user.pw_name:
        return False
    return not set(group.gr_mem) - {user.pw_name}


def _uid(owner: str) -> int | None:
    if owner.isascii() and owner.isdigit():
        return int(owner)
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        return None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
