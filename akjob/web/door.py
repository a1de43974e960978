"""The token by which the nodes of a cluster ask each other: it is in their database, and opens their routes alone."""

import asyncio
import hmac
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from akjob.config import Config, Paths
from akjob.query.visibility import Principal

NODE = Principal(name="node", scope="metrics", jobs="", credential="node:")
"""Another node of the cluster: it sees no job, and gets the lines of a run that it names."""

_KEPT_S = 60.0
_AGAIN_S = 1.0


class Door:
    """Knows the cluster's token. It is read again each minute, and at once, but once a second, for another one."""

    def __init__(
        self, paths: Paths, config: Config, threads: ThreadPoolExecutor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._paths = paths
        self._is_node = config.cluster is not None
        self._threads = threads
        self._clock = clock
        self._token = b""
        self._read_s = -_KEPT_S

    async def opens(self, secret: str | None) -> bool:
        """Return True for the token of the cluster. Raises AkjobError while it is not known and cannot be read."""
        if not self._is_node or not secret:
            return False
        given = secret.encode("utf-8", "surrogatepass")
        age_s = self._clock() - self._read_s
        if age_s >= _KEPT_S or (age_s >= _AGAIN_S and not hmac.compare_digest(given, self._token)):
            self._token = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask)
            self._read_s = self._clock()
        return hmac.compare_digest(given, self._token)

    def _ask(self) -> bytes:
        from akjob.ledger.nodes import Nodes  # noqa: PLC0415 - of the extra `cluster`

        with closing(Nodes(self._paths.ledger_url)) as nodes:
            return nodes.token().encode()
