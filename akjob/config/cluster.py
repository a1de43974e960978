"""``[pools]`` and ``[cluster]``: how many runs at once, and which node of how many this is."""

import os
import re
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from akjob.config.notify import read_secret
from akjob.config.readers import Reader, read_count, read_duration, read_string, read_strings, read_table_keys
from akjob.config.secrets import Secret
from akjob.toml.faults import PathProblems, dotted

_SECOND_US = 1_000_000
_SLOTS_A_PROCESSOR = 4
_SHORTEST_LEASE_US = 4 * _SECOND_US  # it is renewed four times
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ClusterConfig(Struct, frozen=True, kw_only=True):
    """``[cluster]``: ``url`` of the PostgreSQL ledger that the nodes share.

    ``node`` is empty for the host's name, ``slots`` None for four runs a processor. A run on a node that does not renew
    its lease for ``lease_us`` is lost. ``rollout_grace_us`` is how long a definition may be missing in a checkout.
    """

    url: Secret
    node: str = ""
    tags: tuple[str, ...] = ()
    slots: int | None = None
    lease_us: int = 20 * _SECOND_US
    rollout_grace_us: int = 60 * _SECOND_US

    @property
    def name(self) -> str:
        """The name of this node."""
        return self.node or socket.gethostname()


def places(cluster: ClusterConfig | None, max_running: int | None) -> int:
    """Return how many runs a node takes at once: ``slots`` or four a processor, and not more than ``max_running``."""
    slots = (None if cluster is None else cluster.slots) or _SLOTS_A_PROCESSOR * (os.cpu_count() or 1)
    return slots if max_running is None else min(slots, max_running)


def queue_name(where: str, needs: Iterable[str]) -> str:
    """Return the queue of the runs of a job: ``akjob:``, ``akjob:db+gpu`` for tags, ``akjob:node:b2`` for a node."""
    return f"akjob:{'+'.join(sorted(set(needs)))}" if where == "any" else f"akjob:{where}"


def read_pools(value: object, path: tuple[str, ...], out: PathProblems) -> dict[str, int] | None:
    """Return the size of each pool that is right; note what is wrong with the others."""
    if type(value) is not dict:
        out.wrong_type(path, "a table", value, f"write [{dotted(path)}] on a line of its own, and NAME = 3 below it")
        return None
    found = {}
    for name, size in value.items():
        if type(size) is dict:
            out.wrong_type((*path, name), "an integer", size, f"write {name} = 3 below [{dotted(path)}]")
            continue
        count = read_count(size, (*path, name), out)
        if count is not None:
            found[name] = count
    return found


def read_cluster(value: object, path: tuple[str, ...], out: PathProblems) -> ClusterConfig | None:
    """Return the table if it is right; note what is not."""
    errors = out.errors
    found = read_table_keys(value, path, out, _CLUSTER)
    if type(value) is dict and "url" not in value:
        out.missing_key(path, "url", "add url = { file = … }, the address of the PostgreSQL ledger")
    return ClusterConfig(**found) if errors == out.errors else None


def _url(value: object, path: tuple[str, ...], out: PathProblems) -> Secret | None:
    url = read_secret(value, path, out)
    if not isinstance(url, str):
        return url
    try:
        fine = urlsplit(url).scheme in {"postgresql", "postgres"}
    except ValueError:
        fine = False
    if not fine:
        hint = 'write "postgresql://USER@HOST/DATABASE", or { file = … } for a file that has it'
        out.bad(path, "bad-value", f"`{dotted(path)}` is not the address of a PostgreSQL database", hint)
        return None
    if urlsplit(url).password:
        message = f"`{dotted(path)}` has a password in it, and this file is in git"
        out.bad(path, "secret-in-file", message, "write { file = … }", severity="warning")
    return url


def _node(value: object, path: tuple[str, ...], out: PathProblems) -> str | None:
    text = read_string(value, path, out)
    if text is None or _NODE.fullmatch(text):
        return text
    hint = "letters, digits, `.`, `_` and `-`, the first one a letter or a digit"
    out.bad(path, "bad-value", f'`{dotted(path)}` cannot be "{text}"', hint)
    return None


def _lease(value: object, path: tuple[str, ...], out: PathProblems) -> int | None:
    return read_duration(value, path, out, _SHORTEST_LEASE_US)


def _grace(value: object, path: tuple[str, ...], out: PathProblems) -> int | None:
    return read_duration(value, path, out, 0)


_CLUSTER: Mapping[str, tuple[str, Reader]] = {
    "url": ("url", _url),
    "node": ("node", _node),
    "tags": ("tags", read_strings),
    "slots": ("slots", read_count),
    "lease": ("lease_us", _lease),
    "rollout_grace": ("rollout_grace_us", _grace),
}
TABLES = {"pools": ("NAME",), "cluster": _CLUSTER}
