"""Looking into a dill file from outside: the examining is done by a process of its own, with limits."""

import json
import os
import subprocess
import sys
from typing import Any

_EXAMINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "examine.py")
SECONDS = 30


def examine_bytes(content: bytes, python: str = "") -> dict[str, Any]:
    """Return what a pickle holds, executing nothing of it, as :func:`akjob.code.examine.examine` tells it.

    ``gives`` (text), ``names`` and ``modules`` (what would be imported), ``calls`` (list of ``what``, ``verdict``,
    ``arguments``, ``count``), ``code`` (list of code objects), ``strings``, ``protocol``, ``error`` (text or empty).
    ``python`` is the version that packed it, where that is known.
    """
    nothing = {"gives": "", "protocol": 0, "names": [], "modules": [], "calls": [], "code": [], "strings": []}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", _EXAMINE, python],
            input=content,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            cwd="/",
            env={},
        )
    except subprocess.TimeoutExpired:
        return {**nothing, "error": f"looking at it took more than {SECONDS} seconds"}
    if done.returncode:
        return {**nothing, "error": "looking at it took more memory or time than it may, or crashed"}
    report: dict[str, Any] = json.loads(done.stdout)
    return report
