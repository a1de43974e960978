"""A run's process as far as its code can tell: a bare ``python -I -S`` that has akjob's modules by their files."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CODE = Path(__file__).parents[3] / "akjob" / "code"

PRELUDE = """
import sys
base = list(sys.path)
import os, posix, marshal, _socket, select, fcntl, errno, time, signal, site, _json
import _frozen_importlib_external
def module(name, file):
    loader = _frozen_importlib_external.SourceFileLoader(name, file)
    made = type(sys)(name)
    made.__file__ = file
    loader.exec_module(made)
    return made
load = module("load", {load!r})
fresh = module("fresh", {fresh!r})
fresh.install()
root = {root!r}
load.prepare_path(root, {cwd!r}, {pythonpath!r}, base)
def say(value):
    import json
    print(json.dumps(value))
def reason(function, *args):
    try:
        return function(*args)
    except load.CodeError as error:
        return error.reason
"""


def bare(  # noqa: PLR0913 - what a run's surroundings may be
    root: Path,
    script: str,
    *,
    cwd: Path | None = None,
    pythonpath: Sequence[str] = (),
    python: str = sys.executable,
    env: dict[str, str] | None = None,
) -> Any:
    """Run ``script`` in a process made as a run's is, with ``load`` and ``fresh`` at hand; return what it ``say``s."""
    prelude = PRELUDE.format(
        load=str(CODE / "load.py"),
        fresh=str(CODE / "fresh.py"),
        root=str(root),
        cwd=str(cwd or root),
        pythonpath=list(pythonpath),
    )
    done = subprocess.run(
        [python, "-I", "-S", "-c", prelude + script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None
