"""What a job needs around it: folders, files, users. Each is asked for once, however many jobs name it.

What a relative path names belongs to the root, so its lack is an error. Users and absolute paths belong to the machine
that the jobs run on, which need not be the one that asks: their lack is a warning.
"""

import grp
import os
import pwd
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from akjob.code.static import Finding
from akjob.config import Config, Paths
from akjob.config.secrets import Secret, SecretFile
from akjob.errors import AkjobError, Severity
from akjob.ledger import NodeTags, open_reader
from akjob.query.placing import unplaced
from akjob.spec.model import JobSpec
from akjob.toml.faults import dotted


class Surroundings:
    """Answers for one root."""

    def __init__(self, root: str, config: Config) -> None:
        self._root = root
        self._nodes = cache(lambda: _nodes(Paths(Path(root)), config))
        self._is_folder = cache(os.path.isdir)
        self._is_file = cache(os.path.isfile)
        self._has_mark = cache(_has_mark)
        self._is_program = cache(_is_program)
        self._is_user = cache(_is_user)
        self._is_group = cache(_is_group)

    def findings(self, spec: JobSpec) -> Iterator[Finding]:
        """Yield what a job needs and is not there."""
        run = spec.run
        if run.cwd is not None and not self._is_folder(self._place(run.cwd)):
            what = f"the folder {run.cwd} does not exist"
            yield Finding(("run", "cwd"), _severity(run.cwd), "cwd-missing", what, f"mkdir {run.cwd}, or change cwd")
        for one in run.env_files:
            if not one.optional and not self._is_file(self._place(one.file)):
                what = f"the file {one.file} does not exist"
                where = "" if os.path.isabs(one.file) else "; the path is relative to the root"
                hint = f"make it, or change env_file{where}"
                yield Finding(("run", "env_file"), _severity(one.file), "env-file-missing", what, hint)
            elif self._has_mark(self._place(one.file)):
                what = f"{one.file} begins with a byte order mark, which becomes part of its first name"
                yield Finding(("run", "env_file"), "error", "byte-order-mark", what, "save it as UTF-8 without BOM")
        if run.interpreter is not None and not self._is_program(self._place(run.interpreter)):
            what = f"there is no program {run.interpreter}"
            hint = "make the virtual environment, or change interpreter"
            yield Finding(("run", "interpreter"), _severity(run.interpreter), "interpreter-missing", what, hint)
        if run.user is not None and not self._is_user(run.user):
            yield _unknown("user", run.user)
        if run.group is not None and not self._is_group(run.group):
            yield _unknown("group", run.group)
        yield from self._secrets_of(spec)
        if run.needs or run.where.startswith("node:"):
            why = unplaced(spec, self._nodes())
            if why:
                key = "needs" if run.needs else "where"
                hint = "correct it, or the tags in [cluster] of a node; `akjob nodes` lists them"
                yield Finding(("run", key), "warning", "no-node", f"the job runs nowhere: {why}", hint)

    def _secrets_of(self, spec: JobSpec) -> Iterator[Finding]:
        for name, value in spec.run.env.items():
            if isinstance(value, SecretFile):
                yield from self._secret(("run", "env", name), value, _severity(value.file))
        if spec.notify.ping is not None:
            yield from self._secret(("notify", "ping", "url"), spec.notify.ping.url, "warning")

    def of_channels(self, config: Config) -> Iterator[Finding]:
        """Yield which secrets of the channels and of the heartbeat are not there."""
        for name, channel in config.channels.items():
            for key, value in channel.secrets().items():
                yield from self._secret(("channels", name, *key), value, "warning")
        if config.heartbeat is not None:
            yield from self._secret(("heartbeat", "url"), config.heartbeat.url, "warning")

    def _secret(self, key: tuple[str, ...], value: Secret, severity: Severity) -> Iterator[Finding]:
        if isinstance(value, SecretFile) and not self._is_file(self._place(value.file)):
            what, hint = f"the file {value.file} does not exist", f"make it, or change {dotted(key)}"
            yield Finding((*key, "file"), severity, "secret-missing", what, hint)

    def _place(self, path: str) -> str:
        return os.path.join(self._root, path)


def _has_mark(path: str) -> bool:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            return file.read(3) == b"\xef\xbb\xbf"
    except OSError:
        return False


def _severity(path: str) -> Severity:
    return "warning" if os.path.isabs(path) else "error"


def _unknown(what: str, name: str) -> Finding:
    message = f"this machine has no {what} {name}"
    hint = f"make it where the jobs run, or change {what}"
    return Finding(("run", what), "warning", f"unknown-{what}", message, hint)


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _is_user(name: str) -> bool:
    return _is_number(name) or _is_known(name, pwd.getpwnam)


def _is_group(name: str) -> bool:
    return _is_number(name) or _is_known(name, grp.getgrnam)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _is_known(what: object, find: Callable[[Any], object]) -> bool:
    try:
        find(what)
    except (KeyError, OverflowError):
        return False
    return True


def _nodes(paths: Paths, config: Config) -> list[NodeTags]:
    """Return the nodes of the root's cluster; none where there is none, or its database cannot be asked from here."""
    if config.cluster is None:
        return []
    try:
        return open_reader(paths.ledger_url).nodes()
    except AkjobError:
        return []
