"""Watch how full the file systems are."""

import logging
import shutil
from collections.abc import Sequence

log = logging.getLogger(__name__)


def watch(paths: Sequence[str], warn_percent: float = 90.0) -> dict[str, float]:
    """Warn of every file system of ``paths`` that is fuller than ``warn_percent``.

    Returns the used share of each in percent: akjob keeps it as the run's result, see ``akjob history --json``.
    What is logged here arrives in the log stream with its fields; what is printed arrives line by line.
    """
    used = {}
    for path in paths:
        usage = shutil.disk_usage(path)
        used[path] = round(100 * (usage.total - usage.free) / usage.total, 1)
        free_gib = round(usage.free / 2**30, 1)
        if used[path] > warn_percent:
            log.warning("nearly full", extra={"path": path, "used_percent": used[path], "free_gib": free_gib})
        print(f"{path}: {used[path]} % used, {free_gib} GiB free")
    return used
