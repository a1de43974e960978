"""``akjob-node``: takes the runs that are delivered to this node of a cluster, and gives them to akjobd.

It may die and start again without any run noticing: akjobd runs them, and the ledger has what became of them.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from akjob import program
from akjob.program import Holdings, HoldingsWatch, Program


def main() -> NoReturn:
    """Run akjob-node of the root that ``--root``, ``$AKJOB_ROOT`` or the working folder names."""
    program.run("akjob-node", build)


def build(frame: Program) -> Callable[[], None]:
    """Return what works until SIGTERM. Without ``[cluster]`` there is nothing to do but to wait for that."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    watch = HoldingsWatch(Holdings(frame.holdings(), frame.report))
    cluster = frame.config.cluster
    if cluster is None:
        return watch.wait
    from akjob.remote.deliveries import Deliveries  # noqa: PLC0415 - of the extra `cluster`

    return Deliveries(frame.paths, cluster, frame.config.max_running, watch).run


def _leave(*_: object) -> None:
    sys.stderr.flush()
    os._exit(0)
