"""What the zygote goes through before its first order leaves nothing in it that a run would inherit."""

import json
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[2]

CODE = """
import sys
sys.path.insert(0, {home!r})
from akjob.code import load
from akjob.run import child, warmup
del sys.path[0]
import _signal, json, os

child.LIBRARY_PATH = list(sys.path)
known = load.SiteSetup(list(sys.path), (sys.prefix, sys.exec_prefix), [{line!r}], {{}})
child.prepare(known)

def state():
    return {{
        "path": sys.path, "argv": sys.argv, "finders": list(map(repr, sys.meta_path)), "hooks": len(sys.path_hooks),
        "known folders": sorted(sys.path_importer_cache), "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "signals": [repr(_signal.getsignal(number)) for number in _signal.valid_signals()],
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "children": open("/proc/thread-self/children").read(),
        "modules": sorted(set(sys.modules) - {{"atexit"}}),
    }}

before = state()
warmup.warm_up({place!r}, known)
after = state()
os.write(1, json.dumps([before, after, os.listdir({place!r}), known.lines]).encode())
"""


def test_it_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    """Paths, finders, environment, signals, descriptors, folders; lines of .pth files are for each run, not for it."""
    marker = tmp_path / "executed"
    line = f"import os; open({str(marker)!r}, 'a').write('x')"
    code = CODE.format(home=str(HOME), line=line, place=str(tmp_path))
    done = subprocess.run([sys.executable, "-I", "-S", "-X", "utf8", "-c", code], capture_output=True, check=True)
    assert done.stderr == b""
    before, after, left, lines = json.loads(done.stdout)
    assert after == before
    assert lines == [line]
    assert not [name for name in left if name != marker.name]


def test_it_has_happened(tmp_path: Path) -> None:
    """The shims that it goes through succeed, each of them: a warm-up that fails would go unseen."""
    code = (
        CODE.format(home=str(HOME), line="", place=str(tmp_path)).replace(
            "before = state()",
            "ends = []\nlive = warmup.shim.Shim.live\n"
            "def watched(self):\n    live(self)\n    end = json.load(open(self.order['folder'] + '/end.json'))\n"
            "    ends.append([end['state'], self.log.sender.idle, self.childless])\n"
            "warmup.shim.Shim.live = watched\njobs = []\nrun = warmup.child.begin\n"
            "def seen(*given, **named):\n    jobs.append(run(*given, **named))\n    return jobs[-1]\n"
            "warmup.child.begin = seen\nbefore = state()",
        )
        + "os.write(1, b'\\n' + json.dumps([ends, jobs]).encode())\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-X", "utf8", "-c", code], capture_output=True, check=True)
    ends, jobs = json.loads(done.stdout.splitlines()[-1])
    assert ends == [["succeeded", True, True]] * 12
    assert jobs == [0] * 12
